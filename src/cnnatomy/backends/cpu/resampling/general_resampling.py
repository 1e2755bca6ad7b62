"""The kernel of separable linear maps: rows are combined down the columns, then columns along the rows.

Rows are combined in vectors that run along them, whatever their taps. Columns are combined in vectors over
the channels of channels_last. In the usual layout neighbouring outputs read cells at uneven distances, and no
vector could be loaded; there a vector runs over as many rows as it holds, which are transposed and back:

    rows, combined      a0 a1 a2 a3 ..      one unit of work is as many output rows as a vector holds
                        b0 b1 b2 b3 ..
    on their side       a0 b0 c0 d0         one vector for each column: a tap is one load, any cell as good
                        a1 b1 c1 d1         as any other; outputs y0 = w0 (column 0) + w1 (column 1) + ..
    back, and stored    y0 y1 y2 y3 ..      a square of outputs at a time, each row in one store

Scratch holds the rows, and behind them the same on their side (`side` bytes further). An output whose window
is cut by the border has fewer taps and walks them in a loop; the others' are written out, one after another.
Where weights repeat `polyphase_resampling` is quicker, by 1.2 to 2.8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.vector_types import I32, vector
from cnnatomy.backends.cpu.codegen.vectors import Lanes, traced
from cnnatomy.backends.cpu.resampling.resampling_common import SeparableWriter, added


@dataclass(frozen=True)
class General:
    """Writes one kernel; taps of an axis are 0 if it stays as it is, and -1 if they are walked in a loop."""

    dtype: str
    down: int
    ones: bool
    along: int
    lanes: bool
    widths: tuple[int, ...]
    ahead: int = 0
    known: tuple[tuple[str, int], ...] = ()

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()

    @property
    def group(self) -> int:
        """How many output rows are one unit of work."""
        return self.widths[0] if self.along and not self.lanes else 1


class _Writer(SeparableWriter):
    def __init__(self, spec: General, name: str) -> None:
        super().__init__(spec, name)
        self.spec, self.n = spec, spec.widths[0]

    def write(self) -> str:
        e, spec = self.e, self.spec
        with e.loop(e.lo, e.hi) as unit:
            if not spec.along:
                self.combine(unit, lambda value, i, width: e.store(value, self.y, self.place(unit, i), width))
            elif spec.lanes:
                self.combine(unit, self.keep(e.pointers["scratch"]))
                self.columns(unit)
            else:
                self.turned(unit)
        return e.finish()

    def combine(self, row: Any, store: Callable[[Lanes, Any, int], None]) -> None:
        """Combine input rows into what an output row is made of."""
        b, height = self.e.builder, self.sizes["out_height"]
        self.output_row(b.sdiv(row, height), b.srem(row, height), self.swept(store))

    # along the rows

    def columns(self, row: Any) -> None:
        """Combine the columns of the row in scratch memory, in vectors over lanes."""
        e, s, spec = self.e, self.sizes, self.spec
        scratch, lanes = e.pointers["scratch"], s["lanes"]
        with e.loop(e.const(0), s["out_width"]) as o:
            start, count, weights = self.taps("w", o)
            first, out = e.mul(start, lanes), self.place(row, e.mul(o, lanes))

            def term(k: Any, i: Any, width: int, first: Any = first, weights: Any = weights) -> Lanes:
                value = e.raw_load(scratch, e.add(first, e.mul(k, lanes), i), e.compute, width)
                return self.weight("w", e.add(weights, k), width) * e.lanes(value)

            def written_out(i: Any, width: int, out: Any = out, term: Any = term) -> None:
                total = added([term(e.const(k), i, width) for k in range(spec.along)])
                e.store(total, self.y, e.add(out, i), width)

            def walked(i: Any, width: int, out: Any = out, term: Any = term, count: Any = count) -> None:
                total = self.total(count, width, lambda k: term(k, i, width))
                e.store(total, self.y, e.add(out, i), width)

            def sweep(body: Any) -> Any:
                return lambda: e.sweep(lanes, spec.widths, body)

            if spec.along < 0:
                sweep(walked)()
            else:
                e.either(e.equal(count, e.const(spec.along)), sweep(written_out), sweep(walked))

    def turned(self, unit: Any) -> None:
        """Make as many rows as a vector holds: the lanes of one vector are one column of all of them."""
        e, s, n = self.e, self.sizes, self.n
        last = e.builder.sub(s["rows"], e.const(1))
        rows = [e.smaller(e.add(e.mul(unit, e.const(n)), e.const(i)), last) for i in range(n)]
        scratch = e.pointers["scratch"]
        lines = [
            e.builder.gep(scratch, [e.mul(s["row"], e.const(i))], source_etype=ir.IntType(8))
            for i in range(n)
        ]
        side = e.builder.gep(scratch, [s["side"]], source_etype=ir.IntType(8))
        for row, line in zip(rows, lines, strict=True):
            self.combine(row, self.keep(line))
        with e.loop(e.const(0), s["width"], n) as i:
            block = [e.lanes(e.raw_load(line, i, e.compute, n)) for line in lines]
            for k, column in enumerate(self.turn(block)):
                e.raw_store(traced(column), side, e.mul(e.add(i, e.const(k)), e.const(n)), e.compute)
        wide = e.builder.icmp_signed(">=", s["out_width"], e.const(n))
        e.either(wide, lambda: self.blocks(side, rows), lambda: self.narrow(side, rows))

    def column(self, side: Any, o: Any, taps: int) -> Lanes:
        """One output column of the turned rows."""
        e, n = self.e, self.n
        start, count, weights = self.taps("w", o)

        def term(k: Any) -> Lanes:
            value = e.raw_load(side, e.mul(e.add(start, k), e.const(n)), e.compute, n)
            return self.weight("w", e.add(weights, k), n) * e.lanes(value)

        return self.total(count, n, term) if taps < 0 else added([term(e.const(k)) for k in range(taps)])

    def blocks(self, side: Any, rows: Sequence[Any]) -> None:
        """Output columns, a block at a time; the last block steps back to end where they end."""
        e, b, s, n, spec = self.e, self.e.builder, self.sizes, self.n, self.spec
        kind = vector(e.compute, n)
        cells = [e.cell(kind) for _ in range(n)]
        with e.loop(e.const(0), s["blocks"]) as block:
            first = e.smaller(e.mul(block, e.const(n)), b.sub(s["out_width"], e.const(n)))

            def fill(taps: int, first: Any = first) -> None:
                for k, cell in enumerate(cells):
                    b.store(traced(self.column(side, e.add(first, e.const(k)), taps)), cell)

            if spec.along < 0:
                fill(-1)
            else:
                whole = e.equal(e.item(e.table(s["whole"]), block), e.const(1))
                e.either(whole, lambda: fill(spec.along), lambda: fill(-1))
            columns = [e.lanes(b.load(cell, typ=kind)) for cell in cells]
            for row, line in zip(rows, self.turn(columns), strict=True):
                e.store(line, self.y, self.place(row, first), n)

    def narrow(self, side: Any, rows: Sequence[Any]) -> None:
        """Output columns one at a time, where there are fewer of them than a vector holds."""
        e = self.e
        with e.loop(e.const(0), self.sizes["out_width"]) as o:
            column = self.column(side, o, -1)
            for i, row in enumerate(rows):
                e.store(e.part(column, 1, i), self.y, self.place(row, o), 1)

    def turn(self, block: Sequence[Lanes]) -> list[Lanes]:
        """A square of vectors, transposed: squares of half the size change places, and so on within them."""
        found, n, distance = [traced(line) for line in block], self.n, self.n // 2
        while distance:
            low = [i if not i & distance else n + i - distance for i in range(n)]
            high = [i + distance if not i & distance else n + i for i in range(n)]
            masks = [ir.Constant(ir.VectorType(I32, n), order) for order in (low, high)]
            for i in range(n):
                if not i & distance:
                    pair = found[i], found[i | distance]
                    found[i], found[i | distance] = (
                        self.e.builder.shuffle_vector(*pair, mask) for mask in masks
                    )
            distance //= 2
        return [self.e.lanes(line) for line in found]
