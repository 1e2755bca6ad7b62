"""Two terms in one."""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np

from cnnatomy.anatomy.field.algebra.arrays import Array, join, walk
from cnnatomy.anatomy.field.algebra.term import Term

DRIFT = "jumps of "
"""How the reason begins why branches of unequal jumps have no law together."""


def union(one: Term, other: Term) -> Term | None:
    """Both in one; None if they cannot be: the axis lies elsewhere."""
    if one is other:
        return one
    if one.factors != other.factors or one.dims != other.dims:
        pair = _alike(one, other)
        if pair is None:
            return None
        one, other = pair
    if one.marks != other.marks:
        if not other.marks and _level(other):
            other = other._replace(marks=one.marks, shift=one.shift)
        elif not one.marks and _level(one):
            one = one._replace(marks=other.marks, shift=other.shift)
        elif one.marks[:1] == other.marks[:1]:  # windows of the axis, read whole or not
            marks = max(one.marks, other.marks, key=len)
            one, other = one._replace(marks=marks), other._replace(marks=marks)
        else:
            return None
    law, shift, why = None, one.shift, one.why or other.why
    if one.law is not None and other.law is not None:
        jumps = {jump for jump in (_jump(one), _jump(other)) if jump is not None}
        if len(jumps) > 1:
            why = f"{DRIFT}{' and '.join(map(str, sorted(jumps)))} cells meet"
        else:
            law, shift = _together(one, other)
    cells = join(one.cells)(one.cells, other.cells)
    return one._replace(cells=cells, law=law, shift=shift, why=why, unsure=one.unsure or other.unsure)


def _jump(term: Term) -> Fraction | None:
    """Cells from one unit's field to the next; None where the law is the same at every place."""
    return None if _level(term) else Fraction(term.shift, term.period or 1)


def _together(one: Term, other: Term) -> tuple[Array, int]:
    assert one.law is not None, "the caller has seen to it"
    assert other.law is not None, "the caller has seen to it"
    if one.period == other.period and one.shift == other.shift:
        return np.minimum(one.law, other.law), one.shift
    if _level(one):
        level = one.law.take([0], one.marks[0]) if one.marks else one.law
        return np.minimum(level, other.law), other.shift
    if _level(other):
        return _together(other, one)
    whole = lcm(one.period, other.period)
    axis, places = one.marks[0], np.arange(whole)
    pair = (walk(term.law, axis, places, term.shift) for term in (one, other) if term.law is not None)
    return np.minimum(*pair), one.shift * whole // one.period


def _level(term: Term) -> bool:
    """Whether its law is the same at every place: all or nothing."""
    return (
        term.law is not None
        and bool(np.isinf(term.law).all())
        and (not term.marks or bool((term.law == term.law.take([0], term.marks[0])).all()))
    )


def _alike(one: Term, other: Term) -> tuple[Term, Term] | None:
    """The two with the same factors, where an axis of one of them does not matter; else None."""
    for dim in range(len(one.dims)):
        a, b = (tuple(t.factors[axis] for axis in t.axes(dim)) for t in (one, other))
        if a == b:
            continue
        if _plain(other, dim):
            other = _refactored(other, dim, a)
        elif _plain(one, dim):
            one = _refactored(one, dim, b)
        else:
            one, other = _refined(one, other, dim)
    return one, other


def _plain(term: Term, dim: int) -> bool:
    axes = term.axes(dim)
    same = all(term.cells.shape[axis] == 1 and axis not in term.marks for axis in axes)
    return same and (term.law is None or all(term.law.shape[axis] == 1 for axis in axes))


def _refactored(term: Term, dim: int, sizes: tuple[int, ...]) -> Term:
    for axis in reversed(term.axes(dim)):
        term = term._replace(factors=(*term.factors[:axis], 1, *term.factors[axis + 1 :])).without(axis)
    start = sum(term.dims[:dim])
    for _ in sizes:
        term = term.inserted(start)
    factors = (*term.factors[:start], *sizes, *term.factors[start + len(sizes) :])
    return term._replace(factors=factors, dims=(*term.dims[:dim], len(sizes), *term.dims[dim + 1 :]))


def _refined(one: Term, other: Term, dim: int) -> tuple[Term, Term]:
    """An axis in factors so small that both have the same; one factor where there are none such."""
    pair, at = [one, other], 0
    while at < max(term.dims[dim] for term in pair):
        if at == min(term.dims[dim] for term in pair):  # a factor of size 1 more
            return one.single(dim), other.single(dim)
        sizes = [term.factors[term.axes(dim)[at]] for term in pair]
        small, large = (0, 1) if sizes[0] < sizes[1] else (1, 0)
        if sizes[large] % sizes[small]:
            return one.single(dim), other.single(dim)
        if sizes[0] != sizes[1]:
            term = pair[large]
            dims = (*term.dims[:dim], term.dims[dim] + 1, *term.dims[dim + 1 :])
            pair[large] = term.split(term.axes(dim)[at], sizes[small])._replace(dims=dims)
        at += 1
    return pair[0], pair[1]
