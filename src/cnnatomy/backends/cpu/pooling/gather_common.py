"""What gathering kernels share: each input row looks for the rows of outputs that read it.

One unit of work is one input row, so threads never write to the same place and the order of sums is fixed.
The readers of input i are the entries first[i] .. first[i + 1] of a list of (output, tap), for each axis.

For `sum` reducers the rows of outputs that read an input row are added into one row in scratch memory first:

    scratch[o, channel] = sum of spread(grad, output) over the rows        read once for each input row

An output row often reads several rows of inputs: the sums of the last one are kept for the next.

Measured (time without / with, one thread, AVX2): few rows of readers written out 1.4 to 2.1; sums kept for
the next row 1.0 to 1.4.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cnnatomy.backends.cpu.codegen.vector_types import I64, vector
from cnnatomy.backends.cpu.codegen.vectors import Lanes
from cnnatomy.backends.cpu.pooling.backward_common import BackwardWriter, Row
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

_FEW_ROWS = 3
"""So many rows of readers at most are written out, one after another."""


@dataclass(frozen=True)
class GatherSpec:
    """What a gathering kernel is specialised for."""

    reducer: Reducer
    dtype: str
    taps: str | None
    rank: int
    readers: int  # the largest number of rows of outputs that read one row of inputs
    widths: tuple[int, ...]


class GatherWriter(BackwardWriter):
    """Writes one input row after another."""

    def __init__(self, spec: GatherSpec, name: str) -> None:
        super().__init__(name, spec.reducer, spec.dtype, spec.taps, SLOTS, spec.widths)
        self.gathers = spec

    @abstractmethod
    def columns(self, rows: list[Row] | None) -> None:
        """Write the gradients of a row of inputs, read by these rows of outputs; None for any number."""

    def write(self) -> str:
        """The kernel's LLVM text."""
        e = self.e
        self.out_row = e.mul(self.sizes["out_width"], self.sizes["lanes"])
        bases = (self.sizes["height"], self.sizes["depth"])
        self.summed = e.cell(I64)
        e.builder.store(e.const(-1), self.summed)
        with e.odometer(e.lo, e.hi, bases) as (ih, depth, self.plane):
            self._unit(ih, depth)
        return e.finish()

    def _unit(self, ih: Any, depth: Any) -> None:
        e, s = self.e, self.sizes
        self.ranges = {axis: self.readers_of(axis, i) for axis, i in (("d", depth), ("h", ih))}
        row = e.add(e.mul(e.add(e.mul(self.plane, s["depth"]), depth), s["height"]), ih)
        self.here = e.mul(row, s["width"], s["lanes"])
        if self.sums:
            self._by_reader_count(self._sum_new_rows)
            self.columns(None)
        else:
            self._by_reader_count(self.columns)

    # the rows of outputs that read this row

    def readers_of(self, axis: str, i: Any) -> tuple[Any, Any]:
        """Where the readers of an input begin and end in their list."""
        return self.entry(axis, "first", i), self.entry(axis, "first", self.e.add(i, self.e.const(1)))

    def _row(self, at_d: Any, at_h: Any) -> Row:
        e, s = self.e, self.sizes
        od, oh = self.entry("d", "out", at_d), self.entry("h", "out", at_h)
        number = e.add(e.mul(e.add(e.mul(self.plane, s["out_depth"]), od), s["out_height"]), oh)
        slab = e.mul(self.entry("d", "tap", at_d), s["kernel_height"])
        tap = e.mul(e.add(slab, self.entry("h", "tap", at_h)), s["kernel_width"])
        divisor = e.builder.fmul(self.number("d_divisor", od), self.number("h_divisor", oh))
        return Row(e.mul(number, self.out_row), tap, divisor)

    def _by_reader_count(self, body: Callable[[list[Row] | None], None]) -> None:
        """`body(rows)` with the rows listed where they are few; else `body(None)`."""
        e = self.e
        (d_lo, _), (h_lo, h_hi) = self.ranges["d"], self.ranges["h"]
        count, few = e.builder.sub(h_hi, h_lo), self.gathers.readers
        most = few if self.gathers.rank < 3 and few <= _FEW_ROWS else 0

        def choose(n: int) -> None:
            if n > most:
                body(None)
                return
            e.either(e.equal(count, e.const(n)), lambda: body(listed(n)), lambda: choose(n + 1))

        def listed(n: int) -> list[Row]:
            return [self._row(d_lo, e.add(h_lo, e.const(k))) for k in range(n)]

        choose(1)

    def each_row(self, rows: list[Row] | None, body: Callable[[Row], None]) -> None:
        """`body` with every row of outputs that reads this row."""
        if rows is not None:
            for row in rows:
                body(row)
            return
        with self.e.loop(*self.ranges["d"]) as at_d, self.e.loop(*self.ranges["h"]) as at_h:
            body(self._row(at_d, at_h))

    # sums of outputs, row by row

    def _sum_new_rows(self, rows: list[Row] | None) -> None:
        """Add the rows into scratch memory, unless their sums are there from the row before."""
        e = self.e
        start = rows[0].start if rows is not None and len(rows) == 1 else e.const(-1)
        known = e.builder.load(self.summed, typ=I64)
        same = e.builder.and_(e.equal(known, start), e.builder.icmp_signed(">=", start, e.const(0)))
        e.either(same, lambda: None, lambda: self._sum_rows(rows))
        e.builder.store(start, self.summed)

    def _sum_rows(self, rows: list[Row] | None) -> None:
        e, lanes = self.e, self.sizes["lanes"]

        def run(first: Any, length: Any, column: Any) -> None:
            def body(i: Any, width: int) -> None:
                at = e.add(first, i)
                (cell,) = self.totals(1, width)

                def spread(row: Row) -> None:
                    output = self.output(row, at, column, width)
                    self.accumulate(cell, self.reducer.spread(self.grad(row, at, width), output))

                self.each_row(rows, spread)
                e.raw_store(self.total(cell).value, e.pointers["scratch"], at, e.compute)

            e.sweep(length, self.several, body)

        if self.one_run:
            run(e.const(0), self.out_row, None)
        else:
            with e.loop(e.const(0), self.sizes["out_width"]) as o:
                run(e.mul(o, lanes), lanes, o)

    one_run = False
    """Whether a row of outputs is one run of values, each in a column of its own."""

    def totals(self, count: int, width: int) -> list[Any]:
        """Variables for so many sums."""
        cells = [self.e.cell(vector(self.e.compute, width)) for _ in range(count)]
        for cell in cells:
            self.e.builder.store(self.e.full(0.0, width, self.e.compute).value, cell)
        return cells

    def accumulate(self, cell: Any, term: Lane) -> None:
        """Add to a sum."""
        self.e.builder.store((self.total(cell) + term).value, cell)

    def total(self, cell: Any) -> Lanes:
        """What a sum has come to."""
        return self.e.lanes(self.e.builder.load(cell, typ=cell.allocated_type))

    def add(self, cells: list[Any], row: Row | None, own: State, given: State, tap: Any, width: int) -> None:
        """Add what outputs give the inputs that are their window's `tap`-th column."""
        for cell, term in zip(cells, self.terms(row, own, given, tap, width), strict=True):
            self.accumulate(cell, term)

    # any columns

    def by_readers(self, rows: list[Row] | None, start: Any, stop: Any, missing: Any) -> None:
        """Each input column from `start` on visits its readers; vectors run over channels.

        `missing` columns before these have no entry in the table.
        """
        e, lanes = self.e, self.sizes["lanes"]
        with e.loop(start, stop) as i:
            first, end = self.readers_of("w", e.builder.sub(i, missing))

            def body(lane: Any, width: int) -> None:
                column = e.add(e.mul(i, lanes), lane)
                values = self.values(column, width)
                own, cells = self.input_terms(values), self.totals(len(self.inputs), width)

                def gather(row: Row | None) -> None:
                    with e.loop(first, end) as at:
                        out, tap = self.entry("w", "out", at), self.entry("w", "tap", at)
                        given = self.given(row, e.add(e.mul(out, lanes), lane), out, width)
                        self.add(cells, row, own, given, tap, width)

                if self.sums:
                    gather(None)
                else:
                    self.each_row(rows, gather)
                for cell, name in zip(cells, self.inputs, strict=True):
                    self.write_gradient(name, self.total(cell), values, column, width)

            e.sweep(lanes, (1,) if self.one_run else self.several, body)
