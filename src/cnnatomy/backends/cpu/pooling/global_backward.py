"""The backward kernel of one window that is the whole map: every cell has the same one reader.

One unit of work is a plane, or one row of all channels where those are last, so that a single picture can
still be shared among threads. Scratch memory holds what is worked out once for each channel:

    scratch   | number 0 of channels c0 c1 .. | number 1 of channels c0 c1 .. | ..
    dx        every cell of the plane takes it: vectors run over cells, or over channels where those are last

Where the winners are known, a unit is zeros, and the gradients of the winners that lie in it.

Measured against gathering (time without / with, one thread, AVX2): 4 to 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.vector_types import I64, element
from cnnatomy.backends.cpu.codegen.vectors import traced
from cnnatomy.backends.cpu.pooling.backward_common import BackwardWriter, Pull, Row
from cnnatomy.reducers.contract import Reducer

SLOTS = ("lanes", "rows", "cells", "d_divisor", "h_divisor", "w_divisor")
"""The plan's integers: units of a plane, and the cells of each; the divisors are tables of one number."""


@dataclass(frozen=True)
class Global:
    """What such a kernel is specialised for."""

    reducer: Reducer
    dtype: str
    taps: str
    last: bool  # whether vectors run over channels
    widths: tuple[int, ...]

    @property
    def kept(self) -> int:
        """How many numbers of each channel lie in scratch memory."""
        return _Writer(self, "count").numbers() if self.reducer.gradient == "pairs" else 1

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


class _Writer(BackwardWriter):
    def __init__(self, spec: Global, name: str) -> None:
        super().__init__(name, spec.reducer, spec.dtype, spec.taps, SLOTS, spec.widths)
        self.spec = spec

    def numbers(self) -> int:
        """How many an output gives its cells."""
        zero = self.e.const(0)
        return len(self.given(Row(zero, zero, ir.Constant(self.e.compute, 1)), zero, zero, 1))

    def write(self) -> str:
        e = self.e
        lanes, rows, cells = (self.sizes[name] for name in ("lanes", "rows", "cells"))
        fill = self._select if self.reducer.sparse else self._same if self.sums else self._each
        with e.odometer(e.lo, e.hi, (rows,)) as (row, plane):
            first = e.mul(row, cells)  # of the unit's cells in its plane
            self.here = e.mul(e.add(e.mul(plane, rows, cells), first), lanes)
            zero = e.const(0)
            divisor = e.builder.fmul(self.number("d_divisor", zero), self.number("h_divisor", zero))
            fill(Row(e.mul(plane, lanes), first, divisor))
        return e.finish()

    def _select(self, row: Row) -> None:
        """Zeros, and each winner that lies here."""
        e, b = self.e, self.e.builder
        lanes, cells = self.sizes["lanes"], self.sizes["cells"]

        e.clear(e.pointers["dx"], self.here, e.mul(cells, lanes))
        with e.loop(e.const(0), lanes) as lane:
            given = self.given(row, lane, e.const(0), 1)
            for i in range(len(self.reducer.saves)):
                stored = e.raw_load(e.pointers[f"saved{i}"], e.add(row.start, lane), self.tap_element, 1)
                cell = b.sub(b.zext(stored, I64), row.tap)

                def put(cell: Any = cell) -> None:
                    (gradient,) = self.terms(row, (), given, cell, 1)
                    e.store(gradient, e.pointers["dx"], e.add(self.here, e.mul(cell, lanes), lane), 1)

                e.when(b.icmp_unsigned("<", cell, cells), put)  # below 0 is large

    def _same(self, row: Row) -> None:
        """To every cell what its plane's output spreads."""
        e, lanes = self.e, self.sizes["lanes"]
        rounded = "x" not in self.reducer.reads  # then rounded once for all cells
        kept, widths = e.memory if rounded else e.compute, self.widths
        if rounded and self.spec.dtype in ("float16", "bfloat16"):
            widths = (2 * widths[0], *widths)

        def keep(i: Any, width: int) -> None:
            output = self.output(row, i, e.const(0), width)
            share = self.reducer.spread(self.grad(row, i, width), output)
            if rounded:
                e.store(self.reducer.collect(share, share), e.pointers["scratch"], i, width)
            else:
                e.raw_store(traced(share), e.pointers["scratch"], i, kept)

        def put(share: Any, at: Any, width: int) -> None:
            if rounded:
                e.raw_store(share, e.pointers["dx"], at, kept)
            else:
                x = e.load(e.pointers["x"], at, width)
                e.store(self.reducer.collect(e.lanes(share), x), e.pointers["dx"], at, width)

        def shares(i: Any, width: int) -> Any:
            return e.raw_load(e.pointers["scratch"], i, kept, width)

        e.sweep(lanes, self.widths, keep)
        if not self.spec.last:
            one = shares(e.const(0), 1)
            spread = partial(e.spread, one)
            e.sweep(self.sizes["cells"], widths, lambda i, n: put(spread(n).value, e.add(self.here, i), n))
            return
        with e.loop(e.const(0), self.sizes["cells"]) as cell:
            start = e.add(self.here, e.mul(cell, lanes))
            e.sweep(lanes, widths, lambda i, n: put(shares(i, n), e.add(start, i), n))

    def _each(self, row: Row) -> None:
        """To every cell what its plane's output gives it."""
        work = self._over_channels if self.spec.last else self._over_cells
        self.path.run(lambda form: work(form, row))

    def _over_cells(self, form: Pull, row: Row) -> None:
        """Vectors run over cells."""
        zero = self.e.const(0)
        self.write_run(form, zero, self.sizes["cells"], self.given(row, zero, zero, 1), row.tap)

    def _over_channels(self, form: Pull, row: Row) -> None:
        """Vectors run over channels; what those are given is kept for all cells."""
        e, lanes = self.e, self.sizes["lanes"]
        kinds = list[ir.Type]()

        def place(k: int) -> Any:
            return e.at(e.pointers["scratch"], e.mul(e.const(k), lanes), e.compute)

        def keep(i: Any, width: int) -> None:
            given = self.given(row, i, e.const(0), width)
            self.check(form, given, width)
            kinds[:] = [element(traced(number).type) for number in given]
            for k, number in enumerate(given):
                e.raw_store(traced(number), place(k), i, kinds[k])

        e.sweep(lanes, self.widths, keep)
        with e.loop(e.const(0), self.sizes["cells"]) as cell:

            def body(i: Any, width: int) -> None:
                given = tuple(e.lanes(e.raw_load(place(k), i, kind, width)) for k, kind in enumerate(kinds))
                tap = e.taps(e.add(row.tap, cell), width)
                self.write_pulled(form, e.add(e.mul(cell, lanes), i), given, tap, width)

            e.sweep(lanes, self.widths, body, apart=True)
