"""Vectors made of numbers and of other vectors: a number in every lane, lanes picked, moved, interleaved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.loops import Loops
from cnnatomy.backends.cpu.codegen.vector_types import I32, I64, splat, vector
from cnnatomy.backends.cpu.codegen.vectors import Lanes, Truth, traced
from cnnatomy.reducers.contract import Lane


class Shuffles(Loops):
    """A kernel that puts lanes elsewhere."""

    def lanes(self, value: Any) -> Lanes:
        """A traced vector."""
        return Lanes(self.builder, value)

    def full(self, number: float, width: int, kind: ir.Type) -> Lanes:
        """The same number in every lane."""
        return self.lanes(splat(vector(kind, width), number))

    def spread(self, scalar: Any, width: int) -> Lanes:
        """A run-time scalar in every lane."""
        if width == 1:
            return self.lanes(scalar)
        kind = vector(scalar.type, width)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, width), [0] * width)
        return self.lanes(self.builder.shuffle_vector(first, first, zeros))

    def mask(self, truth: Any, width: int) -> Truth:
        """A run-time truth in every lane."""
        return Truth(self.builder, self.spread(truth, width).value)

    def taps(self, number: Any, width: int) -> Lanes:
        """A 64-bit tap number in every lane."""
        return self.spread(number if self.tap == I64 else self.builder.trunc(number, I32), width)

    def counting(self, lanes: Lanes) -> Lanes:
        """Integers, each lane one more than the lane before."""
        count = getattr(lanes.kind, "count", 1)
        if count == 1:
            return lanes
        return self.lanes(self.builder.add(lanes.value, ir.Constant(lanes.kind, list(range(count)))))

    def moved(self, lanes: Lane, by: int) -> Lane:
        """Every lane `by` lanes further up; those that come in are some of these."""
        value = traced(lanes)
        if not by:
            return lanes
        width = value.type.count
        order = [min(max(i - by, 0), width - 1) for i in range(width)]
        mask = ir.Constant(ir.VectorType(I32, width), order)
        return self.lanes(self.builder.shuffle_vector(value, value, mask))

    def within(self, width: int, first: int, stop: int) -> Truth:
        """True in the lanes from `first` up to `stop`."""
        bits = [int(first <= i < stop) for i in range(width)]
        bit = ir.IntType(1)
        return Truth(self.builder, ir.Constant(vector(bit, width), bits if width > 1 else bits[0]))

    def part(self, lanes: Lane, width: int, number: int) -> Lanes:
        """The lanes of one part of so many."""
        value, first = traced(lanes), width * number
        if not isinstance(value.type, ir.VectorType):
            return self.lanes(value)
        if width == 1:
            return self.lanes(self.builder.extract_element(value, ir.Constant(I32, first)))
        mask = ir.Constant(ir.VectorType(I32, width), list(range(first, first + width)))
        return self.lanes(self.builder.shuffle_vector(value, value, mask))

    def pick(self, lanes: Lane, phase: int, stride: int, width: int) -> Lanes:
        """Every `stride`-th lane from `phase` on."""
        value = traced(lanes)
        if stride == 1:
            return self.lanes(value)
        if width == 1:
            return self.lanes(self.builder.extract_element(value, ir.Constant(I32, phase)))
        mask = ir.Constant(ir.VectorType(I32, width), [phase + stride * i for i in range(width)])
        return self.lanes(self.builder.shuffle_vector(value, value, mask))

    def interleave(self, parts: Sequence[Lanes], width: int) -> Lanes:
        """a0 b0 .. a1 b1 ..: the inverse of picking every phase."""
        b = self.builder
        if len(parts) == 1:
            return parts[0]
        if width == 1:
            joined: Any = ir.Constant(vector(parts[0].kind, len(parts)), ir.Undefined)
            for i, part in enumerate(parts):
                joined = b.insert_element(joined, part.value, ir.Constant(I32, i))
            return self.lanes(joined)
        joined, have = parts[0].value, width
        for part in parts[1:]:  # concatenate: both sides of a shuffle must be equally long
            grow = ir.Constant(ir.VectorType(I32, have), [min(i, width - 1) for i in range(have)])
            other = b.shuffle_vector(part.value, part.value, grow) if have > width else part.value
            join = ir.Constant(ir.VectorType(I32, have + width), list(range(have + width)))
            joined = b.shuffle_vector(joined, other, join)
            have += width
        order = [p * width + i for i in range(width) for p in range(len(parts))]
        mask = ir.Constant(ir.VectorType(I32, have), order)
        return self.lanes(b.shuffle_vector(joined, joined, mask))
