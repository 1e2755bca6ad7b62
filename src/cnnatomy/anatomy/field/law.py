"""The law of a table: its field without borders in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import prod

import numpy as np

from cnnatomy.anatomy.field.algebra.arrays import Array
from cnnatomy.anatomy.field.algebra.field_table import Table
from cnnatomy.anatomy.field.algebra.term import Term
from cnnatomy.anatomy.field.algebra.union import DRIFT, union
from cnnatomy.anatomy.field.axis_field import Law, Place

_Strip = tuple[int, Array, Place | None]
"""Cells moved per period, (lo, -hi) of the units of one, and which units these are."""


def places(table: Table) -> set[Place]:
    """Where the input's axis, or the outermost factor that a view has made of it, lies on a tensor."""
    return {_place(term) for term in table.terms if term.marks}


def law_of(table: Table, others: Iterable[Place] = ()) -> tuple[Law, Place | None]:
    """What is periodic in a table, and along which units; of units that differ on other axes, the widest.

    Args:
        table: of one axis of an input.
        others: where the other axes lie: units inside of one place, as columns are in a row of tokens.
            All other units of an axis that see the same, as those that repeat a cell do, count one by one.
    """
    if not table.terms:
        return Law("none"), None
    unknown = next((term for term in table.terms if term.law is None), None)
    if unknown is not None:
        return Law("drift" if unknown.why.startswith(DRIFT) else "unknown", why=unknown.why), None
    found = [strip for term in table.terms if (strip := _strip(term, others)) is not None]
    if not found:
        return Law("none"), None
    if any(np.isinf(strip).any() for _, strip, _ in found):
        return Law("global"), None
    jumps = {Fraction(shift, len(strip)) for shift, strip, _ in found}
    if len(jumps) > 1:
        return Law("drift", why=f"{DRIFT}{' and '.join(map(str, sorted(jumps)))} cells meet"), None
    along = {place for _, _, place in found}
    if len(along) > 1:
        return Law("unknown", why="units move along two axes"), None
    whole, *rest = (Term((1,), (1,), strip, strip, (0,), shift) for shift, strip, _ in found)
    for term in rest:
        whole = union(whole, term) or whole
    assert whole.law is not None, "unions of laws are laws"
    lo, hi = (tuple(map(int, column)) for column in (whole.law[:, 0], -whole.law[:, 1]))
    return Law("periodic", len(lo), whole.shift, lo, hi), along.pop()


def _place(term: Term) -> Place:
    lead = term.marks[0]
    dim = _dim(term)
    return Place(dim, prod(term.factors[lead + 1 : term.axes(dim).stop]), term.factors[lead])


def _dim(term: Term) -> int:
    """The axis of the tensor that the first mark lies on."""
    return next(dim for dim in range(len(term.dims)) if term.marks[0] in term.axes(dim))


def _strip(term: Term, others: Iterable[Place]) -> _Strip | None:
    """What is periodic in a term; None if it sees nothing."""
    term = _compact(term, others)
    law = term.law
    assert law is not None, "factors behind the lead are joined to it, and none before"
    lead = term.marks[0] if term.marks else None
    strip = law.min(tuple(axis for axis in range(law.ndim - 1) if axis != lead)).reshape(-1, 2)
    empty = np.isinf(strip).all(-1) & (strip > 0).all(-1)
    if empty.all():
        return None
    if empty.any():  # phases that see nothing: what the others see, so that sizes are those of units that see
        strip = strip[~empty] if term.shift == 0 else np.where(empty[:, None], strip[~empty][:1], strip)
    return (term.shift, strip, _place(term)) if lead is not None and term.shift else (0, strip, None)


def _compact(term: Term, others: Iterable[Place]) -> Term:
    """With the input axis's factor joined to those behind it, but for those that other axes lie on."""
    if not term.marks or term.law is None:
        return term
    lead, dim = term.marks[0], _dim(term)
    own, stop, inner = _place(term), term.axes(dim).stop, 1
    beside = (other.inner * other.count for other in others if other.dim == dim)
    left = max((units for units in beside if units <= own.inner), default=1)
    while stop - 1 > lead and inner * term.factors[stop - 1] <= left:
        stop -= 1
        inner *= term.factors[stop]
    joined = range(lead, stop)
    dims = (*term.dims[:dim], term.dims[dim] - len(joined) + 1, *term.dims[dim + 1 :])
    return term.fused(joined)._replace(dims=dims) if len(joined) > 1 else term
