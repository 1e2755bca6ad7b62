"""The backward kernel of poolings that select, where few outputs read many inputs: each adds to its winner.

One unit of work is one plane, so threads never write to the same place and the order of sums is fixed:

    dx[plane]                             is cleared
    dx[plane, origin(o) + offset(tap)]   += grad[plane, o]      for every output o, whose winner is `tap`

`origin` is a table for each axis: the cell of an output's tap 0, be it in the padding. `offset` is a table
too where taps are few, else it is worked out from the tap's number. Results of fewer digits than float32 are
summed in scratch memory.

Measured against gathering, where this is chosen (time without / with, one thread, AVX2): 1.3 to 1.9. Two rows
of outputs at a time, so that sums need not wait for each other, made no difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.emitter import Emitter
from cnnatomy.backends.cpu.codegen.vector_types import I32, I64

SLOTS = (
    *("depth", "height", "width", "out_depth", "out_height", "out_width", "offset"),
    *(f"{axis}_{what}" for axis in "dhw" for what in ("origin", "step")),
)
"""The plan's integers; origins are tables: for each output the cell of its tap 0, be it in the padding; and
`offset` is one of how many cells a tap lies behind tap 0, where taps are few."""

LONGEST_TABLE = 4096
"""Windows of at most so many taps have a table of their own; of others it would outlast the caches."""


@dataclass(frozen=True)
class Scatter:
    """What a scattering kernel is specialised for."""

    dtype: str
    taps: str
    kernel: tuple[int, int, int]  # the most taps on each axis, by which a tap's number is read
    widths: tuple[int, ...]

    @property
    def tabled(self) -> bool:
        """Whether taps have a table of their own."""
        return math.prod(self.kernel) <= LONGEST_TABLE

    @property
    def limit(self) -> int:
        """What every tap is below, but not the number of an output without any."""
        return math.prod(self.kernel)

    @property
    def wide(self) -> bool:
        """Whether sums are made in memory of their own, for they have more digits than the result."""
        return self.dtype not in ("float32", "float64")

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


class _Writer:
    def __init__(self, spec: Scatter, name: str) -> None:
        self.spec = spec
        self.e = Emitter(name, ("grad", "saved0", "dx", "scratch"), spec.dtype)

    def write(self) -> str:
        e = self.e
        self.sizes = {name: e.size(slot) for slot, name in enumerate(SLOTS)}
        s = self.sizes
        size, outputs = (e.mul(s[f"{of}depth"], s[f"{of}height"], s[f"{of}width"]) for of in ("", "out_"))
        with e.loop(e.lo, e.hi) as plane:
            here = e.at(e.pointers["dx"], e.mul(plane, size), e.memory)
            sums = e.pointers["scratch"] if self.spec.wide else here
            e.sweep(size, self.spec.widths, lambda i, width: self.clear(sums, i, width))
            self.outputs(sums, e.mul(plane, outputs))
            if self.spec.wide:
                e.sweep(size, self.spec.widths, lambda i, width: self.convert(sums, here, i, width))
        return e.finish()

    def clear(self, sums: Any, i: Any, width: int) -> None:
        self.e.raw_store(self.e.full(0.0, width, self.e.compute).value, sums, i, self.e.compute)

    def convert(self, sums: Any, here: Any, i: Any, width: int) -> None:
        self.e.store(self.e.lanes(self.e.raw_load(sums, i, self.e.compute, width)), here, i, width)

    def origin(self, axis: str, o: Any) -> Any:
        return self.e.item(self.e.table(self.sizes[f"{axis}_origin"]), o)

    def outputs(self, sums: Any, base: Any) -> None:
        """Every output of a plane adds its gradient to its winner's sum."""
        e, s = self.e, self.sizes
        with e.loop(e.const(0), s["out_depth"]) as od:
            slab = e.mul(self.origin("d", od), s["height"])
            with e.loop(e.const(0), s["out_height"]) as oh:
                row = e.mul(e.add(slab, self.origin("h", oh)), s["width"])
                number = e.add(e.mul(od, s["out_height"]), oh)
                self.row(sums, e.add(base, e.mul(number, s["out_width"])), row)

    def row(self, sums: Any, start: Any, first: Any) -> None:
        """Every output of a row, the first of which is `start`; `first` is the cell of its window's row 0."""
        e, b = self.e, self.e.builder
        taps = ir.IntType(8 if self.spec.taps == "uint8" else 32)
        limit = ir.Constant(I32, self.spec.limit)
        with e.loop(e.const(0), self.sizes["out_width"]) as ow:
            stored = e.raw_load(e.pointers["saved0"], e.add(start, ow), taps, 1)
            winner = stored if stored.type == I32 else b.zext(stored, I32)
            with b.if_then(b.icmp_unsigned("<", winner, limit), likely=True):
                cell = e.add(first, self.origin("w", ow), self.offset(winner))
                grad = e.load(e.pointers["grad"], e.add(start, ow), 1)
                total = e.lanes(e.raw_load(sums, cell, e.compute, 1)) + grad
                e.raw_store(total.value, sums, cell, e.compute)

    def offset(self, tap: Any) -> Any:
        """How many cells a tap lies behind tap 0."""
        e, b, s = self.e, self.e.builder, self.sizes
        if self.spec.tabled:
            return e.item(e.table(s["offset"]), b.zext(tap, I64))
        _, height, width = self.spec.kernel
        tw, rest = (write(tap, ir.Constant(I32, width)) for write in (b.urem, b.udiv))
        th, td = (write(rest, ir.Constant(I32, height)) for write in (b.urem, b.udiv))
        z, y, x = (
            e.mul(b.zext(t, I64), s[f"{axis}_step"]) for axis, t in zip("dhw", (td, th, tw), strict=True)
        )
        return e.add(e.mul(e.add(e.mul(z, s["height"]), y), s["width"]), x)
