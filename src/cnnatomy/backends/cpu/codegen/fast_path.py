"""Remembering that a shorter way was wrong somewhere, at an instruction or two for each vector of results."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.emitter import Emitter
from cnnatomy.backends.cpu.codegen.vectors import I32, I64, traced, vector
from cnnatomy.reducers.contract import Mask


class Doubt:
    """Whether any lane of any mask was true since this was last empty, in one register of `width` lanes."""

    def __init__(self, e: Emitter, width: int) -> None:
        self.e, self.width = e, width
        self.lane = I64 if isinstance(e.compute, ir.DoubleType) else I32
        self.kind = ir.VectorType(self.lane, width)
        self.cell = e.cell(self.kind)

    def empty(self) -> None:
        """Nothing is doubtful."""
        self.e.builder.store(ir.Constant(self.kind, None), self.cell)

    def note(self, mask: Mask, width: int) -> None:
        """What is true in the mask is."""
        b = self.e.builder
        bits = b.bitcast(b.sext(traced(mask), vector(self.lane, width)), ir.VectorType(self.lane, width))
        while width > self.width:
            width //= 2
            halves = (self._some(bits, bits, range(start, start + width)) for start in (0, width))
            bits = b.or_(*halves)
        if width < self.width:
            none = ir.Constant(bits.type, None)
            bits = self._some(bits, none, [min(i, width) for i in range(self.width)])
        b.store(b.or_(b.load(self.cell, typ=self.kind), bits), self.cell)

    def any(self) -> Any:
        """Whether anything is."""
        b = self.e.builder
        whole = b.bitcast(b.load(self.cell, typ=self.kind), ir.IntType(self.width * self.lane.width))
        return b.icmp_signed("!=", whole, ir.Constant(whole.type, 0))

    def _some(self, one: Any, other: Any, order: Any) -> Any:
        lanes = ir.Constant(ir.VectorType(I32, len(order)), list(order))
        return self.e.builder.shuffle_vector(one, other, lanes)
