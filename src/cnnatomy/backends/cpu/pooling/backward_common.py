"""What backward kernels share: the tensors they are given, what outputs tell inputs, and gradients kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.emitter import Emitter
from cnnatomy.backends.cpu.codegen.fast_path import Doubt
from cnnatomy.backends.cpu.codegen.vectors import Lanes, traced, vector
from cnnatomy.reducers.contract import Lane, Output, Reducer, State

_ABREAST = {"sum": 4, "winner": 4, "pairs": 2}
"""So many vectors at once, fewer where much is done with each: tables are asked less often."""


@dataclass(frozen=True)
class Row:
    """A row of outputs, seen from a row of inputs that it reads."""

    start: Any  # index of its first output
    tap: Any  # the tap at its window's first column
    divisor: Any


def pointers(reducer: Reducer) -> tuple[str, ...]:
    """The tensors that a backward kernel is given, in order; scratch comes after them."""
    inputs = ("x", *reducer.companions)
    values = inputs if "x" in reducer.reads else ()
    result = ("y",) if "y" in reducer.reads else ()
    kept = tuple(f"saved{i}" for i in range(len(reducer.saves)))
    return ("grad", *values, *result, *kept, *(f"d{name}" for name in inputs))


class Pairs:
    """Writes a kernel in which inputs meet the outputs that read them."""

    here: Any
    """Where the row of inputs begins."""

    def __init__(
        self,
        name: str,
        reducer: Reducer,
        dtype: str,
        taps: str | None,
        slots: Sequence[str],
        widths: tuple[int, ...],
    ) -> None:
        self.reducer, self.inputs = reducer, ("x", *reducer.companions)
        self.e = Emitter(name, (*pointers(reducer), "scratch"), dtype)
        self.sums = reducer.gradient == "sum"
        self.tap_element = ir.IntType(8 if taps == "uint8" else 32)
        self.sizes = {slot: self.e.size(i) for i, slot in enumerate(slots)}
        self.widths = widths
        self.doubt = Doubt(self.e, widths[0])  # of outputs for which the shorter way is wrong
        self.short, self.asks = True, False  # whether it is being written, and whether it ever is wrong

    @property
    def wide(self) -> tuple[int, ...]:
        """Widths of vectors, the widest of several abreast."""
        return (_ABREAST[self.reducer.gradient] * self.widths[0], *self.widths)

    def entry(self, axis: str, what: str, index: Any) -> Any:
        """An entry of an axis's table."""
        return self.e.item(self.pointer(f"{axis}_{what}"), index)

    def pointer(self, slot: str) -> Any:
        """Where a table lies."""
        return self.e.table(self.sizes[slot])

    def number(self, slot: str, index: Any) -> Any:
        """An entry of a table of values."""
        return self.e.raw_load(self.pointer(slot), index, self.e.compute, 1)

    # what is known of outputs

    def grad(self, row: Row, at: Any, width: int) -> Lanes:
        """The gradients of the outputs `at` .. of a row."""
        return self.e.load(self.e.pointers["grad"], self.e.add(row.start, at), width)

    def output(self, row: Row, at: Any, column: Any, width: int) -> Output:
        """The outputs `at` .. of a row; `column` is the one column they all are in, if it is one."""
        e = self.e
        index = e.add(row.start, at)
        one = e.full(1.0, width, e.compute)
        y = e.load(e.pointers["y"], index, width) if "y" in self.reducer.reads else one
        count: Lane = one
        if self.reducer.counts:
            count = e.spread(row.divisor, width) * self.column_divisors(at, column, width)
        saved = tuple(self.kept(i, index, width) for i in range(len(self.reducer.saves)))
        return Output(y, saved, count)

    def kept(self, i: int, index: Any, width: int) -> Lanes:
        """What forward saved."""
        e, pointer = self.e, self.e.pointers[f"saved{i}"]
        if self.reducer.saves[i] == "value":
            return e.lanes(e.raw_load(pointer, index, e.compute, width))
        narrow = e.raw_load(pointer, index, self.tap_element, width)
        wide = vector(e.tap, width)
        return e.lanes(narrow if narrow.type == wide else e.builder.zext(narrow, wide))

    def column_divisors(self, at: Any, column: Any, width: int) -> Lanes:
        """What means divide by, the columns' share of it."""
        e = self.e
        if column is None:
            return e.lanes(e.raw_load(self.pointer("w_divisor"), at, e.compute, width))
        return e.spread(self.number("w_divisor", column), width)

    # inputs and outputs meet

    def values(self, column: Any, width: int) -> State:
        """The inputs themselves, where the gradient looks at them."""
        if "x" not in self.reducer.reads:
            return ()
        e = self.e
        return tuple(e.load(e.pointers[name], e.add(self.here, column), width) for name in self.inputs)

    def brought(self, values: State) -> State:
        """What inputs bring to a pair."""
        return self.reducer.own(values) if self.reducer.gradient == "pairs" else values

    def given(self, row: Row | None, at: Any, column: Any, width: int) -> State:
        """What the outputs `at` .. tell their inputs."""
        e = self.e
        if row is None:
            return (e.lanes(e.raw_load(e.pointers["scratch"], at, e.compute, width)),)
        grad, output = self.grad(row, at, width), self.output(row, at, column, width)
        return self.reducer.give(grad, output) if self.reducer.gradient == "pairs" else (grad, *output.saved)

    def more(
        self, row: Row | None, own: State, given: State, tap: Any, width: int, counts: bool = False
    ) -> State:
        """What outputs tell their window's `tap`-th column, or the columns from there on."""
        e = self.e
        if row is None:
            return given[:1]
        number = e.taps(e.add(row.tap, tap), width)
        if counts:
            number = e.counting(number)
        if self.reducer.gradient == "pairs":
            return self.reducer.pull(own, given, number)
        grad, winner = given
        return (winner.same(number).select(grad, 0.0),)

    def put(self, name: str, gradient: Lane, values: State, column: Any, width: int) -> None:
        """Store the gradient of inputs."""
        if self.sums:
            gradient = self.reducer.collect(gradient, values[0] if values else gradient)
        self.e.store(gradient, self.e.pointers[f"d{name}"], self.e.add(self.here, column), width)

    # inputs that no other output reads

    def tried(self, work: Callable[[], None]) -> None:
        """Do the work the shorter way, and again the longer one if any output does not allow that."""
        self.doubt.empty()
        self.short, self.asks = True, False
        work()
        if self.asks:
            self.short = False
            self.e.when(self.doubt.any(), work)

    def asked(self, told: State, width: int) -> None:
        """Note whether outputs that tell this allow the shorter way, while that is being written."""
        usual = self.reducer.usual(told) if self.short else None
        if usual is not None:
            self.asks = True
            self.doubt.note(~usual, width)

    def alone(self, values: State, told: State, number: Lane) -> State:
        """What an output tells taps of that number, which nobody else reads."""
        if self.short:
            return self.reducer.sole(values, told, number)
        return self.reducer.pull(self.reducer.own(values), told, number)

    def tell(self, column: Any, told: State, tap: Any, width: int, counts: bool) -> None:
        """Store what outputs tell inputs from that column on, their tap of that number or from there on."""
        values, number = self.values(column, width), self.e.taps(tap, width)
        found = self.alone(values, told, self.e.counting(number) if counts else number)
        for name, gradient in zip(self.inputs, found, strict=True):
            self.put(name, gradient, values, column, width)

    def tell_run(self, start: Any, length: Any, one: State, tap: Any) -> None:
        """Store what one output tells so many columns, the first of which is its tap of that number."""
        e = self.e

        def told(width: int) -> State:
            return tuple(e.spread(traced(number), width) for number in one)

        def body(i: Any, width: int) -> None:
            self.tell(e.add(start, i), told(width), e.add(tap, i), width, counts=True)

        self.asked(told(self.widths[0]), self.widths[0])
        e.sweep(length, self.widths, body, apart=self.short)
