"""A tensor's units as a map: which of its dims are channels, depth, height and width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnatomy.checks import is_place
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from cnnatomy.anatomy.field import Field

Layout = tuple[int, int, int, int]


def layout(fields: Sequence[Field]) -> Layout:
    """Which dims of a tensor are its channels, depth, height and width; 0 for those that it does not have.

    The channels are dim 1, or the last one of tokens and of tensors with channels last: there the first axis
    moves along dim 1, and no other. Of more than three other dims the last three are taken.
    """
    rank = len(fields[0].shape)
    axes = [_varying(one) for one in fields if one.input == fields[0].input]
    tokens = rank == 3 and 1 in axes[0] and all(2 not in dims for dims in axes)
    last = rank > 3 and 1 in axes[0] and 2 not in axes[0] and all(1 not in dims for dims in axes[1:])
    channel = rank - 1 if tokens or (last and all(rank - 1 not in dims for dims in axes)) else 1
    others = [dim for dim in range(1, rank) if dim != channel][-3:]
    depth, height, width = [0] * (3 - len(others)) + others
    return channel, depth, height, width


def along(field: Field, order: Layout, spatial: int) -> int | None:
    """The dim on which the field moves along its axis: the only one on which units differ.

    Where none differ, it is the one at the same place among the map's as the axis among the `spatial` ones
    of its input, if there are as many. None where it cannot be told.
    """
    dims = [dim for dim in order[1:] if dim]
    moving = [dim for dim in dims if dim in _varying(field)]
    if moving:
        return moving[0] if len(moving) == 1 else None
    return dims[field.axis - 2] if len(dims) == spatial else None


def _varying(field: Field) -> set[int]:
    """The dims on which units differ."""
    return {dim for dim in range(len(field.shape)) if max(field.lo.shape[dim], field.hi.shape[dim]) > 1}


def borderless(field: Field, unit: Sequence[int]) -> tuple[int, int] | None:
    """First and last cell that a unit sees without the input's border.

    None where there is no law, or where channels differ: the law is that of the widest.
    """
    law, place = field.law, field.place
    if law.kind != "periodic" or _varying(field) - ({place.dim} if place else set()):
        return None
    turns, phase = divmod(place.of(unit) if place else 0, law.period)
    return law.lo[phase] + turns * law.shift, law.hi[phase] + turns * law.shift


def unit_at(fields: Sequence[Field], at: Sequence[int], channel: int = 0) -> tuple[int, ...]:
    """The index into a tensor of the unit at a place of its map.

    Raises:
        ArgumentError: the place has another number of coordinates than the map, or lies outside.
    """
    order, shape = layout(fields), fields[0].shape
    dims = [dim for dim in order[1:] if dim]
    sizes = [shape[dim] for dim in dims]
    place = tuple(at) if at or dims else ()
    if not is_place(place, sizes):
        expected = "×".join(map(str, sizes)) or "no place: the layer's output is no map"
        got = ",".join(map(str, at))
        raise ArgumentError("no such unit", expected=f"a place in {expected}", got=got or "none")
    if not 0 <= channel < shape[order[0]]:
        raise ArgumentError("no such channel", expected=f"0 to {shape[order[0]] - 1}", got=str(channel))
    unit = [0] * len(shape)
    unit[order[0]] = channel
    for dim, i in zip(dims, place, strict=True):
        unit[dim] = i
    return tuple(unit)
