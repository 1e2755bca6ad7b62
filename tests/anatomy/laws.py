"""What a law predicts, against the intervals of all units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnnatomy.anatomy.field import Field, Fields
from cnnatomy.anatomy.readings import READINGS

Cells = NDArray[np.int32]


def by_place(field: Field, lo: Cells, hi: Cells) -> tuple[Cells, Cells]:
    """The intervals of all units that count as one for the law, each as the union of theirs."""
    if field.place is None:
        return lo.min().reshape(1), hi.max().reshape(1)
    dim, inner, count = field.place.dim, field.place.inner, field.place.count
    others = tuple(axis for axis in range(lo.ndim) if axis != dim)
    ends = []
    for edge, narrow in ((lo, np.minimum), (hi, np.maximum)):
        line = narrow.reduce(edge, others)
        line = np.broadcast_to(line, (field.shape[dim],))
        ends.append(narrow.reduce(line.reshape(-1, count, inner), (0, 2)))
    return ends[0], ends[1]


def mispredicted(field: Field, lo: Cells | None = None, hi: Cells | None = None) -> tuple[int, list[str]]:
    """How many units far from borders a law predicts, and what of these is not so.

    Far is: in the middle half of the map, and the field's own size or more away from the input's borders.
    """
    law = field.law
    if law.kind != "periodic":
        return 0, []
    low, high = by_place(field, field.lo if lo is None else lo, field.hi if hi is None else hi)
    numbers = np.arange(len(low))
    turn, phase = np.divmod(numbers, law.period)
    first, last = (np.array(edge)[phase] + turn * law.shift for edge in (law.lo, law.hi))
    quarter, size = len(low) // 4, max(law.sizes)
    far = (numbers >= quarter) & (numbers < len(low) - quarter) & (low <= high)
    far &= (first >= size) & (last + size < field.n)
    wrong = np.flatnonzero(far & ((low != first) | (high != last)))
    told = [f"unit {o}: {first[o]}..{last[o]}, not {low[o]}..{high[o]}" for o in wrong]
    return int(far.sum()), [f"axis {field.axis}, {law}, {field.place}, {line}" for line in told[:2]]


def all_mispredicted(fields: Fields, calls: bool = True) -> tuple[int, int, list[str]]:
    """The same of everything that modules, or all operators, return: laws, units, and what is wrong."""
    laws, units, bad = 0, 0, []
    for reading in READINGS:
        graph = fields.graph
        made = [
            (visit.path, fields.returned(at, reading=reading))
            for at, visit in enumerate(graph.visits)
            if visit.outputs
        ]
        if calls:
            made += [
                (call.name, fields.of(at, reading=reading))
                for at, call in enumerate(graph.calls)
                if call.outputs
            ]
        for name, some in made:
            for field in some:
                if not np.prod(field.shape):
                    continue
                count, wrong = mispredicted(field)
                laws, units = laws + (field.law.kind == "periodic"), units + count
                bad += [f"{name}, {reading}, {line}" for line in wrong]
    return laws, units, bad
