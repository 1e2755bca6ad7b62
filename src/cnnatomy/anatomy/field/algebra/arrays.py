"""Arrays of what units see: joined and parted axes, taps, and the periodic arrays of laws."""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnatomy.anatomy.field.algebra.taps import Rows

Array = NDArray[Any]
NOTHING = np.int32(2**30)
EMPTY = {np.dtype(np.int32): NOTHING, np.dtype(np.uint64): 0, np.dtype(np.float64): np.inf}
"""What a unit that sees nothing has, by dtype; uint64 arrays hold sets, a bit for each cell."""
_WORD = 64
_ON = np.array([1.0, -1.0])


def join(array: Array) -> np.ufunc:
    """What makes one of what two units see: of sets the union, of intervals the hull."""
    return np.bitwise_or if array.dtype == np.uint64 else np.minimum


def walk(law: Array, axis: int, places: NDArray[np.intp], shift: int) -> Array:
    """A periodic array read at any places, those beyond its one period among them."""
    turn, phase = np.divmod(places, law.shape[axis])
    on = turn.reshape(turn.shape + (1,) * (law.ndim - axis - 1)) * (shift * _ON)
    found: Array = law.take(phase, axis) + on
    return found


def joined(array: Array, axes: range, sizes: list[int], whole: bool = False) -> Array:
    """Neighbouring axes as one, made whole where units differ along any of them, or if asked to.

    A law of period 1 along a marked factor is to be made whole: length 1 says there that one unit makes a
    period, not that all are alike.
    """
    first, last = axes.start, axes.stop
    if whole or array.shape[first:last] != (1,) * len(axes):
        array = np.broadcast_to(array, (*array.shape[:first], *sizes, *array.shape[last:]))
    return array.reshape(*array.shape[:first], prod(array.shape[first:last]), *array.shape[last:])


def parted(array: Array, axis: int, outer: int, inner: int) -> Array:
    """An axis as two."""
    parts = (1, 1) if array.shape[axis] == 1 else (outer, inner)
    return array.reshape(*array.shape[:axis], *parts, *array.shape[axis + 1 :])


def tapped(array: Array, axis: int, rows: Rows) -> Array:
    """What outputs see that read an axis by taps."""
    if array.shape[axis] == 1:
        if rows.none is None:
            return array
        found = np.repeat(array, len(rows.cells), axis)
    elif rows.cells.shape[1] == 1:
        found = array.take(rows.cells[:, 0], axis)
    else:
        found = array.take(rows.cells[:, 0], axis)
        for tap in range(1, rows.cells.shape[1]):
            join(array)(found, array.take(rows.cells[:, tap], axis), out=found)
    return emptied(found, axis, rows)


def period(law: Array, axis: int, rows: Rows, starts: NDArray[np.intp], shift: int) -> Array:
    """A periodic array read by the taps of one period, from several starts."""
    places = starts[:, None, None] + rows.cells
    found = walk(law, axis, places.reshape(-1, rows.cells.shape[1]), shift).min(axis + 1)
    none = None if rows.none is None else np.tile(rows.none, len(starts))
    return emptied(found, axis, Rows(rows.cells, none))


def emptied(array: Array, axis: int, rows: Rows) -> Array:
    """Nothing where nothing is read."""
    if rows.none is not None:
        array[(slice(None),) * axis + (rows.none,)] = EMPTY[array.dtype]
    return array


def saturates(array: Array, reduced: Array, along: tuple[int, ...]) -> bool:
    """Whether every output sees all that any unit sees, and no single unit does."""
    whole = array.min(tuple(range(array.ndim - 1)))
    if not along or not bool((reduced == whole).all()):
        return False
    return not bool((array == whole).all(-1).any())


@cache
def axis_cells(n: int, sets: bool) -> Array:
    """What the cells of an input axis see: themselves."""
    if sets:
        bits = np.zeros((n, -(-n // _WORD) * _WORD), np.uint8)
        np.fill_diagonal(bits, 1)
        return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
    cells = np.arange(n, dtype=np.int32)
    return np.stack([cells, -cells], -1)


def members(sets: Array, n: int) -> NDArray[np.bool_]:
    """Whether each of n cells is in a set.

    Example:
        >>> members(axis_cells(70, True)[:, None], 70)[66, 0].nonzero()[0].tolist()
        [66]
    """
    return np.unpackbits(sets.view(np.uint8), axis=-1, count=n, bitorder="little").astype(bool)
