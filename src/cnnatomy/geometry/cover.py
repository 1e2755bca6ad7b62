"""The inverse of a table of taps: for every cell of an axis, the outputs that read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from cnnatomy.checks import index
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from cnnatomy.geometry.axis_table import AxisTable


@dataclass(frozen=True)
class Cover:
    """For every cell i, the outputs that read it: `first[i] + t * step` for t in `0 .. count[i] - 1`.

    A backward pass that gathers walks exactly these outputs. The readers of a cell are neighbours (step 1)
    except under dilation d and stride s, where they lie d / gcd(d, s) apart, the same for every cell.
    A cell that nobody reads has count 0 and first 0.

    Example:
        >>> from cnnatomy.geometry import Window
        >>> cover = Window(3, dilation=2).table(7).cover()
        >>> cover.first, cover.count, cover.step
        ((0, 1, 0, 1, 0, 1, 2), (1, 1, 2, 1, 2, 1, 1), 2)
        >>> list(cover.readers(4))
        [0, 2]
    """

    outputs: int
    first: tuple[int, ...]
    count: tuple[int, ...]
    step: int = 1

    def readers(self, i: int) -> range:
        """Outputs that read cell i, in order.

        Example:
            >>> from cnnatomy.geometry import AxisTable
            >>> AxisTable.adaptive(5, 3).cover().readers(1)
            range(0, 2)
        """
        first = self.first[index("cell", i, len(self.first))]
        return range(first, first + self.count[i] * self.step, self.step)


def invert(table: AxisTable) -> Cover:
    """Outputs whose taps share a residue modulo the step form a lane: within one, readers are neighbours."""
    stop = [start + taps * table.step for start, taps in zip(table.start, table.count, strict=True)]
    lanes: dict[int, list[int]] = {}
    for o, taps in enumerate(table.count):
        if taps:
            lanes.setdefault(table.start[o] % table.step, []).append(o)
    first, count = [0] * table.size, [0] * table.size
    for residue, lane in lanes.items():
        a = b = 0  # lane[a:b] read cell i
        for i in range(residue, table.size, table.step):
            while b < len(lane) and table.start[lane[b]] <= i:
                b += 1
            while a < b and stop[lane[a]] <= i:
                a += 1
            if a < b:
                first[i], count[i] = lane[a], b - a
    return Cover(table.outputs, tuple(first), tuple(count), _gap(table, stop, lanes.values()))


def _gap(table: AxisTable, stop: list[int], lanes: Iterable[list[int]]) -> int:
    """Return the one distance between neighbours of a lane, having checked that all is in order."""
    pairs = [pair for lane in lanes for pair in pairwise(lane)]
    gaps = {q - p for p, q in pairs} or {1}
    if len(gaps) > 1 or any(table.start[q] < table.start[p] or stop[q] < stop[p] for p, q in pairs):
        raise ArgumentError(
            "this table has no cover",
            expected="windows that start and end in order",
            got="windows out of order",
            hint="readers(i), which asks every output",
        )
    return gaps.pop()
