"""The ways in which kernels go through windows, and the tables by which a plan chooses one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnatomy.backends.cpu.pooling.window_tables import Layout, Plan


class Way(StrEnum):
    """How a kernel goes through the windows of a pooling; `docs/kernels.md` says when each is taken."""

    FUSED = "fused"
    STRIDED = "strided"
    DIRECT = "direct"
    TABLE = "table"
    COLUMNS = "columns"
    CHANNELS = "channels"
    LOOP = "loop"
    GLOBAL = "global"
    NONOVERLAPPING = "nonoverlapping"
    RUNS = "runs"
    SCATTER = "scatter"
    BLOCKS = "blocks"
    SEGMENTS = "segments"
    READERS = "readers"


@dataclass(frozen=True)
class Choice:
    """One row of a planner's table: a way, the windows that it is taken for, and how its plan is built.

    The documentation's table is made of `applies`'s docstring and of `how`.
    """

    way: Way
    applies: Callable[[Layout], bool]
    how: str
    build: Callable[[Layout, Way], Plan]


def choose(table: Sequence[Choice], layout: Layout) -> Plan:
    """The plan of the first way in the table that applies."""
    taken = next(choice for choice in table if choice.applies(layout))
    return taken.build(layout, taken.way)


def markdown(table: Sequence[Choice]) -> str:
    """The table as a part of a page."""
    rows = [f"| `{one.way}` | {_sentence(one.applies)} | {one.how} |" for one in table]
    return "\n".join(["| way | taken for | what its kernel does |", "|---|---|---|", *rows])


def _sentence(applies: Callable[[Layout], bool]) -> str:
    text = applies.__doc__ or ""
    return " ".join(text.split()).removesuffix(".")
