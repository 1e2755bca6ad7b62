"""The backward kernel of poolings that select, where few outputs read many inputs: each adds to its winner.

One unit of work is one plane, so threads never write to the same place and the order of sums is fixed. A
processor that cannot tell whether a sum is the one it has just written waits for it; so two rows of outputs
whose windows share no cell, for they lie far apart, go abreast: both sums are read before one is written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.emitter import Emitter
from cnnatomy.backends.cpu.codegen.vectors import I32, I64

SLOTS = (
    *("depth", "height", "width", "out_depth", "out_height", "out_width", "offset", "apart"),
    *(f"{axis}_{what}" for axis in "dhw" for what in ("origin", "step")),
)
"""The plan's integers; origins are tables: for each output the cell of its tap 0, be it in the padding; and
`offset` is one of how many cells a tap lies behind tap 0, where taps are few. Rows of a pair are `apart`."""

FEW = 4096
"""Windows of at most so many taps have a table of their own; of others it would outlast the caches."""


@dataclass(frozen=True)
class Scatter:
    """What a scattering kernel is specialised for."""

    dtype: str
    taps: str
    kernel: tuple[int, int, int]  # the most taps on each axis, by which a tap's number is read
    widths: tuple[int, ...]
    pairs: bool  # whether two rows of outputs go abreast

    @property
    def few(self) -> bool:
        """Whether taps have a table of their own."""
        return math.prod(self.kernel) <= FEW

    @property
    def limit(self) -> int:
        """What every tap is below, but not the 255 of an output without any; a power of two where one fits.

        Below a power of two are two taps if all bits of either are.
        """
        count = math.prod(self.kernel)
        power = 1 << (count - 1).bit_length()
        return power if power < 256 else count

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
            rest = e.const(0)
            if self.spec.pairs:
                rest = e.add(s["apart"], s["apart"])
                with e.loop(e.const(0), s["apart"]) as oh:
                    self.rows(sums, base, od, [oh, e.add(oh, s["apart"])])
            with e.loop(rest, s["out_height"]) as oh:
                self.rows(sums, base, od, [oh])

    def rows(self, sums: Any, base: Any, od: Any, heights: list[Any]) -> None:
        """Every output of some rows, whose windows share no cell."""
        e, b, s = self.e, self.e.builder, self.sizes
        taps = ir.IntType(8 if self.spec.taps == "uint8" else 32)
        limit = ir.Constant(I32, self.spec.limit)
        slab = e.mul(self.origin("d", od), s["height"])
        starts, firsts = list[Any](), list[Any]()
        for oh in heights:
            number = e.add(e.mul(od, s["out_height"]), oh)
            starts.append(e.add(base, e.mul(number, s["out_width"])))
            firsts.append(e.mul(e.add(slab, self.origin("h", oh)), s["width"]))
        with e.loop(e.const(0), s["out_width"]) as ow:
            stored = [e.raw_load(e.pointers["saved0"], e.add(start, ow), taps, 1) for start in starts]
            winners = [one if one.type == I32 else b.zext(one, I32) for one in stored]
            every = list(zip(starts, firsts, winners, strict=True))
            bits = reduce(b.or_, winners)  # below a limit only if each is
            with b.if_else(b.icmp_unsigned("<", bits, limit), likely=True) as (then, otherwise):
                with then:
                    self.add(sums, ow, every)
                with otherwise:
                    if len(every) > 1:
                        for one in every:
                            e.when(b.icmp_unsigned("<", one[2], limit), partial(self.add, sums, ow, [one]))

    def add(self, sums: Any, ow: Any, outputs: list[tuple[Any, Any, Any]]) -> None:
        """Add the gradients of outputs of a column, each given by its row's start, first cell and winner."""
        e, across = self.e, self.origin("w", ow)
        places, totals = list[Any](), list[Any]()
        for start, first, winner in outputs:
            places.append(e.add(first, across, self.offset(winner)))
            grad = e.load(e.pointers["grad"], e.add(start, ow), 1)
            totals.append(e.lanes(e.raw_load(sums, places[-1], e.compute, 1)) + grad)
        for place, total in zip(places, totals, strict=True):
            e.raw_store(total.value, sums, place, e.compute)

    def offset(self, tap: Any) -> Any:
        """How many cells a tap lies behind tap 0."""
        e, b, s = self.e, self.e.builder, self.sizes
        if self.spec.few:
            return e.item(e.table(s["offset"]), b.zext(tap, I64))
        _, height, width = self.spec.kernel
        tw, rest = (write(tap, ir.Constant(I32, width)) for write in (b.urem, b.udiv))
        th, td = (write(rest, ir.Constant(I32, height)) for write in (b.urem, b.udiv))
        z, y, x = (
            e.mul(b.zext(t, I64), s[f"{axis}_step"]) for axis, t in zip("dhw", (td, th, tw), strict=True)
        )
        return e.add(e.mul(e.add(e.mul(z, s["height"]), y), s["width"]), x)
