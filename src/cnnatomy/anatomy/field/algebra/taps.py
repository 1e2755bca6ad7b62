"""Taps of one axis as index arrays: those of every output, and those of one period without borders.

Every number in them is asked of `cnnatomy.geometry`. Where an axis has no border, an operator's taps repeat:
output o + `outputs` reads `cells` cells further on. They are read off the middle of an axis that is long
enough for no border to be in sight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

from cnnatomy.geometry import AxisTable, Window, borders
from cnnatomy.geometry.axis_resampling import Resampling
from cnnatomy.geometry.bands import Bands

Index = NDArray[np.intp]
_NEGLIGIBLE = 1e-9  # a fixed coefficient below this is a zero that was rounded
_LONGEST = 4096  # outputs of a period that is still worth telling


@dataclass(frozen=True, eq=False)
class Rows:
    """Cells that each of several outputs reads.

    Args:
        cells: (outputs, taps); an output with fewer taps than others repeats one of its own.
        none: the outputs that read nothing; None if all read something.
    """

    cells: Index
    none: NDArray[np.bool_] | None = None

    @staticmethod
    def of(taps: Iterable[Sequence[int]], offset: int = 0) -> Rows:
        """Rows of ragged taps.

        Example:
            >>> Rows.of([range(0, 2), range(4, 5)]).cells.tolist()
            [[0, 1], [4, 4]]
        """
        ragged = list(taps)
        most = max(map(len, ragged), default=0)
        padded = [[*row, *row[:1] * (most - len(row))] if row else [0] * most for row in map(list, ragged)]
        none = np.array([not row for row in ragged])
        cells = np.array(padded, np.intp).reshape(len(ragged), max(most, 0)) - offset
        return Rows(cells if most else np.zeros((len(ragged), 1), np.intp), none if none.any() else None)


@dataclass(frozen=True, eq=False)
class Taps:
    """Taps of one axis.

    Args:
        rows: what each output reads, clipped to the input.
        period: what the outputs of one period read without borders, counted from the period's first cell;
            None where nothing repeats.
        cells: cells of the input from one period to the next.
        why: why nothing repeats.
        same: whether every output reads the cell at its own place, and no cell is left.
    """

    rows: Rows
    period: Rows | None
    cells: int = 1
    why: str = ""
    same: bool = False

    @property
    def outputs(self) -> int:
        """Outputs of the axis."""
        return len(self.rows.cells)


@lru_cache(maxsize=1024)
def sliding(window: Window, n: int) -> Taps:
    """A window over n cells."""
    table = AxisTable.of(window, n)
    first = window.padding[0] + 1  # an output that no border clips
    long = first * window.stride + window.extent + window.padding[0]
    period = Rows.of([window.taps(first, long)], first * window.stride)
    same = window.kernel == window.stride == 1 and window.padding == (0, 0)
    return Taps(_rows(table), period, window.stride, same=same)


@lru_cache(maxsize=1024)
def transposed(window: Window, n: int, out: int) -> Taps:
    """The transpose of a window: output i reads the positions whose window holds cell i."""
    rows = ([o for o in window.readers(i, out) if o < n] for i in range(out))
    turn = window.padding[0] + window.extent  # periods to a cell that no border is near to
    long = (2 * turn + 2) * window.stride + window.extent
    start = turn * window.stride
    period = Rows.of((window.readers(start + i, long) for i in range(window.stride)), turn)
    return Taps(Rows.of(rows), period, 1)


@lru_cache(maxsize=1024)
def adaptive(n: int, out: int) -> Taps:
    """Torch's adaptive bins."""
    rows, common = _rows(AxisTable.adaptive(n, out)), gcd(n, out)
    return Taps(rows, Rows(rows.cells[: out // common]), n // common)


@lru_cache(maxsize=256)
def table(given: AxisTable, why: str) -> Taps:
    """Any table, which repeats nothing."""
    return Taps(_rows(given), None, why=why)


@lru_cache(maxsize=256)
def readers(given: AxisTable, why: str) -> Taps:
    """The transpose of any table."""
    return Taps(Rows.of(given.readers(i) for i in range(given.size)), None, why=why)


@lru_cache(maxsize=1024)
def resampled(how: Resampling, n: int, out: int, axis: int = 0, back: bool = False) -> Taps:
    """An axis of n cells resampled to `out`; with `back` the transpose, from `out` cells to n."""
    bands = how.bands(n, out, axis)
    if back:
        return Taps(Rows.of(_read(bands.transposed())), None, why="transposed resampling")
    rows = Rows.of(_read(bands))
    corners = how.coordinates == "corners"
    step = Fraction(n - 1, out - 1) if corners and out > 1 else Fraction(n, out)
    if how.scale and not corners:
        if bands != _plain(how).bands(n, out, axis):
            step = Fraction(1 / how.scale[axis]).limit_denominator(_LONGEST)
        else:  # the sizes say the same, and on a longer axis something else
            how = _plain(how)
    cells, outputs = step.numerator, step.denominator
    if outputs > _LONGEST or cells == 0:
        return Taps(rows, None, why=f"resampling of {n} cells to {out}")
    turns = 2 * ceil(24 * ceil(max(step, 1 / step)) / min(cells, outputs)) + 2
    long = how.bands(cells * turns + corners, outputs * turns + corners, axis)
    middle = slice(outputs * (turns // 2), outputs * (turns // 2 + 1))
    return Taps(rows, Rows.of(_read(long)[middle], cells * (turns // 2)), cells)


@lru_cache(maxsize=1024)
def sliced(n: int, cells: range) -> Taps:
    """Evenly spaced cells out of n, in either direction.

    Example:
        >>> sliced(5, range(1, 4)).rows.cells.ravel().tolist()
        [1, 2, 3]
    """
    return Taps(Rows.of([i] for i in cells), Rows.of([[cells.start]]), cells.step)


@lru_cache(maxsize=1024)
def placed(n: int, cells: range) -> Taps:
    """Cells put one by one at evenly spaced places among n; nothing is read elsewhere.

    Example:
        >>> placed(5, range(1, 4)).rows.none.tolist()
        [True, False, False, False, True]
    """
    rows = ([cells.index(i)] if i in cells else [] for i in range(n))
    period = (
        [] if (i - cells.start) % cells.step else [(i - cells.start) // cells.step] for i in range(cells.step)
    )
    return Taps(Rows.of(rows), Rows.of(period), 1)


@lru_cache(maxsize=256)
def rolled(n: int, shift: int) -> Taps:
    """Cells moved on by `shift`, those beyond the end to the start."""
    return Taps(Rows.of([(i - shift) % n] for i in range(n)), None, why="roll")


@lru_cache(maxsize=256)
def bordered(n: int, before: int, after: int, mode: str) -> Taps:
    """Borders put around n cells; negative widths crop. Mode `""` puts constants."""
    places = range(-before, n + after)
    if mode:
        rows = Rows.of([borders.source(mode, i, n)] for i in places)
    else:
        rows = Rows.of([i] if 0 <= i < n else [] for i in places)
    return Taps(rows, Rows.of([[-before]]), 1)


def unmasked(closed: NDArray[np.bool_]) -> Taps:
    """The keys that a mask of attention leaves open to each query."""
    return Taps(Rows.of(np.flatnonzero(~row).tolist() for row in closed), None, why="a mask of attention")


def _rows(given: AxisTable) -> Rows:
    return Rows.of(given.taps(o) for o in range(given.outputs))


def _plain(how: Resampling) -> Resampling:
    return Resampling(how.method, how.coordinates, how.antialias, how.coefficient)


def _read(bands: Bands) -> list[list[int]]:
    """The cells that weigh something."""
    rows = zip(bands.start, bands.weights, strict=True)
    return [[i for i, weight in enumerate(row, start) if abs(weight) > _NEGLIGIBLE] for start, row in rows]
