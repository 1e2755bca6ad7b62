"""What all forward kernels share: units of one output row, taps from tables, results and what is saved.

Tensors are seen as (planes, depth, height, width, lanes), with one lane for the usual layout and C lanes for
channels_last. One unit of work is one output row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.emitter import Emitter
from cnnatomy.backends.cpu.codegen.vector_types import vector
from cnnatomy.backends.cpu.codegen.vectors import traced
from cnnatomy.reducers.contract import NO_TAP, Field, Lane, Reducer, State

SLOTS = (
    *("lanes", "width", "out_width", "depth", "height", "out_depth", "out_height"),
    *("kernel_height", "kernel_width", "pad", "scratch_row"),
    *(f"{axis}_{what}" for axis in "dhw" for what in ("start", "count", "skip", "step", "divisor")),
)
"""The plan's integers; names with an axis letter are tables, one number per output, except steps."""


class Rows(ABC):
    """Writes a kernel that makes output rows, one after another."""

    def __init__(
        self, name: str, reducer: Reducer, dtype: str, taps: str | None, track: bool, divisor: float = 0.0
    ) -> None:
        self.reducer, self.taps, self.track = reducer, taps, track
        self.constant_divisor = divisor  # what a mean divides by, if the same for all outputs; else 0
        self.inputs = ("x", *reducer.companions)
        kept = [f"saved{i}" for i in range(len(reducer.saves))] if track else []
        noise = ["seed"] if reducer.draws else []
        self.e = Emitter(name, (*self.inputs, "y", *kept, *noise, "scratch"), dtype)
        self.sizes: dict[str, Any] = {}

    def write(self) -> str:
        """The kernel's LLVM text."""
        self.begin()
        self.units()
        return self.e.finish()

    def units(self) -> None:
        """Make all rows, one after another."""
        with self.each(self.e.lo, self.e.hi):
            self.across()

    @contextmanager
    def each(self, start: Any, stop: Any) -> Iterator[None]:
        """For every output row from start on, its tables read."""
        bases = (self.sizes["out_height"], self.sizes["out_depth"])
        with self.e.odometer(start, stop, bases) as (oh, od, plane):
            self.read(oh, od, plane)
            yield

    def begin(self) -> None:
        """What is done once, before the first row."""
        self.sizes |= {name: self.e.size(slot) for slot, name in enumerate(SLOTS)}
        self.row = self.e.mul(self.sizes["width"], self.sizes["lanes"])

    @abstractmethod
    def across(self) -> None:
        """Make the row whose tables have been read."""

    def read(self, oh: Any, od: Any, plane: Any) -> None:
        """Read the tables of one output row."""
        e, b, s = self.e, self.e.builder, self.sizes
        self.axes = {axis: self.axis(axis, o) for axis, o in (("d", od), ("h", oh))}
        self.plane, self.plane_depth = plane, e.mul(plane, s["depth"])
        if self.reducer.counts and not self.constant_divisor:
            self.divisor = b.fmul(self.number("d_divisor", od), self.number("h_divisor", oh))
        self.position = e.mul(e.add(e.mul(od, s["out_height"]), oh), s["out_width"])  # in the output's plane
        row = e.add(e.mul(e.add(e.mul(plane, s["out_depth"]), od), s["out_height"]), oh)
        self.out = e.mul(row, s["out_width"], s["lanes"])

    def axis(self, axis: str, o: Any) -> dict[str, Any]:
        """Where output o's taps begin on an axis, how many there are, and how many padding drops before."""

        def read(what: str) -> Any:
            return self.e.item(self.e.table(self.sizes[f"{axis}_{what}"]), o)

        found = {what: read(what) for what in ("start", "count", "skip")}
        return found | {"step": self.sizes[f"{axis}_step"]}

    def number(self, slot: str, index: Any) -> Any:
        """An entry of a table of values."""
        return self.e.raw_load(self.e.table(self.sizes[slot]), index, self.e.compute, 1)

    # states

    def kind(self, field: Field) -> ir.Type:
        """The type of one lane of a state's field."""
        return self.e.compute if field == "value" else self.e.tap

    def cells(self, fields: Sequence[Field], width: int) -> list[Any]:
        """Variables for a state."""
        return [self.e.cell(vector(self.kind(field), width)) for field in fields]

    def keep(self, cells: list[Any], state: State) -> None:
        """Set variables."""
        for cell, number in zip(cells, state, strict=True):
            self.e.builder.store(traced(number), cell)

    def recall(self, cells: list[Any]) -> State:
        """Read variables."""
        return tuple(self.e.lanes(self.e.builder.load(cell, typ=cell.allocated_type)) for cell in cells)

    # results

    def count(self, o: Any, width: int, one_column: bool) -> Lane:
        """What a mean divides by, for outputs o .. or for one output in all lanes."""
        e = self.e
        if not self.reducer.counts:
            return e.full(1.0, width, e.compute)
        if self.constant_divisor:
            return e.full(self.constant_divisor, width, e.compute)
        table = e.table(self.sizes["w_divisor"])
        found = e.raw_load(table, o, e.compute, 1 if one_column else width)
        columns = e.spread(found, width) if one_column else e.lanes(found)
        return e.spread(self.divisor, width) * columns

    def save(self, saved: State, index: Any, width: int) -> None:
        """Store what backward needs."""
        for i, (number, field) in enumerate(zip(saved, self.reducer.saves, strict=True)):
            pointer = self.e.pointers[f"saved{i}"]
            if field == "tap":
                self.save_tap(number, pointer, index, width)
            else:
                self.e.raw_store(traced(number), pointer, index, self.e.compute)

    def save_tap(self, tap: Lane, pointer: Any, index: Any, width: int) -> None:
        """Store tap numbers as narrow as they are kept."""
        e, narrow = self.e, self.taps == "uint8"
        element, none = ir.IntType(8 if narrow else 32), 255 if narrow else NO_TAP
        limit = e.full(none, width, e.tap)
        value = traced((tap > none).select(limit, tap))
        if value.type != vector(element, width):
            value = e.builder.trunc(value, vector(element, width))
        e.raw_store(value, pointer, index, element)
