"""The field of every unit of a tensor on one input axis: a union of terms, and what operators do to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd, prod

import numpy as np

from cnnatomy.anatomy.field.algebra.arrays import NOTHING, Array, axis_cells, join
from cnnatomy.anatomy.field.algebra.taps import Taps, placed, sliced
from cnnatomy.anatomy.field.algebra.term import Term
from cnnatomy.anatomy.field.algebra.union import union

Shape = tuple[int, ...]
_MOST = 4  # terms of a table: an attention matrix has two


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What the units of a tensor see of one input axis.

    Terms differ in the factors that the axis lies on (the two of an attention matrix) or in their jumps;
    none at all stand for a tensor that depends on nothing there.

    Args:
        shape: the tensor's.
        terms: what its field is the union of.
        local: set aside what reads a whole axis at once.
    """

    shape: Shape
    terms: tuple[Term, ...] = ()
    local: bool = False

    @staticmethod
    def of(shape: Shape, dim: int, sets: bool = False) -> Table:
        """The input itself: every cell of axis `dim` sees itself."""
        n, rank = shape[dim], len(shape)
        cells = axis_cells(n, sets)
        at = (1,) * dim + (n,) + (1,) * (rank - dim - 1)
        law = None if sets else np.zeros((1,) * rank + (2,))
        term = Term(shape, (1,) * rank, cells.reshape(*at, -1), law, (dim,), 1)
        return Table(shape, (term.viewed(shape),))

    def with_terms(self, shape: Iterable[int], terms: Iterable[Term | None]) -> Table:
        """Other terms, merged where they can be."""
        merged: list[Term] = []
        for term in terms:
            if term is not None:
                _join(merged, term)
        return Table(tuple(shape), tuple(_few(merged)), self.local)

    def empty(self, shape: Iterable[int]) -> Table:
        """A tensor that depends on nothing."""
        return Table(tuple(shape), (), self.local)

    def view(self, shape: Iterable[int]) -> Table:
        """The same units in another shape, in row-major order."""
        new = tuple(shape)
        if new == self.shape:
            return self
        return Table(new, tuple(term.viewed(new) for term in self.terms), self.local)

    def permute(self, order: Iterable[int]) -> Table:
        """The axes in another order."""
        order = tuple(dim % len(self.shape) for dim in order)
        terms = tuple(term.permuted(order) for term in self.terms)
        return Table(tuple(self.shape[dim] for dim in order), terms, self.local)

    def expand(self, shape: Iterable[int]) -> Table:
        """Broadcast to a shape."""
        new = tuple(shape)
        if new == self.shape or not self.terms:
            return self if new == self.shape else self.empty(new)
        terms = (term.spread(self.shape, new) for term in self.terms)
        return Table(new, tuple(_sized(term, new) for term in terms), self.local)

    def tap(self, dim: int, taps: Taps) -> Table:
        """Read an axis by taps."""
        if taps.same:
            return self
        shape = (*self.shape[:dim], taps.outputs, *self.shape[dim + 1 :])
        return self.with_terms(shape, (term.tapped(dim, taps) for term in self.terms))

    def reduce(self, dims: Iterable[int], keep: bool = True) -> Table:
        """Read axes whole; they stay as size 1, or go."""
        dims = tuple({dim % max(len(self.shape), 1) for dim in dims})
        shape = tuple(1 if dim in dims else n for dim, n in enumerate(self.shape))
        found = self.with_terms(shape, (term.reduced(dims, self.local) for term in self.terms))
        if keep:
            return found
        return found.view(n for dim, n in enumerate(shape) if dim not in dims)

    def mark_unsure(self, operator: str, dims: Iterable[int] | None = None) -> Table:
        """Read axes, or all, in a way that is not known: whole, and with a mark that says so."""
        read = range(len(self.shape)) if dims is None else dims
        terms = tuple(term.lost(operator, operator) for term in self.terms)
        found = Table(self.shape, terms).reduce(read)
        return Table(found.shape, found.terms, self.local)

    def mix(self, dims: Iterable[int]) -> Table:
        """Every unit reads axes whole, and itself."""
        return union_of([self, self.reduce(dims)], self.shape)

    def accumulate(self, dim: int) -> Table:
        """Every unit reads those of an axis up to its own."""
        return self.with_terms(self.shape, (term.accumulated(dim) for term in self.terms))

    def slice(self, dim: int, cells: range) -> Table:
        """Some cells of an axis."""
        if cells == range(self.shape[dim]):
            return self
        return self.tap(dim, sliced(self.shape[dim], cells))

    def place(self, dim: int, cells: range, n: int) -> Table:
        """Put at some cells of an axis of n; nothing elsewhere."""
        return self if cells == range(n) else self.tap(dim, placed(n, cells))

    def unknown(self, why: str) -> Table:
        """The same without a law."""
        return Table(self.shape, tuple(term.lost(why) for term in self.terms), self.local)

    def alike(self, dim: int) -> bool:
        """Whether units do not differ along an axis."""
        return all(term.alike(dim) for term in self.terms)

    def run(self, dim: int) -> int:
        """Neighbours along an axis that see the same, in every stretch of so many from the first on."""
        return gcd(self.shape[dim], *(term.run(dim) for term in self.terms))

    def resized(self, dim: int, n: int) -> Table:
        """Another number of units along an axis where they are alike."""
        shape = (*self.shape[:dim], n, *self.shape[dim + 1 :])
        return Table(shape, tuple(term.resized(dim, n) for term in self.terms), self.local)

    def marked(self, dim: int) -> bool:
        """Whether the input's axis lies on an axis of the tensor."""
        return any(mark in term.axes(dim) for term in self.terms for mark in term.marks)

    def cells(self) -> Array:
        """The arrays of all terms as one, an axis for each of the tensor's."""
        found = [term.dense().cells for term in self.terms]
        return reduce(join(found[0]), found) if found else np.full((1,) * len(self.shape) + (2,), NOTHING)


def union_of(tables: Sequence[Table], shape: Iterable[int]) -> Table:
    """What units see that read one unit of every table, broadcast to a shape."""
    new = tuple(shape)
    first = tables[0]
    if len(tables) == 1:
        return first.expand(new)
    spread = [table.expand(new) for table in tables if table.terms]
    if len(spread) == 1:
        return spread[0]
    return first.with_terms(new, (term for table in spread for term in table.terms))


def _sized(term: Term, shape: Shape) -> Term:
    """Factors for axes that a broadcast has made longer."""
    for dim, n in enumerate(shape):
        if n > 1 and prod(term.factors[axis] for axis in term.axes(dim)) == 1:
            axis = sum(term.dims[:dim])
            dims = (*term.dims[:dim], 1, *term.dims[dim + 1 :])
            term = term.inserted(axis)
            term = term._replace(factors=(*term.factors[:axis], n, *term.factors[axis + 1 :]), dims=dims)
    return term


def _join(merged: list[Term], term: Term) -> None:
    for i, known in enumerate(merged):
        both = union(known, term)
        if both is not None:
            merged[i] = both
            return
    merged.append(term)


def _few(terms: list[Term]) -> list[Term]:
    if len(terms) <= _MOST:
        return terms
    dense = [t.dense().lost("too many branches of different jumps")._replace(marks=()) for t in terms]
    found = dense[0]
    for term in dense[1:]:
        found = union(found, term) or found
    return [found]
