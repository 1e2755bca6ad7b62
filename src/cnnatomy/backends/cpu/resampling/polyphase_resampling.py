"""The kernel of separable linear maps whose outputs along a row come in phases: vectors run over periods.

What a vector of periods reads is one run of memory: it is loaded whole, its phases are picked apart, and the
outputs' phases are interleaved before they are stored (linear, to double size):

    cells     c0     c1     c2     c3            period m reads cells m - 1, m, m + 1
    outputs   y0 y1  y2 y3  y4 y5  y6 y7         phase 0: y0 y2 y4 y6,  phase 1: y1 y3 y5 y7

Measured against the table of `general` (time without / with, one thread, AVX2): 1.2 to 2.8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.vector_types import I32, I64
from cnnatomy.backends.cpu.codegen.vectors import Lanes, traced
from cnnatomy.backends.cpu.resampling.phases import Phases
from cnnatomy.backends.cpu.resampling.resampling_common import SLOTS, SeparableWriter, added


@dataclass(frozen=True)
class Polyphase:
    """Writes one kernel.

    Args:
        dtype: of the elements.
        down: taps down the columns: 0 if they stay as they are, -1 if they are walked in a loop.
        ones: whether the weights down the columns are all 1.
        gaps: whether some rows of outputs read nothing.
        phases: those along the rows.
        fused: whether rows need not be put together in scratch memory first.
        stream: whether results are too large to be kept in the processor's caches; vectors must be aligned.
        ahead: rows from what one output reads to what the next one does; 0 if the input is in the caches.
        known: sizes that are constants, if rows are short.
        widths: how many elements a vector may hold, widest first.
    """

    dtype: str
    down: int
    ones: bool
    gaps: bool
    phases: Phases
    fused: bool
    stream: bool
    ahead: int
    known: tuple[tuple[str, int], ...]
    widths: tuple[int, ...]

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


class _Writer(SeparableWriter):
    def __init__(self, spec: Polyphase, name: str) -> None:
        super().__init__(spec, name)
        self.spec = spec

    def write(self) -> str:
        e, s, spec = self.e, self.sizes, self.spec
        if not spec.fused:
            e.sweep(s["cells"], spec.widths, self.clear)
        with e.odometer(e.lo, e.hi, [s["out_height"]]) as (o, plane):
            row = e.add(e.mul(plane, s["out_height"]), o)
            if spec.gaps:
                none = e.equal(e.item(e.table(s["h_count"]), o), e.const(0))
                e.either(none, lambda: self.nothing(row), lambda: self.filled(plane, o, row))
            else:
                self.filled(plane, o, row)
        if spec.stream:
            e.builder.fence("seq_cst")
        return e.finish()

    def clear(self, i: Any, width: int) -> None:
        """Zeros in scratch memory: what lies in its margins weighs nothing, but must not be infinite."""
        zero = self.e.full(0.0, width, self.e.compute)
        self.e.raw_store(traced(zero), self.e.pointers["scratch"], i, self.e.compute)

    def nothing(self, row: Any) -> None:
        """A row of zeros, read from the plan: of constants LLVM would make a call, slow for short rows."""
        e = self.e
        slot = e.at(e.plan, e.const(SLOTS.index("zero")), I64)
        zero = e.raw_load(slot, e.const(0), e.compute, 1)

        def store(i: Any, width: int) -> None:
            self.store(e.spread(zero, width), self.place(row, i), width)

        self.sweep(self.out_length, store)

    def filled(self, plane: Any, o: Any, row: Any) -> None:
        """A row of outputs."""
        e, s = self.e, self.sizes
        if self.spec.fused:
            self.output_row(plane, o, lambda at: self.along(row, at))
            return
        scratch, margin = e.pointers["scratch"], s["margin"]
        inside = e.at(scratch, margin, e.compute)
        self.output_row(plane, o, self.swept(self.keep(inside)))
        self.along(row, lambda i, width: e.lanes(e.raw_load(inside, i, e.compute, width)))

    def along(self, row: Any, at: Callable[[Any, int], Lanes]) -> None:
        """All phases of the outputs of a row whose elements are `at(i, width)`."""
        e, phases = self.e, self.spec.phases
        periods, parts = self.sizes["periods"], len(phases.taps)

        def block(j: Any, width: int) -> None:
            runs: dict[int, Lanes] = {}
            cells: dict[tuple[int, int], Lanes] = {}

            def cell(place: int) -> Lanes:
                shift, phase = divmod(place, phases.step)
                if shift not in runs:
                    first = e.mul(e.add(j, e.const(shift)), e.const(phases.step))
                    runs[shift] = at(first, width * phases.step)
                if (shift, phase) not in cells:
                    cells[shift, phase] = e.pick(runs[shift], phase, phases.step, width)
                return cells[shift, phase]

            outputs, tap = [], 0
            for first, count in phases.taps:
                terms = [self.weighed(tap + i, j, cell(first + i), width) for i in range(count)]
                outputs.append(added(terms) if terms else e.full(0.0, width, e.compute))
                tap += count
            out = self.place(row, e.mul(j, e.const(parts)))
            self.store(e.interleave(outputs, width), out, width * parts)

        self.sweep(periods, block)

    def weighed(self, tap: int, j: Any, cell: Lanes, width: int) -> Lanes:
        """Cells times what they weigh in every period."""
        e, s = self.e, self.sizes
        if self.spec.phases.ones:
            return cell
        index = e.add(e.mul(s["periods"], e.const(tap)), j)
        return e.lanes(e.raw_load(e.table(s["w_weight"]), index, e.compute, width)) * cell

    def store(self, value: Lanes, index: Any, width: int) -> None:
        """Results into their tensor, past the caches if they are too large for them."""
        if not self.spec.stream:
            self.e.store(value, self.y, index, width)
            return
        b, module = self.e.builder, self.e.module
        whole = self.spec.widths[0] * (8 if self.spec.dtype == "float64" else 4)
        stored = b.store(traced(value), self.e.at(self.y, index, self.e.memory), align=whole)
        stored.set_metadata("nontemporal", module.add_metadata([ir.Constant(I32, 1)]))
