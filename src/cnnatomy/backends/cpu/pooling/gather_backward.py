"""The backward kernel: each input row gathers from the outputs that read it; nothing is scattered.

One unit of work is one input row, so threads never write to the same place and the order of sums is fixed.
For `sum` reducers the rows of outputs that cover it are added into one row first; for the others every pair
of an input and an output that reads it is visited. Across the columns, a regular window on one lane is
handled in vectors over blocks of `stride` input columns, at either end without the outputs that do not exist;
columns that fill no block, borders too wide for a vector or rows too short for one, and several lanes walk
the table of readers. Across irregular windows on one lane it is the outputs that add to the run of columns
they read, or write it where nobody else reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.vectors import I64, Lanes, traced, vector
from cnnatomy.backends.cpu.pooling.backward_common import Pairs, Row
from cnnatomy.backends.cpu.pooling.window import Strided
from cnnatomy.reducers.contract import Lane, Reducer, State

SLOTS = (
    *("lanes", "width", "out_width", "depth", "height", "out_depth", "out_height"),
    *("kernel_height", "kernel_width", "inner_lo", "inner_hi", "inner_last", "border", "resume"),
    *(f"{axis}_{what}" for axis in "dhw" for what in ("first", "out", "tap", "divisor")),
    *("w_start", "w_count", "w_skip", "sums", "scratch_row"),
)
"""The plan's integers; the readers of input i are entries first[i] .. first[i + 1] of (out, tap).

Of columns only those before `border` and from `resume` on have entries, one after another.
"""


@dataclass(frozen=True)
class Blocks:
    """Columns in blocks of a window's stride, and their readers: output m + shift reads block m's column."""

    stride: int
    reads: tuple[tuple[int, int, int], ...]  # (tap, the column in the block, shift)
    beyond: int  # so many outputs more than there are the last block asks for, beside its shift
    edge: int = 0  # how wide vectors are, the first and the last without what does not exist; 0 for neither
    whole: bool = False  # whether no column is left

    @classmethod
    def of(cls, window: Strided, pad: int, size: int, outputs: int, widths: tuple[int, ...]) -> Blocks:
        """The readers of a row's blocks, the first of which begins at column 0."""
        places = [divmod(tap * window.dilation - pad, window.stride) for tap in range(window.kernel)]
        reads = tuple((tap, phase, -block) for tap, (block, phase) in enumerate(places))
        count, most = size // window.stride, max(shift for _, _, shift in reads)
        found = cls(window.stride, reads, max(count - outputs, -most))
        before, after = found.reach

        def fits(width: int) -> bool:
            """Whether vectors at either end lack outputs at that end only, and there is one between them."""
            ends = width + max(0, most) <= outputs and width + before <= count
            return ends and max(before, after) <= width and before + after <= width + 1

        edge = next((width for width in widths if width > 1 and fits(width)), 0)
        return replace(found, edge=edge, whole=edge > 0 and count * window.stride == size)

    @property
    def reach(self) -> tuple[int, int]:
        """How many blocks at either end ask for outputs that do not exist."""
        shifts = [shift for _, _, shift in self.reads]
        return max(0, -min(shifts)), self.beyond + max(shifts)


@dataclass(frozen=True)
class Backward:
    """What a backward kernel is specialised for."""

    reducer: Reducer
    dtype: str
    taps: str | None
    blocks: Blocks | None  # for one lane and a regular window across
    rank: int
    readers: int  # most rows of outputs that read one row of inputs, unrolled when few
    widths: tuple[int, ...]
    columns: int  # most columns of outputs that read one column of inputs, if they are worth unrolling
    segments: bool  # one lane, and windows that are no regular few: each output adds to the columns it reads
    alone: bool  # one lane, and no cell has a second reader: each output writes to the columns it reads
    gaps: bool  # whether some column then has no reader

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


