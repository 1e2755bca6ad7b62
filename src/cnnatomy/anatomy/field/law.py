"""The law of a table: its field without borders in one sentence."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from cnnatomy.anatomy.field.arrays import Array
from cnnatomy.anatomy.field.result import Law
from cnnatomy.anatomy.field.table import Table
from cnnatomy.anatomy.field.term import Term
from cnnatomy.anatomy.field.union import DRIFT, union


def law_of(table: Table) -> Law:
    """What is periodic in a table; of units that differ on other axes, the widest."""
    if not table.terms:
        return Law("none")
    unknown = next((term for term in table.terms if term.law is None), None)
    if unknown is not None:
        return Law("drift" if unknown.why.startswith(DRIFT) else "unknown", why=unknown.why)
    strips = [strip for term in table.terms if (strip := _strip(term)) is not None]
    if not strips:
        return Law("none")
    if any(np.isinf(strip).any() for _, strip in strips):
        return Law("global")
    jumps = {Fraction(shift, len(strip)) for shift, strip in strips}
    if len(jumps) > 1:
        return Law("drift", why=f"{DRIFT}{' and '.join(map(str, sorted(jumps)))} cells meet")
    terms = [Term((1,), (1,), strip, strip, (0,), shift) for shift, strip in strips]
    whole = terms[0]
    for term in terms[1:]:
        whole = union(whole, term) or whole
    assert whole.law is not None, "unions of laws are laws"
    lo, hi = (tuple(map(int, column)) for column in (whole.law[:, 0], -whole.law[:, 1]))
    return Law("periodic", len(lo), whole.shift, lo, hi)


def _strip(term: Term) -> tuple[int, Array] | None:
    """Cells moved per period, and (lo, -hi) of the units of one; None if they see nothing."""
    term = _compact(term)
    law = term.law
    if law is None:
        return 0, np.full((1, 2), -np.inf)
    lead = term.marks[0] if term.marks else None
    others = tuple(axis for axis in range(law.ndim - 1) if axis != lead)
    strip = law.min(others).reshape(-1, 2)
    empty = np.isinf(strip).all(-1) & (strip > 0).all(-1)
    if empty.all():
        return None
    if empty.any():  # phases that see nothing: what the others see, so that sizes are those of units that see
        strip = strip[~empty] if term.shift == 0 else np.where(empty[:, None], strip[~empty][:1], strip)
    return (term.shift if lead is not None else 0), strip


def _compact(term: Term) -> Term:
    """With the input axis's factor joined to those after it that are of it, or where units differ."""
    if not term.marks or term.law is None:
        return term
    lead = term.marks[0]
    dim = next(dim for dim in range(len(term.dims)) if lead in term.axes(dim))
    rest = range(lead + 1, term.axes(dim).stop)
    together = any(axis in term.marks or term.law.shape[axis] > 1 for axis in rest)
    return term.single(dim) if together else term
