"""What backward kernels share: the tensors they read, what outputs give, and the gradients they write.

    grad, y, saved   (planes, out depth, out height, out width, channels)
    x, companions    (planes, depth, height, width, channels)      read where the gradient depends on them
    dx, ..           laid out as x

An input's gradient is a sum over the outputs that read it. In `"pairs"` each term is
`grad_terms(input_terms(x), output_terms(y), tap)`; inputs that one output reads may take a `FastPull`
instead, which checks itself (`codegen.fast_path`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.emitter import Emitter
from cnnatomy.backends.cpu.codegen.fast_path import FastPath
from cnnatomy.backends.cpu.codegen.vector_types import vector
from cnnatomy.backends.cpu.codegen.vectors import Lanes, traced
from cnnatomy.reducers.contract import FastPull, Lane, Output, Reducer, State

_SEVERAL = {"sum": 4, "winner": 4, "pairs": 2}
"""So many vectors at a time, fewer where much is done with each: tables are read less often."""


@dataclass(frozen=True)
class Row:
    """A row of outputs, seen from a row of inputs that it reads."""

    start: Any  # index of its first output
    tap: Any  # the tap at its window's first column
    divisor: Any


@dataclass(frozen=True)
class FullPull:
    """The reducer's own `grad_terms`."""

    reducer: Reducer

    def grad_terms(self, values: State, given: State, tap: Lane) -> State:
        """The gradients of x and its companions."""
        return self.reducer.grad_terms(self.reducer.input_terms(values), given, tap)


Pull = FullPull | FastPull


def pointers(reducer: Reducer) -> tuple[str, ...]:
    """The tensors that a backward kernel is given, in order; scratch comes after them."""
    inputs = ("x", *reducer.companions)
    values = inputs if "x" in reducer.reads else ()
    result = ("y",) if "y" in reducer.reads else ()
    kept = tuple(f"saved{i}" for i in range(len(reducer.saves)))
    return ("grad", *values, *result, *kept, *(f"d{name}" for name in inputs))


class BackwardWriter:
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
        self.path: FastPath[Pull] = FastPath(self.e, widths[0], FullPull(reducer), reducer.fast.pull)

    @property
    def several(self) -> tuple[int, ...]:
        """Widths of vectors, the widest of several at a time."""
        return (_SEVERAL[self.reducer.gradient] * self.widths[0], *self.widths)

    def entry(self, axis: str, what: str, index: Any) -> Any:
        """An entry of an axis's table."""
        return self.e.item(self.pointer(f"{axis}_{what}"), index)

    def pointer(self, slot: str) -> Any:
        """Where a table lies."""
        return self.e.table(self.sizes[slot])

    def number(self, slot: str, index: Any) -> Any:
        """An entry of a table of values."""
        return self.e.raw_load(self.pointer(slot), index, self.e.compute, 1)

    # outputs

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
            count = e.spread(row.divisor, width) * self._column_divisors(at, column, width)
        saved = tuple(self._saved(i, index, width) for i in range(len(self.reducer.saves)))
        return Output(y, saved, count)

    def _saved(self, i: int, index: Any, width: int) -> Lanes:
        e, pointer = self.e, self.e.pointers[f"saved{i}"]
        if self.reducer.saves[i] == "value":
            return e.lanes(e.raw_load(pointer, index, e.compute, width))
        narrow = e.raw_load(pointer, index, self.tap_element, width)
        wide = vector(e.tap, width)
        return e.lanes(narrow if narrow.type == wide else e.builder.zext(narrow, wide))

    def _column_divisors(self, at: Any, column: Any, width: int) -> Lanes:
        """What means divide by, the columns' share of it."""
        e = self.e
        if column is None:
            return e.lanes(e.raw_load(self.pointer("w_divisor"), at, e.compute, width))
        return e.spread(self.number("w_divisor", column), width)

    def given(self, row: Row | None, at: Any, column: Any, width: int) -> State:
        """What the outputs `at` .. give their inputs; without a row, sums of what they spread."""
        e = self.e
        if row is None:
            return (e.lanes(e.raw_load(e.pointers["scratch"], at, e.compute, width)),)
        grad, output = self.grad(row, at, width), self.output(row, at, column, width)
        return (
            self.reducer.output_terms(grad, output)
            if self.reducer.gradient == "pairs"
            else (grad, *output.saved)
        )

    # inputs

    def values(self, column: Any, width: int) -> State:
        """The inputs themselves, where the gradient depends on them."""
        if "x" not in self.reducer.reads:
            return ()
        e = self.e
        return tuple(e.load(e.pointers[name], e.add(self.here, column), width) for name in self.inputs)

    def input_terms(self, values: State) -> State:
        """The inputs' own terms, which all outputs that read them take."""
        return self.reducer.input_terms(values) if self.reducer.gradient == "pairs" else values

    def terms(
        self, row: Row | None, own: State, given: State, tap: Any, width: int, counts: bool = False
    ) -> State:
        """What outputs add to their window's `tap`-th column, or to the columns from there on."""
        e = self.e
        if row is None:
            return given[:1]
        number = e.taps(e.add(row.tap, tap), width)
        if counts:
            number = e.counting(number)
        if self.reducer.gradient == "pairs":
            return self.reducer.grad_terms(own, given, number)
        grad, winner = given
        return (winner.same(number).select(grad, 0.0),)

    def write_gradient(self, name: str, gradient: Lane, values: State, column: Any, width: int) -> None:
        """Store the gradient of inputs."""
        if self.sums:
            gradient = self.reducer.collect(gradient, values[0] if values else gradient)
        self.e.store(gradient, self.e.pointers[f"d{name}"], self.e.add(self.here, column), width)

    # inputs that one output reads, with gradients in pairs

    def check(self, form: Pull, given: State, width: int) -> None:
        """Note whether a fast form is right for outputs that give this."""
        if isinstance(form, FastPull):
            self.path.trust(form.trusts(given), width)

    def write_pulled(self, form: Pull, column: Any, given: State, tap: Lane, width: int) -> None:
        """Store the gradients of the inputs from that column on; `tap` are their numbers."""
        values = self.values(column, width)
        for name, gradient in zip(self.inputs, form.grad_terms(values, given, tap), strict=True):
            self.write_gradient(name, gradient, values, column, width)

    def write_run(self, form: Pull, start: Any, length: Any, one: State, tap: Any) -> None:
        """Store the gradients of so many columns, the first of which is one output's tap of that number."""
        e = self.e

        def given(width: int) -> State:
            return tuple(e.spread(traced(number), width) for number in one)

        def body(i: Any, width: int) -> None:
            taps = e.counting(e.taps(e.add(tap, i), width))
            self.write_pulled(form, e.add(start, i), given(width), taps, width)

        self.check(form, given(self.widths[0]), self.widths[0])
        e.sweep(length, self.widths, body, apart=True)
