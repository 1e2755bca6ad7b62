"""Tables side by side, and tables that overwrite a part of another."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import numpy as np

from cnnatomy.anatomy.field.algebra.arrays import EMPTY, NOTHING, Array
from cnnatomy.anatomy.field.algebra.field_table import Shape, Table, union_of
from cnnatomy.anatomy.field.algebra.term import Term


def cat(tables: Sequence[Table], dim: int, shape: Shape) -> Table:
    """Tables side by side along an axis."""
    if not any(table.terms for table in tables):
        return tables[0].empty(shape)
    if any(table.marked(dim) for table in tables):
        return _along(tables, dim, shape)
    together = gcd(*(table.run(dim) for table in tables))
    if together > 1:
        return _shared(tables, dim, shape, together)
    swift = _beside(tables, dim, shape)
    if swift is not None:
        return swift
    parts, at = [], 0
    for table in tables:
        n = table.shape[dim]
        parts.append(table.place(dim, range(at, at + n), shape[dim]))
        at += n
    return union_of(parts, shape)


def _shared(tables: Sequence[Table], dim: int, shape: Shape, together: int) -> Table:
    """Side by side where so many neighbours see the same: what each sees is kept once."""
    before, after = shape[:dim], shape[dim + 1 :]
    parts = [table.view((*before, table.shape[dim] // together, together, *after)) for table in tables]
    few = [part.slice(dim + 1, range(1)).view((*before, part.shape[dim], *after)) for part in parts]
    once = cat(few, dim, (*before, shape[dim] // together, *after))
    lead = once.shape[: dim + 1]
    return once.view((*lead, 1, *after)).expand((*lead, together, *after)).view(shape)


def written(base: Table, part: Table, boxes: Sequence[range]) -> Table:
    """A table some of whose cells, a box, are overwritten."""
    partial = [dim for dim, cells in enumerate(boxes) if cells != range(base.shape[dim])]
    for dim in partial:
        part = part.place(dim, boxes[dim], base.shape[dim])
    if not base.terms:
        return part
    kept = [_punched(term, boxes, partial) for term in base.terms]
    rest = Table(base.shape, tuple(kept), base.local)
    along = [dim for dim in partial if base.marked(dim) or part.marked(dim)]
    if along:
        if _shows(part, rest, along[0]):
            part = _without_law(part)
        else:
            rest, part = (table.unknown("a part of the axis is overwritten") for table in (rest, part))
    return union_of([rest, part], base.shape)


def _along(tables: Sequence[Table], dim: int, shape: Shape) -> Table:
    """Side by side along the axis itself, where only a border leaves a law."""
    main = max(range(len(tables)), key=lambda i: tables[i].shape[dim] * tables[i].marked(dim))
    parts, at = [], 0
    for i, table in enumerate(tables):
        n = table.shape[dim]
        part = table.place(dim, range(at, at + n), shape[dim])
        if i != main and part.terms:
            border = n < tables[main].shape[dim] and _shows(table, tables[main], dim)
            part = _without_law(part) if border else part.unknown("tensors side by side along the axis")
        parts.append(part)
        at += n
    return union_of(parts, shape)


def _shows(part: Table, whole: Table, dim: int) -> bool:
    """Whether every cell of an axis is nothing but a cell of another's, as in a border that repeats cells."""
    if any(term.law is None for table in (part, whole) for term in table.terms):
        return False
    arrays = [np.moveaxis(table.cells(), dim, 0) for table in (part, whole)]
    sizes = np.broadcast_shapes(*(array.shape[1:] for array in arrays))
    shown, known = (
        {row.tobytes() for row in np.broadcast_to(array, (len(array), *sizes))} for array in arrays
    )
    return shown <= known | {np.full(sizes, NOTHING).tobytes()}


def _beside(tables: Sequence[Table], dim: int, shape: Shape) -> Table | None:
    """Side by side where every table has one term and these differ along the axis alone."""
    if any(len(table.terms) != 1 for table in tables):
        return None
    terms = [table.terms[0].single(dim) for table in tables]
    first = terms[0]
    axis = first.axes(dim).start
    key = _key(first, axis)
    if any(_key(term, axis) != key for term in terms):
        return None
    factors = (*first.factors[:axis], shape[dim], *first.factors[axis + 1 :])
    cells = _stacked([term.cells for term in terms], axis, terms)
    laws = [term.law for term in terms if term.law is not None]
    law = _stacked(laws, axis, terms) if laws else None
    unsure = next((term.unsure for term in terms if term.unsure), "")
    return Table(
        shape, (first._replace(factors=factors, cells=cells, law=law, unsure=unsure),), tables[0].local
    )


def _key(term: Term, axis: int) -> tuple[object, ...]:
    others = (*term.factors[:axis], *term.factors[axis + 1 :])
    return others, term.dims, term.marks, term.shift, term.period, term.law is None


def _stacked(arrays: list[Array], axis: int, terms: list[Term]) -> Array:
    first = arrays[0]
    if first.shape[axis] == 1 and all(
        a is first or (a.shape == first.shape and bool((a == first).all())) for a in arrays
    ):
        return first
    sizes = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
    sizes[axis] = sum(term.factors[axis] for term in terms)
    found, at = np.empty(sizes, first.dtype), 0
    before = (slice(None),) * axis
    for array, term in zip(arrays, terms, strict=True):
        n = term.factors[axis]
        found[(*before, slice(at, at + n))] = array
        at += n
    return found


def _punched(term: Term, boxes: Sequence[range], partial: Sequence[int]) -> Term:
    """A term that sees nothing inside a box; a law is not touched along the axis that it is of."""
    for dim in partial:
        term = term.single(dim)
    cells, law = term.cells, term.law
    axes = [term.axes(dim).start for dim in partial]
    cells = _hole(cells, term, axes, [boxes[dim] for dim in partial])
    if law is not None and not any(axis in term.marks for axis in axes):
        law = _hole(law, term, axes, [boxes[dim] for dim in partial])
    return term._replace(cells=cells, law=law)


def _hole(array: Array, term: Term, axes: Sequence[int], boxes: Sequence[range]) -> Array:
    sizes = [term.factors[axis] if axis in axes else n for axis, n in enumerate(array.shape[:-1])]
    found = np.broadcast_to(array, (*sizes, array.shape[-1])).copy()
    at: list[slice] = [slice(None)] * found.ndim
    for axis, cells in zip(axes, boxes, strict=True):
        at[axis] = slice(cells.start, cells.stop, cells.step)
    found[tuple(at)] = EMPTY[found.dtype]
    return found


def _without_law(table: Table) -> Table:
    """A border: it adds nothing to the field without borders."""
    bare = (t._replace(law=np.full_like(t.law, np.inf) if t.law is not None else None) for t in table.terms)
    return Table(table.shape, tuple(bare), table.local)
