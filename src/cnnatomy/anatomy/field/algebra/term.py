"""What the units of a tensor see of one input axis, as arrays that follow the tensor through the network.

A term has one array axis for every *factor* of the tensor's axes: those that a view merged stay apart
(tokens (N, HW, C) have the factors N, H, W, C), and an axis has length 1 where units do not differ. The
last array axis holds (lo, -hi), so that the union of intervals is one minimum, empty is (large, large), and
all is (-inf, -inf).
"""

from __future__ import annotations

from math import gcd, prod
from typing import NamedTuple

import numpy as np

from cnnatomy.anatomy.field.algebra import arrays
from cnnatomy.anatomy.field.algebra.arrays import Array
from cnnatomy.anatomy.field.algebra.taps import Taps


class Term(NamedTuple):
    """One part of a tensor's field; the field is the union of its terms.

    Args:
        factors: sizes of the factors, in order.
        dims: how many of them each axis of the tensor has; none stands for size 1.
        cells: what units see of the input at hand.
        law: the same without borders, where the first marked factor holds one period; None where not known.
        marks: the factors that the input's axis lies on, the outermost first.
        shift: cells from one period to the next.
        why: why the law is not known.
        unsure: an operator on the way whose taps are not known.
    """

    factors: tuple[int, ...]
    dims: tuple[int, ...]
    cells: Array
    law: Array | None
    marks: tuple[int, ...] = ()
    shift: int = 0
    why: str = ""
    unsure: str = ""

    @property
    def period(self) -> int:
        """Units of a period; 0 where nothing moves on."""
        return self.law.shape[self.marks[0]] if self.marks and self.law is not None else 0

    def axes(self, dim: int) -> range:
        """The factors of an axis."""
        start = sum(self.dims[:dim])
        return range(start, start + self.dims[dim])

    def alike(self, dim: int) -> bool:
        """Whether units do not differ along an axis of one factor."""
        if self.dims[dim] != 1:
            return False
        axis = sum(self.dims[:dim])
        same = self.cells.shape[axis] == 1 and axis not in self.marks
        return same and (self.law is None or self.law.shape[axis] == 1)

    def run(self, dim: int) -> int:
        """Neighbours along an axis that see the same, in every stretch of so many from the first on."""
        same = 1
        for axis in reversed(self.axes(dim)):
            if self.cells.shape[axis] > 1 or axis in self.marks:
                break
            if self.law is not None and self.law.shape[axis] > 1:
                break
            same *= self.factors[axis]
        return same

    def resized(self, dim: int, n: int) -> Term:
        """Another number of units along such an axis."""
        axis = sum(self.dims[:dim])
        return self._replace(factors=(*self.factors[:axis], n, *self.factors[axis + 1 :]))

    def single(self, dim: int) -> Term:
        """The same with one factor on an axis."""
        axes = self.axes(dim)
        if len(axes) == 1:
            return self
        dims = (*self.dims[:dim], 1, *self.dims[dim + 1 :])
        return (self.fused(axes) if axes else self.inserted(axes.start))._replace(dims=dims)

    def inserted(self, axis: int) -> Term:
        """A factor of size 1 more; `dims` is the caller's."""
        law = None if self.law is None else np.expand_dims(self.law, axis)
        factors = (*self.factors[:axis], 1, *self.factors[axis:])
        marks = tuple(mark + (mark >= axis) for mark in self.marks)
        return self._replace(factors=factors, cells=np.expand_dims(self.cells, axis), law=law, marks=marks)

    def fused(self, axes: range) -> Term:
        """Neighbouring factors as one; `dims` is the caller's."""
        first, sizes = axes.start, [self.factors[axis] for axis in axes]
        law, why, lead = self.law, self.why, self.marks[0] if self.marks else -1
        if law is not None and lead in axes:
            if prod(self.factors[first:lead]) > 1:
                law, why = None, "an axis that others are wound around"
            else:
                inner = [
                    self.period,
                    *self.factors[lead + 1 : axes.stop],
                ]  # a period of 1 is one, not all alike
                law = arrays.joined(law, axes, [1] * (lead - first) + inner, whole=True)
        elif law is not None:
            law = arrays.joined(law, axes, sizes)
        moved = (
            first if mark in axes else mark - (mark >= axes.stop) * (len(axes) - 1) for mark in self.marks
        )
        return self._replace(
            factors=(*self.factors[:first], prod(sizes), *self.factors[axes.stop :]),
            cells=arrays.joined(self.cells, axes, sizes),
            law=law,
            marks=tuple(dict.fromkeys(moved)),
            why=why,
        )

    def split(self, axis: int, outer: int) -> Term:
        """A factor as two; `dims` is the caller's."""
        inner = self.factors[axis] // outer
        law, shift = self.law, self.shift
        if law is not None and self.marks and axis == self.marks[0]:
            turns = self.period // gcd(self.period, inner)
            law = arrays.walk(law, axis, np.arange(turns)[:, None] * inner + np.arange(inner), shift)
            shift = shift * turns * inner // self.period
        elif law is not None:
            law = arrays.parted(law, axis, outer, inner)
        marks = [(axis, axis + 1) if mark == axis else (mark + (mark > axis),) for mark in self.marks]
        return self._replace(
            factors=(*self.factors[:axis], outer, inner, *self.factors[axis + 1 :]),
            cells=arrays.parted(self.cells, axis, outer, inner),
            law=law,
            marks=tuple(mark for pair in marks for mark in pair),
            shift=shift,
        )

    def without(self, axis: int) -> Term:
        """A factor of size 1 less; `dims` is the caller's."""
        law, why = self.law, self.why
        if law is not None and axis in self.marks:
            law = law.take(0, axis)
            if axis == self.marks[0] and len(self.marks) > 1:
                law, why = None, "one window over the whole axis"
        elif law is not None:
            law = law.squeeze(axis)
        return self._replace(
            factors=(*self.factors[:axis], *self.factors[axis + 1 :]),
            cells=self.cells.squeeze(axis),
            law=law,
            marks=tuple(mark - (mark > axis) for mark in self.marks if mark != axis),
            shift=0 if axis in self.marks[:1] else self.shift,
            why=why,
        )

    def viewed(self, shape: tuple[int, ...]) -> Term:
        """The same units in another shape, in row-major order."""
        term = self
        for axis in reversed(range(len(self.factors))):
            if self.factors[axis] == 1 and axis not in self.marks:
                term = term.without(axis)
        dims, axis = [], 0
        for left in shape:
            start = axis
            while axis < len(term.factors) and (left > 1 or term.factors[axis] == 1):
                size = term.factors[axis]
                if left % size and size % left:
                    term = term.fused(range(axis, axis + 2))
                    continue
                if left % size:
                    term, size = term.split(axis, left), left
                left //= size
                axis += 1
            dims.append(axis - start)
        return term._replace(dims=tuple(dims))

    def permuted(self, order: tuple[int, ...]) -> Term:
        """The tensor's axes in another order."""
        axes = [axis for dim in order for axis in self.axes(dim)]
        law = None if self.law is None else self.law.transpose(*axes, -1)
        return self._replace(
            factors=tuple(self.factors[axis] for axis in axes),
            dims=tuple(self.dims[dim] for dim in order),
            cells=self.cells.transpose(*axes, -1),
            law=law,
            marks=tuple(axes.index(mark) for mark in self.marks),
        )

    def spread(self, before: tuple[int, ...], shape: tuple[int, ...]) -> Term:
        """Broadcast to a shape."""
        new = len(shape) - len(before)
        term = self._replace(dims=(0,) * new + self.dims)
        for dim in range(new, len(shape)):
            if before[dim - new] == 1 < shape[dim]:
                for axis in reversed(term.axes(dim)):
                    term = term.without(axis)
                term = term._replace(dims=(*term.dims[:dim], 0, *term.dims[dim + 1 :]))
        return term

    def tapped(self, dim: int, taps: Taps) -> Term:
        """What outputs see that read an axis by taps."""
        term = self.single(dim)
        axis = term.axes(dim).start
        law, why, shift = term.law, term.why, term.shift
        if law is not None and axis in term.marks[:1]:
            if taps.period is None:
                law, why = None, taps.why
            else:
                turns = term.period // gcd(term.period, taps.cells)
                starts = np.arange(turns) * taps.cells
                law = arrays.period(law, axis, taps.period, starts, shift)
                shift = shift * turns * taps.cells // term.period
        elif law is not None:
            law = arrays.tapped(law, axis, taps.rows)
        cells = arrays.tapped(term.cells, axis, taps.rows)
        factors = (*term.factors[:axis], taps.outputs, *term.factors[axis + 1 :])
        found = term._replace(factors=factors, cells=cells, law=law, shift=shift, why=why)
        if taps.outputs > 1 or axis in term.marks:
            return found
        return found.without(axis)._replace(dims=(*term.dims[:dim], 0, *term.dims[dim + 1 :]))

    def reduced(self, dims: tuple[int, ...], local: bool) -> Term | None:
        """The union over axes, which stay as size 1; None if it is of the whole input axis and set aside."""
        axes = [axis for dim in dims for axis in self.axes(dim)]
        seen = [axis for axis in self.marks if self.factors[axis] > 1]
        whole = bool(seen) and all(axis in axes for axis in seen)
        along = tuple(axis for axis in axes if self.cells.shape[axis] > 1)
        cells = arrays.join(self.cells).reduce(self.cells, along, keepdims=True) if along else self.cells
        if local and (
            whole or (not self.marks and self.law is None and arrays.saturates(self.cells, cells, along))
        ):
            return None
        term, law, why = self, self.law, self.why
        if law is not None and seen and seen[0] in axes:
            everything = law.min(tuple(range(law.ndim - 1)), keepdims=True)
            law = np.where(np.isinf(everything).all(), everything, np.full_like(everything, -np.inf))
            law = law.reshape((1,) * (law.ndim - 1) + (2,))
        elif law is not None:
            law = law.min(tuple(a for a in axes if a not in self.marks[:1]), keepdims=True) if axes else law
        marks = tuple(axis for axis in self.marks if axis not in axes or self.factors[axis] == 1)
        if self.marks[:1] != marks[:1] and marks:
            marks, law = (marks, law) if law is not None and np.isinf(law).all() else (marks, None)
        factors = tuple(1 if axis in axes else size for axis, size in enumerate(self.factors))
        term = self._replace(factors=factors, cells=cells, law=law, marks=marks, why=why)
        for axis in sorted(axes, reverse=True):
            term = term.without(axis)
        return term._replace(dims=tuple(0 if dim in dims else count for dim, count in enumerate(self.dims)))

    def accumulated(self, dim: int) -> Term:
        """The union over an axis up to each unit's own place."""
        term = self.single(dim)
        axis, law = term.axes(dim).start, term.law
        if term.cells.shape[axis] == 1 and axis not in term.marks:
            return term
        known = law is not None and axis not in term.marks
        return (term if known else term.lost("a running sum along the axis"))._replace(
            cells=arrays.join(term.cells).accumulate(term.cells, axis),
            law=np.minimum.accumulate(law, axis) if law is not None and known else None,
        )

    def lost(self, why: str, unsure: str = "") -> Term:
        """The same without a law."""
        return self._replace(law=None, why=self.why or why, unsure=self.unsure or unsure)

    def dense(self) -> Term:
        """The same with one factor on every axis."""
        term = self
        for dim in range(len(self.dims)):
            term = term.single(dim)
        return term
