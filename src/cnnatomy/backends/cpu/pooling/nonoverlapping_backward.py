"""The backward kernel of windows that lie side by side, with channels last: outputs tell their own cells.

One unit of work is one row of outputs, with all rows of cells that its windows read: what is known of an
output is read once for all of its cells, and every cell has one output. Cells beyond the windows get zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from cnnatomy.backends.cpu.pooling.backward_common import Pairs, Row
from cnnatomy.reducers.contract import Lane, Reducer, State

SLOTS = (
    *("lanes", "width", "out_width", "depth", "height", "out_depth", "out_height"),
    *(f"{axis}_divisor" for axis in "dhw"),
)
"""The plan's integers; divisors are tables."""

_LISTED = 4
"""Rows of windows of at most so many taps are written out, one after another; registers hold no more."""


@dataclass(frozen=True)
class Tiles:
    """What a kernel of windows side by side is specialised for."""

    reducer: Reducer
    dtype: str
    taps: str | None
    kernel: tuple[int, int, int]
    widths: tuple[int, ...]

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


class _Writer(Pairs):
    def __init__(self, spec: Tiles, name: str) -> None:
        super().__init__(name, spec.reducer, spec.dtype, spec.taps, SLOTS, spec.widths)
        self.spec = spec

    def write(self) -> str:
        e, s = self.e, self.sizes
        self.row = e.mul(s["width"], s["lanes"])
        with e.odometer(e.lo, e.hi, (s["out_height"], s["out_depth"])) as (oh, od, plane):
            self.unit(oh, od, plane)
        return e.finish()

    def unit(self, oh: Any, od: Any, plane: Any) -> None:
        """A row of outputs."""
        e, s, (depth, height, width) = self.e, self.sizes, self.spec.kernel
        number = e.add(e.mul(e.add(e.mul(plane, s["out_depth"]), od), s["out_height"]), oh)
        start = e.mul(number, s["out_width"], s["lanes"])
        divisor = e.builder.fmul(self.number("d_divisor", od), self.number("h_divisor", oh))
        slab = e.add(e.mul(plane, s["depth"]), e.mul(od, e.const(depth)))
        first = e.add(e.mul(slab, s["height"]), e.mul(oh, e.const(height)))

        def row(td: Any, th: Any) -> tuple[Any, Row]:
            tap = e.mul(e.add(e.mul(td, e.const(height)), th), e.const(width))
            here = e.mul(e.add(first, e.mul(td, s["height"]), th), self.row)
            return here, Row(start, tap, divisor)

        def rows() -> None:
            if depth * height * width <= _LISTED:
                places = product(range(depth), range(height))
                self.columns([row(e.const(td), e.const(th)) for td, th in places])
            else:
                with e.loop(e.const(0), e.const(depth)) as td, e.loop(e.const(0), e.const(height)) as th:
                    self.columns([row(td, th)])

        self.tried(rows)
        self.beyond(oh, od, slab)

    def columns(self, rows: list[tuple[Any, Row]]) -> None:
        """Some of the rows of cells that a row of outputs reads."""
        e, s = self.e, self.sizes
        with e.loop(e.const(0), s["out_width"]) as o:
            body = partial(self.tile, rows, o)
            e.sweep(s["lanes"], self.widths, body, apart=self.short)
        read = e.mul(s["out_width"], e.const(self.spec.kernel[2]), s["lanes"])
        for here, _ in rows:
            self.clear(e.add(here, read), e.builder.sub(self.row, read))

    def tile(self, rows: list[tuple[Any, Row]], o: Any, lane: Any, width: int) -> None:
        """The cells of one output's window, for some lanes."""
        e, lanes = self.e, self.sizes["lanes"]
        at, across = e.add(e.mul(o, lanes), lane), self.spec.kernel[2]
        told = self.told(rows[0][1], at, o, width)
        self.asked(told, width)
        for here, row in rows:
            self.here = here
            for t in range(across):
                column = e.add(e.mul(e.add(e.mul(o, e.const(across)), e.const(t)), lanes), lane)
                values = self.values(column, width)
                for name, one in zip(self.inputs, self.heard(row, told, values, t, width), strict=True):
                    self.put(name, one, values, column, width)

    def told(self, row: Row, at: Any, column: Any, width: int) -> State:
        """What an output tells its cells."""
        if not self.sums:
            return self.given(row, at, column, width)
        return (self.reducer.spread(self.grad(row, at, width), self.output(row, at, column, width)),)

    def heard(self, row: Row, told: State, values: State, t: int, width: int) -> tuple[Lane, ...]:
        """What that makes for the cell of its window's t-th column."""
        if self.reducer.gradient == "pairs":
            return self.alone(values, told, self.e.taps(self.e.add(row.tap, self.e.const(t)), width))
        return self.more(None if self.sums else row, self.brought(values), told, self.e.const(t), width)

    # cells without an output

    def beyond(self, oh: Any, od: Any, slab: Any) -> None:
        """Zeros behind the last row of windows, and behind the last slab of them."""
        e, s, (depth, height, _) = self.e, self.sizes, self.spec.kernel
        read, plane = e.mul(s["out_height"], e.const(height)), e.mul(s["height"], self.row)
        left = e.mul(e.builder.sub(s["height"], read), self.row)

        def rows() -> None:
            for td in range(depth):
                self.clear(e.add(e.mul(e.add(slab, e.const(td)), plane), e.mul(read, self.row)), left)
            e.when(e.equal(e.add(od, e.const(1)), s["out_depth"]), slabs)

        def slabs() -> None:
            rest = e.builder.sub(s["depth"], e.mul(s["out_depth"], e.const(depth)))
            self.clear(e.mul(e.add(slab, e.const(depth)), plane), e.mul(rest, plane))

        e.when(e.equal(e.add(oh, e.const(1)), s["out_height"]), rows)

    def clear(self, start: Any, count: Any) -> None:
        """Zeros in every gradient."""
        for name in self.inputs:
            self.e.clear(self.e.pointers[f"d{name}"], start, count)
