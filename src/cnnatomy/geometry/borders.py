"""Borders along an axis: how wide they are, and which cells of the axis they show.

Throughout, n is the axis's size and positions count from its first cell, so that a border lies at positions
-before .. -1 and n .. n + after - 1. Sizes are used with arithmetic and comparisons only, so that they may be
symbolic (`torch.SymInt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.padding_rules import LARGEST

Pair = tuple[int, int]
CYCLIC = ("reflect", "symmetric", "wrap")


class Run(NamedTuple):
    """Neighbouring cells in reading order: start, start + step, ..; one cell again and again if step is 0."""

    start: int
    cells: int
    step: int


def period(mode: str, n: int) -> int:
    """Cells after which a cyclic mode repeats: n if it wraps, 2n with edges twice, 2n - 2 with them once.

    Example:
        >>> [period(mode, 4) for mode in CYCLIC]
        [6, 8, 4]
    """
    return {"wrap": n, "symmetric": 2 * n, "reflect": 2 * n - 2}[mode]


def source(mode: str, position: int, n: int) -> int:
    """The cell that a position shows, as np.pad's modes of these names define it.

    Example:
        >>> [source("reflect", i, 3) for i in range(-3, 6)], [source("symmetric", i, 3) for i in range(-3, 6)]
        ([1, 2, 1, 0, 1, 2, 1, 0, 1], [2, 1, 0, 0, 1, 2, 2, 1, 0])
    """
    if mode == "edge" or n == 1:
        return min(max(position, 0), n - 1)
    whole = period(mode, n)
    phase = position % whole
    return phase if phase < n else whole - phase - (mode == "symmetric")


def settled(mode: str, n: int, pair: Pair) -> str:
    """The simplest mode with the same border: edge for a single cell, or for one cell shown again.

    Example:
        >>> settled("symmetric", 5, (1, 0)), settled("symmetric", 5, (2, 0)), settled("reflect", 1, (2, 2))
        ('edge', 'symmetric', 'edge')
    """
    if mode in CYCLIC and n == 1:
        return "edge"
    return "edge" if mode == "symmetric" and pair[0] <= 1 and pair[1] <= 1 else mode


def runs(mode: str, n: int, pair: Pair) -> tuple[Run, Run] | None:
    """What fills the borders before and after, if a single run does each; None if the mode goes round again.

    Example:
        >>> runs("reflect", 5, (2, 1)), runs("reflect", 3, (4, 0))
        ((Run(start=2, cells=2, step=-1), Run(start=3, cells=1, step=-1)), None)
    """
    before, after = pair
    if mode == "edge":
        return Run(0, before, 0), Run(n - 1, after, 0)
    most = n - 1 if mode == "reflect" else n
    if before > most or after > most:
        return None
    if mode == "wrap":
        return Run(n - before, before, 1), Run(0, after, 1)
    gap = 1 if mode == "reflect" else 0
    return Run(before - 1 + gap, before, -1), Run(n - 1 - gap, after, -1)


def rounds(mode: str, n: int, pair: Pair) -> tuple[int, int]:
    """(whole periods, cells to skip) that a cyclic mode takes to fill both borders and the axis.

    Example:
        >>> rounds("wrap", 3, (4, 1))
        (4, 2)
    """
    whole = period(mode, n)
    skip = -pair[0] % whole
    return -(-(skip + pair[0] + n + pair[1]) // whole), skip


def pairs(value: Any, count: int, name: str, least: int | None = 0, each: bool = False) -> tuple[Pair, ...]:
    """Expand a width to (before, after) for each of `count` axes; axis order (.., y, x).

    Takes an int for all borders, a (before, after) for all axes, or a sequence with one entry per axis, each
    a pair or an int. A flat sequence of ints is a (before, after), or with `each` has one entry per axis.

    Raises:
        ArgumentError: another number of entries, or one that is not an int, or is below `least`.

    Example:
        >>> pairs(1, 2, "widths"), pairs((1, 2), 2, "widths"), pairs(((0, 1), (2, 3)), 2, "widths")
        (((1, 1), (1, 1)), ((1, 2), (1, 2)), ((0, 1), (2, 3)))
        >>> pairs((1, 2), 2, "padding", each=True)
        ((1, 1), (2, 2))
    """
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, str) or not isinstance(value, Sequence):
        return ((_cells(name, value, least),) * 2,) * count
    flat = not any(isinstance(entry, Sequence) for entry in value)
    if flat and not each and len(value) == 2:
        return ((_cells(name, value[0], least), _cells(name, value[1], least)),) * count
    if len(value) != count or (flat and not each):
        expected = f"an int, {'' if each else '(before, after), '}or {count} pairs (before, after)"
        hint = None
        if flat and len(value) == 2 * count:
            hint = repr(tuple(zip(value[::2], value[1::2], strict=True)))
        raise ArgumentError(f"{name} has the wrong length", expected=expected, got=repr(value), hint=hint)
    return tuple(_pair(name, entry, least) for entry in value)


def _pair(name: str, entry: Any, least: int | None) -> Pair:
    if not isinstance(entry, Sequence):
        return (_cells(name, entry, least),) * 2
    if isinstance(entry, str) or len(entry) != 2:
        raise ArgumentError(f"{name} of one axis is not a pair", expected="(before, after)", got=repr(entry))
    return _cells(name, entry[0], least), _cells(name, entry[1], least)


def _cells(name: str, value: object, least: int | None) -> int:
    return whole_number(name, value, -LARGEST if least is None else least, LARGEST)


def cropped(n: int, pair: Pair, axis: int) -> tuple[int, int, Pair]:
    """(first cell kept, cells kept, borders to add): negative widths crop, before anything is added.

    Raises:
        ArgumentError: more is cropped than there is.

    Example:
        >>> cropped(5, (-1, 2), axis=0)
        (1, 4, (0, 2))
    """
    first, end = max(-pair[0], 0), n - max(-pair[1], 0)
    if end < first:
        most, got = f"at most {n} cells cropped", f"widths {pair}"
        raise ArgumentError(f"axis {axis} has too few cells to crop", expected=most, got=got)
    return first, end - first, (max(pair[0], 0), max(pair[1], 0))