class _Writer(Pairs):
    def __init__(self, spec: Backward, name: str) -> None:
        super().__init__(name, spec.reducer, spec.dtype, spec.taps, SLOTS, spec.widths)
        self.spec = spec

    def write(self) -> str:
        e = self.e
        self.out_row = e.mul(self.sizes["out_width"], self.sizes["lanes"])
        bases = (self.sizes["height"], self.sizes["depth"])
        self.summed = e.cell(I64)
        e.builder.store(e.const(-1), self.summed)
        with e.odometer(e.lo, e.hi, bases) as (ih, depth, self.plane):
            self.unit(ih, depth)
        return e.finish()

    def unit(self, ih: Any, depth: Any) -> None:
        e, s = self.e, self.sizes
        self.ranges = {axis: self.readers_of(axis, i) for axis, i in (("d", depth), ("h", ih))}
        row = e.add(e.mul(e.add(e.mul(self.plane, s["depth"]), depth), s["height"]), ih)
        self.here = e.mul(row, s["width"], s["lanes"])
        if self.sums:
            self.by_reader_count(self.sum_new_rows)
            self.columns(None)
        else:
            self.by_reader_count(self.columns)

    # the rows of outputs that read this row

    def readers_of(self, axis: str, i: Any) -> tuple[Any, Any]:
        return self.entry(axis, "first", i), self.entry(axis, "first", self.e.add(i, self.e.const(1)))

    def row(self, at_d: Any, at_h: Any) -> Row:
        e, s = self.e, self.sizes
        od, oh = self.entry("d", "out", at_d), self.entry("h", "out", at_h)
        start = e.mul(
            e.add(e.mul(e.add(e.mul(self.plane, s["out_depth"]), od), s["out_height"]), oh), self.out_row
        )
        slab = e.mul(self.entry("d", "tap", at_d), s["kernel_height"])
        tap = e.mul(e.add(slab, self.entry("h", "tap", at_h)), s["kernel_width"])
        return Row(start, tap, e.builder.fmul(self.number("d_divisor", od), self.number("h_divisor", oh)))

    def by_count(self, count: Any, most: int, body: Callable[[int | None], None]) -> None:
        """`body(n)` for every count n up to `most`, so that it unrolls; `body(None)` for others."""

        def choose(n: int) -> None:
            if n > most:
                body(None)
                return
            self.e.either(self.e.equal(count, self.e.const(n)), lambda: body(n), lambda: choose(n + 1))

        choose(1)

    def by_reader_count(self, body: Callable[[list[Row] | None], None]) -> None:
        """`body(rows)` with the rows listed where they are few; else `body(None)`."""
        e = self.e
        (d_lo, _), (h_lo, h_hi) = self.ranges["d"], self.ranges["h"]

        def listed(n: int | None) -> None:
            body(None if n is None else [self.row(d_lo, e.add(h_lo, e.const(k))) for k in range(n)])

        most = self.spec.readers if self.spec.rank < 3 and self.spec.readers <= 3 else 0
        self.by_count(e.builder.sub(h_hi, h_lo), most, listed)

    def each_row(self, rows: list[Row] | None, body: Callable[[Row], None]) -> None:
        if rows is not None:
            for row in rows:
                body(row)
            return
        with self.e.loop(*self.ranges["d"]) as at_d, self.e.loop(*self.ranges["h"]) as at_h:
            body(self.row(at_d, at_h))

    # sums of outputs, row by row

    def sum_new_rows(self, rows: list[Row] | None) -> None:
        """As `sum_rows`, unless the sums are there: an output row often reads several of inputs."""
        e = self.e
        start = rows[0].start if rows is not None and len(rows) == 1 else e.const(-1)
        known = e.builder.load(self.summed, typ=I64)
        same = e.builder.and_(e.equal(known, start), e.builder.icmp_signed(">=", start, e.const(0)))
        e.either(same, lambda: None, lambda: self.sum_rows(rows))
        e.builder.store(start, self.summed)

    def sum_rows(self, rows: list[Row] | None) -> None:
        """Add what the covering rows spread into the scratch row."""
        e, lanes = self.e, self.sizes["lanes"]

        def run(first: Any, length: Any, column: Any) -> None:
            def body(i: Any, width: int) -> None:
                at = e.add(first, i)
                (cell,) = self.accumulators(1, width)

                def spread(row: Row) -> None:
                    output = self.output(row, at, column, width)
                    self.accumulate(cell, self.reducer.spread(self.grad(row, at, width), output))

                self.each_row(rows, spread)
                total = e.builder.load(cell, typ=cell.allocated_type)
                e.raw_store(total, e.pointers["scratch"], at, e.compute)

            e.sweep(length, self.wide, body)

        if self.spec.blocks:
            run(e.const(0), self.out_row, None)
        else:
            with e.loop(e.const(0), self.sizes["out_width"]) as o:
                run(e.mul(o, lanes), lanes, o)

    def accumulators(self, count: int, width: int) -> list[Any]:
        cells = [self.e.cell(vector(self.e.compute, width)) for _ in range(count)]
        for cell in cells:
            self.e.builder.store(self.e.full(0.0, width, self.e.compute).value, cell)
        return cells

    def accumulate(self, cell: Any, more: Lane) -> None:
        before = self.e.lanes(self.e.builder.load(cell, typ=cell.allocated_type))
        self.e.builder.store((before + more).value, cell)

    def total(self, cell: Any) -> Lanes:
        return self.e.lanes(self.e.builder.load(cell, typ=cell.allocated_type))

    # across the columns

    def columns(self, rows: list[Row] | None) -> None:
        e, s = self.e, self.sizes
        if self.spec.alone:
            self.runs(rows)
            return
        if self.spec.segments:
            self.segments(rows)
            return
        if self.spec.blocks:
            self.blocks(rows, self.spec.blocks)
        if self.spec.blocks and self.spec.blocks.whole:
            return
        self.tabled(rows, e.const(0), s["border"], e.const(0))
        if self.spec.blocks:
            self.tabled(rows, s["resume"], s["width"], e.builder.sub(s["resume"], s["border"]))

    def blocks(self, rows: list[Row] | None, blocks: Blocks) -> None:
        """The columns in blocks, in vectors over blocks."""
        e, s = self.e, self.sizes
        none = dict.fromkeys((shift for _, _, shift in blocks.reads), 0)

        def body(m: Any, width: int) -> None:
            self.block(rows, blocks, m, width, none)

        if not blocks.edge:
            inner = e.builder.sub(s["inner_hi"], s["inner_lo"])
            e.sweep(inner, self.widths, lambda i, width: body(e.add(s["inner_lo"], i), width))
            return
        with e.loop(s["inner_lo"], s["inner_hi"], blocks.edge) as m:
            body(e.smaller(m, s["inner_last"]), blocks.edge)
        first = {shift: max(0, -shift) for shift in none}
        last = {shift: -max(0, blocks.beyond + shift) for shift in none}
        self.block(rows, blocks, e.const(0), blocks.edge, first)
        self.block(rows, blocks, s["inner_hi"], blocks.edge, last)

    def block(
        self, rows: list[Row] | None, blocks: Blocks, m: Any, width: int, missing: dict[int, int]
    ) -> None:
        """The blocks m .. m + width - 1.

        For every shift, so many of their outputs are missing: the first ones, or the last ones if below 0.
        """
        e, stride = self.e, blocks.stride
        column = e.mul(m, e.const(stride))
        values = self.values(column, width * stride)
        own = [
            self.brought(tuple(e.pick(value, phase, stride, width) for value in values))
            for phase in range(stride)
        ]
        cells = [self.accumulators(len(self.inputs), width) for _ in range(stride)]

        def gather(row: Row | None) -> None:
            given: dict[int, State] = {}
            for tap, phase, shift in blocks.reads:
                gone = missing[shift]
                if shift not in given:
                    found = self.given(row, e.add(m, e.const(shift + gone)), None, width)
                    given[shift] = tuple(e.moved(one, gone) for one in found)
                more = self.more(row, own[phase], given[shift], e.const(tap), width)
                if gone:
                    exist = e.within(width, max(0, gone), width + min(0, gone))
                    more = tuple(exist.select(one, 0.0) for one in more)
                for cell, one in zip(cells[phase], more, strict=True):
                    self.accumulate(cell, one)

        if self.sums:
            gather(None)
        else:
            self.each_row(rows, gather)
        for k, name in enumerate(self.inputs):
            parts = [self.total(group[k]) for group in cells]
            self.put(name, e.interleave(parts, width), values, column, width * stride)

    def tabled(self, rows: list[Row] | None, start: Any, stop: Any, missing: Any) -> None:
        """Each input column walks its readers; vectors run over lanes.

        `missing` columns before these have no entry in the table.
        """
        e, lanes = self.e, self.sizes["lanes"]
        with e.loop(start, stop) as i:
            first, end = self.readers_of("w", e.builder.sub(i, missing))

            def swept(known: int | None) -> None:
                """With so many readers, looked up once for all lanes; with any number if not known."""
                places = [e.add(first, e.const(k)) for k in range(known or 0)]
                readers = [(self.entry("w", "out", at), self.entry("w", "tap", at)) for at in places]

                def body(lane: Any, width: int) -> None:
                    column = e.add(e.mul(i, lanes), lane)
                    values = self.values(column, width)
                    own = self.brought(values)
                    cells = self.accumulators(len(self.inputs), width)

                    def visit(row: Row | None, out: Any, tap: Any) -> None:
                        given = self.given(row, e.add(e.mul(out, lanes), lane), out, width)
                        self.add(cells, row, own, given, tap, width)

                    def gather(row: Row | None) -> None:
                        for out, tap in readers:
                            visit(row, out, tap)
                        if known is None:
                            with e.loop(first, end) as at:
                                visit(row, self.entry("w", "out", at), self.entry("w", "tap", at))

                    if self.sums:
                        gather(None)
                    else:
                        self.each_row(rows, gather)
                    for cell, name in zip(cells, self.inputs, strict=True):
                        self.put(name, self.total(cell), values, column, width)

                e.sweep(lanes, (1,) if self.spec.blocks else self.wide, body)

            self.by_count(e.builder.sub(end, first), self.spec.columns, swept)

    def segments(self, rows: list[Row] | None) -> None:
        """Every output adds to the run of columns that it reads, in a row of sums."""
        e, s = self.e, self.sizes

        def clear(name: str, sums: Any, column: Any, width: int) -> None:
            e.raw_store(e.full(0.0, width, e.compute).value, sums, column, e.compute)

        def store(name: str, sums: Any, column: Any, width: int) -> None:
            total = e.lanes(e.raw_load(sums, column, e.compute, width))
            self.put(name, total, self.values(column, width), column, width)

        def each(body: Callable[[str, Any, Any, int], None]) -> None:
            for k, name in enumerate(self.inputs):
                e.sweep(s["width"], self.widths, partial(body, name, self.sums_of(k)))

        each(clear)
        if self.sums:
            self.add_runs(None)
        else:
            self.each_row(rows, self.add_runs)
        each(store)

    def sums_of(self, k: int) -> Any:
        """The row of sums of the k-th input."""
        at = self.e.add(self.sizes["sums"], self.e.mul(self.sizes["scratch_row"], self.e.const(k)))
        return self.e.at(self.e.pointers["scratch"], at, ir.IntType(8))

    def add_runs(self, row: Row | None) -> None:
        """Add what the outputs of a row tell their inputs."""
        e = self.e
        with e.loop(e.const(0), self.sizes["out_width"]) as o:
            start, count, skip = (e.item(self.pointer(f"w_{what}"), o) for what in ("start", "count", "skip"))
            one = self.given(row, o, o, 1)

            def body(i: Any, width: int) -> None:
                column = e.add(start, i)
                own = self.brought(self.values(column, width))
                given = tuple(e.spread(traced(number), width) for number in one)
                for k, more in enumerate(self.more(row, own, given, e.add(skip, i), width, counts=True)):
                    before = e.lanes(e.raw_load(self.sums_of(k), column, e.compute, width))
                    e.raw_store(traced(before + more), self.sums_of(k), column, e.compute)

            e.pieces(count, self.widths, body)

    def runs(self, rows: list[Row] | None) -> None:
        """Every output tells the run of columns that it alone reads."""
        if rows is None or self.spec.gaps:
            for name in self.inputs:
                self.e.clear(self.e.pointers[f"d{name}"], self.here, self.sizes["width"])
        if rows is not None or self.spec.rank > 2:
            self.tried(lambda: self.each_row(rows, self.tell_runs))

    def tell_runs(self, row: Row) -> None:
        """Tell every output's run."""
        e = self.e
        with e.loop(e.const(0), self.sizes["out_width"]) as o:
            start, count, skip = (e.item(self.pointer(f"w_{what}"), o) for what in ("start", "count", "skip"))
            self.tell_run(start, count, self.given(row, o, o, 1), e.add(row.tap, skip))

    def add(self, cells: list[Any], row: Row | None, own: State, given: State, tap: Any, width: int) -> None:
        """Add what outputs tell the inputs that are their window's `tap`-th column."""
        for cell, more in zip(cells, self.more(row, own, given, tap, width), strict=True):
            self.accumulate(cell, more)
