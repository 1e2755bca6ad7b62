"""What there is to pool with, read off the classes themselves; torch is not needed for it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from typing import Any

from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import REGISTRY, Reducer, reducer
from cnnatomy.reducers.shared import reducer_text
from cnnatomy.regions import Region

_BYTES = {"value": 4, "tap": 1}
"""How large a saved number is beside float32, a tap's where its number fits into a byte."""


@dataclass(frozen=True)
class Pooling:
    """What can be said of a reducer without running it."""

    name: str
    call: str
    summary: str
    formula: str
    source: str
    selects: bool
    draws: bool
    mixes_channels: bool
    companions: tuple[str, ...]
    """Further inputs of the shape of x."""
    learns: tuple[str, ...]
    """Parameters that can be learned."""
    always_learns: bool
    """Whether they always are, without being asked for."""
    keeps: tuple[str, ...] | None
    """The tensors that backward needs; None where the poolings inside, or torch's operators, decide."""
    bytes_per_output: int | None
    """What backward needs beside them, with float32 over sliding windows of up to 255 taps."""
    documentation: str

    @staticmethod
    def of(what: Reducer) -> Pooling:
        """Read the facts of one reducer."""
        opaque = what.blended or what.mixes
        return Pooling(
            name=what.name,
            call=what.text,
            summary=what.summary,
            formula=what.formula,
            source=what.source,
            selects=what.selects,
            draws=what.draws or what.settled() != what,
            mixes_channels=what.mixes,
            companions=what.companions,
            learns=_learns(type(what)),
            always_learns=bool(type(what)().parameters),
            keeps=None if opaque else _kept(what),
            bytes_per_output=None if opaque else sum(_BYTES[field] for field in what.saves),
            documentation=inspect.cleandoc(what.__doc__ or ""),
        )

    @property
    def kept(self) -> str:
        """What backward keeps, in words."""
        if self.keeps is None:
            return "what its operators keep" if self.mixes_channels else "what its parts keep"
        number = self.bytes_per_output
        each = [f"{number} byte{'s' * (number != 1)} an output"] if number else []
        return " and ".join([", ".join(self.keeps), *each] if self.keeps else each) or "nothing"


@dataclass(frozen=True)
class Place:
    """What can be said of a kind of region."""

    name: str
    call: str
    summary: str
    documentation: str

    @staticmethod
    def of(kind: type[Region]) -> Place:
        """Read the facts of one kind of region."""
        text = inspect.cleandoc(kind.__doc__ or "")
        summary = " ".join(text.split("\n\n")[0].split()).rstrip(".")
        return Place(kind.__name__, _call(kind), summary, text)


def poolings() -> list[Pooling]:
    """Every pooling of the registry as it is without arguments, by name.

    Example:
        >>> [one.kept for one in poolings() if one.name in ("max", "mean", "soft")]
        ['1 byte an output', 'nothing', 'x and 12 bytes an output']
    """
    return [Pooling.of(REGISTRY[name]()) for name in sorted(REGISTRY)]


def places() -> list[Place]:
    """Every kind of region that the package has, by name."""
    own = (kind for kind in Region.kinds.values() if kind.__module__.startswith("cnnatomy."))
    return [Place.of(kind) for kind in sorted(own, key=lambda kind: kind.__name__)]


def find(text: str) -> Reducer | type[Region]:
    """A reducer by its name or its call, or a kind of region by its name.

    Raises:
        ArgumentError: there is neither; the message names the nearest.

    Example:
        >>> find("soft"), find("Soft(temperature=0.5)"), find("boxes").__name__
        (Soft(temperature=1.0, learned=0), Soft(temperature=0.5, learned=0), 'Boxes')
        >>> find("sotf")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: no pooling or region 'sotf'; try soft
    """
    kinds: dict[str, type[Region]] = {place.name.lower(): Region.kinds[place.name] for place in places()}
    word = text.lower()
    if word in kinds:
        return kinds[word]
    if "(" in text or reducer_text.registered(word) in REGISTRY:
        return reducer(text)
    from cnnatomy.cli.argument_parsing import nearest

    hint = nearest(word, [*reducer_text.names(), *kinds])
    raise ArgumentError(f"no pooling or region {text!r}", hint=hint or "cnnatomy pools, which lists them")


def markdown(entries: Iterable[Pooling]) -> str:
    """The poolings as a table for a page of documentation."""
    rows = [("reducer", "y", "backward keeps", "source"), ("---",) * 4]
    for one in entries:
        name = f"`{_call(REGISTRY[one.name], defaults=False)}`, `{one.name!r}`".replace("'", '"')
        rows.append((name, f"`{one.formula}`", one.kept, one.source))
    cells = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows)
    return "".join(f"| {row} |\n" for row in cells)


def _kept(what: Reducer) -> tuple[str, ...]:
    """The tensors that are kept whole: no input where the gradient depends on nothing but winners."""
    inputs = () if what.linear or what.selects else ("x", *what.companions)
    return (*inputs, "y") if "y" in what.reads else inputs


def _learns(kind: Any) -> tuple[str, ...]:
    learned = any(field.name == "learned" for field in fields(kind))
    return tuple((kind(learned=1) if learned else kind()).learns)


def _call(kind: Any, defaults: bool = True) -> str:
    shown = (
        field.name if field.default is MISSING or not defaults else f"{field.name}={field.default!r}"
        for field in fields(kind)
    )
    return f"{kind.__name__}({', '.join(shown)})"
