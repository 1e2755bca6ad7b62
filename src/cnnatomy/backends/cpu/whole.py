"""The backward kernel of one region that is the whole map: every cell has the same one reader.

One unit of work is a plane, or one row of all channels where those are last, so that a single picture can
still be shared among threads. Where the pooling selects, a unit is zeros, and its winners' gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.emit import Emitter
from cnnatomy.backends.cpu.lanes import I64, Lanes, traced
from cnnatomy.reducers.contract import Output, Reducer

SLOTS = ("lanes", "rows", "cells", "d_divisor", "h_divisor", "w_divisor")
"""The plan's integers: units of a plane, and the cells of each; the divisors are tables of one number."""


@dataclass(frozen=True)
class WholeMap:
    """What such a kernel is specialised for."""

    reducer: Reducer  # that selects, or whose cells all get the same but for their own value
    dtype: str
    taps: str
    last: bool  # whether vectors run over channels
    widths: tuple[int, ...]

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


class _Writer:
    def __init__(self, spec: WholeMap, name: str) -> None:
        self.spec, self.reducer = spec, spec.reducer
        values = ("x",) if "x" in spec.reducer.reads else ()
        result = ("y",) if "y" in spec.reducer.reads else ()
        kept = tuple(f"saved{i}" for i in range(len(spec.reducer.saves)))
        self.e = Emitter(name, ("grad", *values, *result, *kept, "dx", "scratch"), spec.dtype)

    def write(self) -> str:
        e = self.e
        self.sizes = {name: e.size(slot) for slot, name in enumerate(SLOTS)}
        lanes, rows, cells = (self.sizes[name] for name in ("lanes", "rows", "cells"))
        fill = self.select if self.reducer.selects else self.same
        with e.odometer(e.lo, e.hi, (rows,)) as (row, plane):
            first = e.mul(row, cells)  # of the unit's cells in its plane
            here = e.mul(e.add(e.mul(plane, rows, cells), first), lanes)
            fill(here, e.mul(plane, lanes), first)
        return e.finish()

    def select(self, here: Any, outputs: Any, first: Any) -> None:
        """Zeros, and each winner that lies here."""
        e, b = self.e, self.e.builder
        lanes, cells = self.sizes["lanes"], self.sizes["cells"]
        taps = ir.IntType(8 if self.spec.taps == "uint8" else 32)

        e.clear(e.pointers["dx"], here, e.mul(cells, lanes))
        with e.loop(e.const(0), lanes) as lane:
            at = e.add(outputs, lane)
            cell = b.sub(b.zext(e.raw_load(e.pointers["saved0"], at, taps, 1), I64), first)

            def put() -> None:
                place = e.add(here, e.mul(cell, lanes), lane)
                e.store(e.load(e.pointers["grad"], at, 1), e.pointers["dx"], place, 1)

            e.when(b.icmp_unsigned("<", cell, cells), put)  # below 0 is large

    def same(self, here: Any, outputs: Any, first: Any) -> None:
        """To every cell what its plane's output spreads."""
        e, lanes = self.e, self.sizes["lanes"]
        alike = "x" not in self.reducer.reads  # then rounded once for all cells
        kept, widths = e.memory if alike else e.compute, self.spec.widths
        if alike and self.spec.dtype in ("float16", "bfloat16"):
            widths = (2 * widths[0], *widths)

        def keep(i: Any, width: int) -> None:
            told = self.told(e.add(outputs, i), width)
            if alike:
                e.store(self.reducer.collect(told, told), e.pointers["scratch"], i, width)
            else:
                e.raw_store(told.value, e.pointers["scratch"], i, kept)

        def put(told: Any, at: Any, width: int) -> None:
            if alike:
                e.raw_store(told, e.pointers["dx"], at, kept)
            else:
                x = e.load(e.pointers["x"], at, width)
                e.store(self.reducer.collect(e.lanes(told), x), e.pointers["dx"], at, width)

        def told(i: Any, width: int) -> Any:
            return e.raw_load(e.pointers["scratch"], i, kept, width)

        e.sweep(lanes, self.spec.widths, keep)
        if not self.spec.last:
            one = told(e.const(0), 1)
            spread = partial(e.spread, one)
            e.sweep(self.sizes["cells"], widths, lambda i, n: put(spread(n).value, e.add(here, i), n))
            return
        with e.loop(e.const(0), self.sizes["cells"]) as cell:
            start = e.add(here, e.mul(cell, lanes))
            e.sweep(lanes, widths, lambda i, n: put(told(i, n), e.add(start, i), n))

    def told(self, at: Any, width: int) -> Lanes:
        """What outputs spread."""
        e, reducer = self.e, self.reducer
        grad = e.load(e.pointers["grad"], at, width)
        one = e.full(1.0, width, e.compute)
        y = e.load(e.pointers["y"], at, width) if "y" in reducer.reads else one
        saved = tuple(
            e.lanes(e.raw_load(e.pointers[f"saved{i}"], at, e.compute, width))
            for i in range(len(reducer.saves))
        )
        count = e.spread(self.divisor(), width) if reducer.counts else one
        return e.lanes(traced(reducer.spread(grad, Output(y, saved, count))))

    def divisor(self) -> Any:
        e = self.e
        numbers = (
            e.raw_load(e.table(self.sizes[f"{axis}_divisor"]), e.const(0), e.compute, 1) for axis in "dhw"
        )
        d, h, w = numbers
        return e.builder.fmul(e.builder.fmul(d, h), w)
