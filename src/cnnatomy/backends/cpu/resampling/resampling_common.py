"""What kernels of separable maps share: their sizes, an axis's taps, and rows combined down the columns.

An axis is a table: output o reads `count[o]` cells from `start[o]` on, each times its weight.

    x        (planes, height, width, channels)
    row o    sum of weight[k] x[start[o] + k], a whole row at a time     vectors run along the row
    y        (planes, out height, out width, channels)                   each row combined along its columns

One unit of work is one output row, or as many as a vector holds. `general` combines columns by the table,
`polyphase` by phases, where weights repeat.

Measured (time without / with, one thread, AVX2): memory asked for ahead, where the input is not in the
caches, 1.15 to 1.23; stores past the caches 1.4 to 1.6 (`benchmarks/results/ways.csv`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.emitter import Emitter
from cnnatomy.backends.cpu.codegen.vector_types import vector
from cnnatomy.backends.cpu.codegen.vectors import Lanes, traced

SLOTS = (
    *("lanes", "width", "out_width", "height", "out_height", "rows", "row", "side"),
    *(f"{axis}_{what}" for axis in "hw" for what in ("start", "count", "weight", "most")),
    *("blocks", "whole", "periods", "margin", "cells", "zero"),
)
"""The plan's integers. `rows` of all planes; bytes to where a scratch row and the turned rows begin; `whole`
is a table: for every block of output columns, whether each of them has the most taps; `periods` of outputs
along a row, the `margin` of cells before a scratch row's first, and how many `cells` it has with margins on
both sides; `zero` is a zero that compilers do not see."""

UNROLLED = 8
"""The most taps that are written out one after another."""


class Spec(Protocol):
    """What every kernel of a separable map is specialised for."""

    @property
    def dtype(self) -> str:
        """The name of the elements' type."""

    @property
    def down(self) -> int:
        """Taps down the columns: 0 if they stay as they are, -1 if taps are walked in a loop."""

    @property
    def ones(self) -> bool:
        """Whether the weights down the columns are all 1."""

    @property
    def ahead(self) -> int:
        """How many rows further on memory is asked for; 0 where the input is in the caches."""

    @property
    def widths(self) -> tuple[int, ...]:
        """How many elements a vector may hold, widest first."""

    @property
    def known(self) -> tuple[tuple[str, int], ...]:
        """Sizes that are constants, if rows are short: they are then written out, one lane wide."""


class SeparableWriter:
    """Writes what kernels of separable maps have in common."""

    def __init__(self, spec: Spec, name: str) -> None:
        self.shape = spec
        self.e = Emitter(name, ("x", "y", "scratch"), spec.dtype)
        self.x, self.y = self.e.pointers["x"], self.e.pointers["y"]
        known = {slot: self.e.const(size) for slot, size in spec.known}
        self.sizes = {slot: known.get(slot) or self.e.size(i) for i, slot in enumerate(SLOTS)}
        lengths = (self.sizes["width"], self.sizes["out_width"])
        if not spec.known:
            lengths = tuple(self.e.mul(length, self.sizes["lanes"]) for length in lengths)
        self.length, self.out_length = lengths

    def place(self, row: Any, i: Any) -> Any:
        """Where element i of an output row lies."""
        return self.e.add(self.e.mul(row, self.out_length), i)

    def keep(self, pointer: Any) -> Any:
        """Store values in scratch memory."""

        def store(value: Lanes, i: Any, width: int) -> None:
            self.e.raw_store(traced(value), pointer, i, self.e.compute)

        return store

    def taps(self, axis: str, o: Any) -> tuple[Any, Any, Any]:
        """Where output o's cells begin, how many there are, and where its weights begin."""
        e, s = self.e, self.sizes
        start, count = (e.item(e.table(s[f"{axis}_{what}"]), o) for what in ("start", "count"))
        return start, count, e.mul(o, s[f"{axis}_most"])

    def weight(self, axis: str, index: Any, width: int) -> Lanes:
        """A weight in every lane."""
        found = self.e.raw_load(self.e.table(self.sizes[f"{axis}_weight"]), index, self.e.compute, 1)
        return self.e.spread(found, width)

    def total(self, count: Any, width: int, term: Any) -> Lanes:
        """The sum of `term(k)` for k below count."""
        e, kind = self.e, vector(self.e.compute, width)
        cell = e.cell(kind)
        e.builder.store(traced(e.full(0.0, width, e.compute)), cell)
        with e.loop(e.const(0), count) as k:
            added = e.lanes(e.builder.load(cell, typ=kind)) + term(k)
            e.builder.store(traced(added), cell)
        return e.lanes(e.builder.load(cell, typ=kind))

    def output_row(self, plane: Any, o: Any, body: Callable[[Callable[[Any, int], Lanes]], None]) -> None:
        """`body(at)`, where `at(i, width)` are elements of what output row o of a plane is made of.

        `body` is written once for each way to get at them: rows with all taps, and rows with fewer.
        """
        e, s, down, ahead = self.e, self.sizes, self.shape.down, self.shape.ahead
        base = e.mul(plane, s["height"])
        if not down:
            first = e.mul(e.add(base, o), self.length)
            body(lambda i, width: e.load(self.x, e.add(first, i), width))
            return
        start, count, weights = self.taps("h", o)
        first = e.mul(e.add(base, start), self.length)

        def term(k: Any, i: Any, width: int) -> Lanes:
            cell = e.load(self.x, e.add(first, e.mul(k, self.length), i), width)
            return cell if self.shape.ones else self.weight("h", e.add(weights, k), width) * cell

        def written_out(i: Any, width: int) -> Lanes:
            for k in range(max(down - ahead, 0), down):
                e.prefetch(self.x, e.add(first, e.mul(e.const(k + ahead), self.length), i), 0)
            return added([term(e.const(k), i, width) for k in range(down)])

        def walked(i: Any, width: int) -> Lanes:
            return self.total(count, width, lambda k: term(k, i, width))

        if down < 0:
            body(walked)
        else:
            full = e.equal(count, e.const(down))
            e.either(full, lambda: body(written_out), lambda: body(walked))

    def swept(
        self, store: Callable[[Lanes, Any, int], None]
    ) -> Callable[[Callable[[Any, int], Lanes]], None]:
        """The body that gives every element of a row to `store`."""
        return lambda at: self.sweep(self.length, lambda i, width: store(at(i, width), i, width))

    def sweep(self, length: Any, body: Callable[[Any, int], None]) -> None:
        """`body(start, width)` over `length` elements, written out one after another if they are known."""
        widths = self.shape.widths
        if not isinstance(length, ir.Constant):
            self.e.sweep(length, widths, body)
            return
        total = int(length.constant)
        width = next(width for width in widths if width <= total)
        for i in range(0, total, width):
            body(self.e.const(min(i, total - width)), width)


def added(terms: Sequence[Lanes]) -> Lanes:
    """The sum, from left to right."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
