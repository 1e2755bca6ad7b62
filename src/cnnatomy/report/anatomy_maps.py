"""Receptive fields for a page: each layer's units laid out as a map, their intervals written once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnatomy.anatomy.field import Field
from cnnatomy.anatomy.field.axis_field import Cells, Law
from cnnatomy.anatomy.present.map_layout import Layout, along, layout
from cnnatomy.anatomy.readings import Reading
from cnnatomy.anatomy.result import Anatomy

Readings = Mapping[Reading, tuple[Field, ...]]
"""A tensor's fields, exact and local."""
MOST = 1 << 16
"""A table with more entries than these is not embedded."""


@dataclass
class Tables:
    """Interval tables and laws, each kept once under a number."""

    arrays: dict[bytes, int] = field(default_factory=dict)
    flat: list[list[int]] = field(default_factory=list)
    laws: dict[Law, int] = field(default_factory=dict)

    def array(self, cells: Cells) -> int:
        """The number of an array of cells, whatever its shape."""
        key = np.ascontiguousarray(cells, np.int32).tobytes()
        if key not in self.arrays:
            self.arrays[key] = len(self.flat)
            self.flat.append(cells.ravel().tolist())
        return self.arrays[key]

    def law(self, law: Law) -> int:
        """The number of a law."""
        return self.laws.setdefault(law, len(self.laws))

    def plain(self) -> dict[str, Any]:
        """Everything kept, for JSON."""
        return {"arrays": self.flat, "laws": [_law(law) for law in self.laws]}


def mapped(anatomy: Anatomy, readings: Readings, tables: Tables) -> dict[str, Any] | None:
    """The fields of one tensor: the map of its units, and for each reading what they see on each axis.

    Returns:
        `map` as channels, depth, height, width; for `exact` and `local` one record for each axis of each
        input: its law, along which axis of the map, with `step` as units at one of the law's places and
        places, the shape of its tables, and runs of channels [stop, lo, hi] by number. None if
        the tensor reads nothing, or its tables are too large.
    """
    every = [one for fields in readings.values() for one in fields]
    if not every or max(one.lo.size for one in every) > MOST or len(every[0].shape) < 2:
        return None
    order = layout(every)
    shape = every[0].shape
    return {
        "map": [shape[dim] if dim else 1 for dim in order],
        **{name: [_axis(anatomy, one, order, tables) for one in fields] for name, fields in readings.items()},
    }


def _axis(anatomy: Anatomy, one: Field, order: Layout, tables: Tables) -> dict[str, Any]:
    lo, hi = (_laid(table, order) for table in (one.lo, one.hi))
    both = np.broadcast_shapes(lo.shape, hi.shape)
    lo, hi = np.broadcast_to(lo, both), np.broadcast_to(hi, both)
    changed = ((lo[1:] != lo[:-1]) | (hi[1:] != hi[:-1])).any((1, 2, 3))
    stops = [*(np.flatnonzero(changed) + 1).tolist(), both[0]]
    runs = [[stop, tables.array(lo[stop - 1]), tables.array(hi[stop - 1])] for stop in stops]
    dim = along(one, order, len(anatomy.inputs[one.input]) - 2)
    known = {"input": one.input, "axis": one.axis, "n": one.n, "law": tables.law(one.law)}
    known["along"] = order.index(dim) - 1 if dim else None
    known["step"] = [one.place.inner, one.place.count] if one.place and one.place.dim == dim else None
    return known | {"shape": list(both[1:]), "runs": runs} | ({"unsure": one.unsure} if one.unsure else {})


def _laid(table: Cells, order: Layout) -> Cells:
    """A table as (channels, depth, height, width), each of size 1 where constant; of other dims the first."""
    dims = [dim for dim in order if dim]
    index = tuple(slice(None) if dim in dims else 0 for dim in range(table.ndim))
    kept = sorted(dims)
    moved = table[index].transpose([kept.index(dim) for dim in dims])
    return moved.reshape([moved.shape[dims.index(dim)] if dim else 1 for dim in order])


def _law(law: Law) -> dict[str, Any]:
    if law.kind != "periodic":
        return {"kind": law.kind, "why": law.why}
    assert law.jump is not None
    assert law.centre is not None
    known = {"period": law.period, "shift": law.shift, "lo": law.lo, "hi": law.hi}
    return {"kind": law.kind, **known, "jump": str(law.jump), "centre": float(law.centre)}
