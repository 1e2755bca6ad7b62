"""The backward kernel: each input row gathers from the outputs that read it; nothing is scattered.

One unit of work is one input row, so threads never write to the same place and the order of sums is fixed.
For `sum` reducers the rows of outputs that cover it are added into one row first. Across the columns, a
regular window on one lane is handled in vectors over blocks of `stride` input columns wherever all its
outputs exist; the few columns at the borders, irregular windows, and several lanes walk the table of readers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.emit import Emitter
from cnnatomy.backends.cpu.forward import Strided
from cnnatomy.backends.cpu.lanes import Lanes, vector
from cnnatomy.reducers.contract import Lane, Reducer

SLOTS = (
    *("lanes", "width", "out_width", "depth", "height", "out_depth", "out_height"),
    *("kernel_height", "kernel_width", "inner_lo", "inner_hi", "border", "resume"),
    *(f"{axis}_{what}" for axis in "dhw" for what in ("first", "out", "tap", "divisor")),
)
"""The plan's integers; the readers of input i are entries first[i] .. first[i + 1] of (out, tap).

Of columns only those before `border` and from `resume` on have entries, one after another.
"""


@dataclass(frozen=True)
class Backward:
    """What a backward kernel is specialised for."""

    reducer: Reducer
    dtype: str
    taps: str | None
    across: Strided | None
    pad: int  # columns of padding before the first
    rank: int
    readers: int  # most rows of outputs that read one row of inputs, unrolled when few
    widths: tuple[int, ...]

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


@dataclass(frozen=True)
class _Row:
    """A row of outputs that reads this row of inputs."""

    start: Any  # index of its first output
    tap: Any  # the tap at its window's first column
    divisor: Any


class _Writer:
    def __init__(self, spec: Backward, name: str) -> None:
        self.spec = spec
        self.e = Emitter(name, ("grad", "saved", "out", "scratch"), spec.dtype)
        self.winner = spec.reducer.gradient == "winner"
        self.element = ir.IntType(8 if spec.taps == "uint8" else 32)

    def write(self) -> str:
        e = self.e
        self.sizes = {name: e.size(slot) for slot, name in enumerate(SLOTS)}
        self.out_row = e.mul(self.sizes["out_width"], self.sizes["lanes"])
        bases = (self.sizes["height"], self.sizes["depth"])
        with e.odometer(e.lo, e.hi, bases) as (ih, depth, self.plane):
            self.unit(ih, depth)
        return e.finish()

    def unit(self, ih: Any, depth: Any) -> None:
        e, s = self.e, self.sizes
        self.ranges = {axis: self.readers_of(axis, i) for axis, i in (("d", depth), ("h", ih))}
        row = e.add(e.mul(e.add(e.mul(self.plane, s["depth"]), depth), s["height"]), ih)
        self.here = e.mul(row, s["width"], s["lanes"])
        if self.winner:
            self.by_reader_count(self.columns)
        else:
            self.by_reader_count(self.sum_rows)
            self.columns(None)

    # the rows of outputs that read this row

    def entry(self, axis: str, what: str, index: Any) -> Any:
        return self.e.item(self.pointer(f"{axis}_{what}"), index)

    def pointer(self, slot: str) -> Any:
        return self.e.table(self.sizes[slot])

    def readers_of(self, axis: str, i: Any) -> tuple[Any, Any]:
        return self.entry(axis, "first", i), self.entry(axis, "first", self.e.add(i, self.e.const(1)))

    def row(self, at_d: Any, at_h: Any) -> _Row:
        e, s = self.e, self.sizes
        od, oh = self.entry("d", "out", at_d), self.entry("h", "out", at_h)
        start = e.mul(
            e.add(e.mul(e.add(e.mul(self.plane, s["out_depth"]), od), s["out_height"]), oh), self.out_row
        )
        slab = e.mul(self.entry("d", "tap", at_d), s["kernel_height"])
        tap = e.mul(e.add(slab, self.entry("h", "tap", at_h)), s["kernel_width"])
        return _Row(start, tap, e.builder.fmul(self.number("d_divisor", od), self.number("h_divisor", oh)))

    def number(self, slot: str, index: Any) -> Any:
        return self.e.raw_load(self.pointer(slot), index, self.e.compute, 1)

    def by_reader_count(self, body: Callable[[list[_Row] | None], None]) -> None:
        """`body(rows)` with the rows listed where they are few, so that it unrolls; else `body(None)`."""
        e = self.e
        (d_lo, _), (h_lo, h_hi) = self.ranges["d"], self.ranges["h"]
        count = e.builder.sub(h_hi, h_lo)

        def choose(n: int) -> None:
            if n > self.spec.readers:
                body(None)
                return

            def listed() -> None:
                body([self.row(d_lo, e.add(h_lo, e.const(k))) for k in range(n)])

            e.either(e.equal(count, e.const(n)), listed, lambda: choose(n + 1))

        choose(1) if self.spec.rank < 3 and self.spec.readers <= 3 else body(None)

    def each_row(self, rows: list[_Row] | None, body: Callable[[_Row], None]) -> None:
        if rows is not None:
            for row in rows:
                body(row)
            return
        with self.e.loop(*self.ranges["d"]) as at_d, self.e.loop(*self.ranges["h"]) as at_h:
            body(self.row(at_d, at_h))

    # sums of outputs, row by row

    def sum_rows(self, rows: list[_Row] | None) -> None:
        """Add what the covering rows spread into the scratch row."""
        e, lanes = self.e, self.sizes["lanes"]

        def run(first: Any, length: Any, column: Any) -> None:
            def body(i: Any, width: int) -> None:
                at = e.add(first, i)
                cell = self.accumulator(width)

                def spread(row: _Row) -> None:
                    grad = e.load(e.pointers["grad"], e.add(row.start, at), width)
                    count = e.spread(row.divisor, width) * self.column_divisors(at, column, width)
                    self.accumulate(cell, self.spec.reducer.spread(grad, count))

                self.each_row(rows, spread)
                e.raw_store(
                    e.builder.load(cell, typ=cell.allocated_type), e.pointers["scratch"], at, e.compute
                )

            e.sweep(length, self.spec.widths, body)

        if self.spec.across:
            run(e.const(0), self.out_row, None)
        else:
            with e.loop(e.const(0), self.sizes["out_width"]) as o:
                run(e.mul(o, lanes), lanes, o)

    def column_divisors(self, at: Any, column: Any, width: int) -> Lanes:
        e = self.e
        if column is None:
            return e.lanes(e.raw_load(self.pointer("w_divisor"), at, e.compute, width))
        return e.spread(self.number("w_divisor", column), width)

    def accumulator(self, width: int) -> Any:
        cell = self.e.cell(vector(self.e.compute, width))
        self.e.builder.store(self.e.full(0.0, width, self.e.compute).value, cell)
        return cell

    def accumulate(self, cell: Any, more: Lane) -> None:
        before = self.e.lanes(self.e.builder.load(cell, typ=cell.allocated_type))
        self.e.builder.store((before + more).value, cell)

    # across the columns

    def columns(self, rows: list[_Row] | None) -> None:
        e, s = self.e, self.sizes
        if self.spec.across:
            self.blocks(rows, self.spec.across)
        self.tabled(rows, e.const(0), s["border"], e.const(0))
        if self.spec.across:
            self.tabled(rows, s["resume"], s["width"], e.builder.sub(s["resume"], s["border"]))

    def blocks(self, rows: list[_Row] | None, across: Strided) -> None:
        """Blocks of `stride` input columns whose outputs all exist, in vectors over blocks."""
        e, s = self.e, self.sizes

        def body(i: Any, width: int) -> None:
            m = e.add(s["inner_lo"], i)
            cells = [self.accumulator(width) for _ in range(across.stride)]

            def gather(row: _Row | None) -> None:
                for tap in range(across.kernel):
                    block, phase = divmod(tap * across.dilation, across.stride)
                    o = e.builder.sub(m, e.const(block))
                    self.accumulate(cells[phase], self.contribution(row, o, e.const(tap), width))

            if self.winner:
                self.each_row(rows, gather)
            else:
                gather(None)
            parts = [e.lanes(e.builder.load(cell, typ=cell.allocated_type)) for cell in cells]
            column = e.builder.sub(e.mul(m, e.const(across.stride)), e.const(self.spec.pad))
            self.put(e.interleave(parts, width), column, width * across.stride)

        e.sweep(e.builder.sub(s["inner_hi"], s["inner_lo"]), self.spec.widths, body)

    def contribution(self, row: _Row | None, at: Any, tap: Any, width: int) -> Lanes:
        """What the outputs `at` .. add to the inputs that are their window's `tap`-th column."""
        e = self.e
        if row is None:
            return e.lanes(e.raw_load(e.pointers["scratch"], at, e.compute, width))
        index = e.add(row.start, at)
        won = e.raw_load(e.pointers["saved"], index, self.element, width)
        wide = vector(e.tap, width)
        winner = e.lanes(won if won.type == wide else e.builder.zext(won, wide))
        mine = winner.same(e.taps(e.add(row.tap, tap), width))
        return mine.select(e.load(e.pointers["grad"], index, width), e.full(0.0, width, e.compute))

    def put(self, gradient: Lane, column: Any, width: int) -> None:
        value = gradient if self.winner else self.spec.reducer.collect(gradient)
        self.e.store(value, self.e.pointers["out"], self.e.add(self.here, column), width)

    def tabled(self, rows: list[_Row] | None, start: Any, stop: Any, missing: Any) -> None:
        """Each input column walks its readers; vectors run over lanes.

        `missing` columns before these have no entry in the table.
        """
        e, lanes = self.e, self.sizes["lanes"]
        with e.loop(start, stop) as i:
            entries = self.readers_of("w", e.builder.sub(i, missing))

            def body(lane: Any, width: int) -> None:
                cell = self.accumulator(width)

                def gather(row: _Row | None) -> None:
                    with e.loop(*entries) as at:
                        o = e.add(e.mul(self.entry("w", "out", at), lanes), lane)
                        more = self.contribution(row, o, self.entry("w", "tap", at), width)
                        self.accumulate(cell, more)

                if self.winner:
                    self.each_row(rows, gather)
                else:
                    gather(None)
                total = e.lanes(e.builder.load(cell, typ=cell.allocated_type))
                self.put(total, e.add(e.mul(i, lanes), lane), width)

            widths = (1,) if self.spec.across else self.spec.widths
            e.sweep(lanes, widths, body)
