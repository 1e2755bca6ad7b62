"""The forward kernel: each output row folds its window's rows into a row of states, and merges those across.

Tensors are seen as (planes, depth, height, width, lanes), with one lane for the usual layout and C lanes for
channels_last. One unit of work is one output row. Two ways to go across:

- `strided` (one lane, a regular window): vectors run over output columns, states are picked at the stride;
- `tabled` (any table, any lanes): vectors run over lanes, taps come from the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.emit import Emitter
from cnnatomy.backends.cpu.lanes import traced, vector
from cnnatomy.reducers.contract import NO_TAP, Lane, Reducer, State

SLOTS = (
    *("lanes", "width", "out_width", "depth", "height", "out_depth", "out_height"),
    *("kernel_height", "kernel_width", "pad", "scratch_row"),
    *(f"{axis}_{what}" for axis in "dhw" for what in ("start", "count", "skip", "step", "divisor")),
)
"""The plan's integers; names with an axis letter are tables, one number per output, except steps."""

Blocks = tuple[int, ...]
_BLOCKS: Blocks = (64, 4096)
"""Windows of more taps across than this are merged in blocks of such sizes, one inside the other."""


@dataclass(frozen=True)
class Strided:
    """A regular window along the columns, known when the kernel is written."""

    kernel: int
    stride: int
    dilation: int
    fused: bool  # the window is the stride and nothing is padded: no column is read twice


@dataclass(frozen=True)
class Forward:
    """What a forward kernel is specialised for."""

    reducer: Reducer
    dtype: str
    taps: str | None  # how winners' tap numbers are stored, if they are
    across: Strided | None
    rank: int
    height: int  # the rows of a whole window, unrolled when few
    widths: tuple[int, ...]
    direct: bool  # without a window across: no column is read twice, so none is worth keeping

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


class _Writer:
    def __init__(self, spec: Forward, name: str) -> None:
        self.spec = spec
        self.e = Emitter(name, ("x", "y", "saved", "scratch"), spec.dtype)
        self.fields = spec.reducer.fields(spec.taps is not None)
        self.tracks = "tap" in self.fields
        self.slot = {name: i for i, name in enumerate(SLOTS)}
        self.sizes: dict[str, Any] = {}

    def write(self) -> str:
        e = self.e
        for name in SLOTS:
            self.sizes[name] = e.size(self.slot[name])
        self.row = e.mul(self.sizes["width"], self.sizes["lanes"])
        if self.spec.across and not self.spec.across.fused:
            self.identity_row()
        bases = (self.sizes["out_height"], self.sizes["out_depth"])
        with e.odometer(e.lo, e.hi, bases) as (oh, od, plane):
            self.unit(oh, od, plane)
        return e.finish()

    # one output row

    def unit(self, oh: Any, od: Any, plane: Any) -> None:
        e, b, s = self.e, self.e.builder, self.sizes
        self.axes = {axis: self.axis(axis, o) for axis, o in (("d", od), ("h", oh))}
        self.plane_depth = e.mul(plane, s["depth"])
        if self.spec.reducer.counts:
            self.divisor = b.fmul(self.number("d_divisor", od), self.number("h_divisor", oh))
        row = e.add(e.mul(e.add(e.mul(plane, s["out_depth"]), od), s["out_height"]), oh)
        self.out = e.mul(row, s["out_width"], s["lanes"])
        across = self.spec.across
        empty = b.icmp_signed("==", e.mul(self.axes["d"]["count"], self.axes["h"]["count"]), e.const(0))
        if across and across.fused:
            self.fused(across)
        elif self.spec.direct:
            self.tabled(empty)
        else:
            e.either(empty, self.identity_row, self.fold_rows)
            self.strided(across) if across else self.tabled(None)

    def axis(self, axis: str, o: Any) -> dict[str, Any]:
        def read(what: str) -> Any:
            return self.e.item(self.e.table(self.sizes[f"{axis}_{what}"]), o)

        found = {what: read(what) for what in ("start", "count", "skip")}
        return found | {"step": self.sizes[f"{axis}_step"]}

    def number(self, slot: str, index: Any) -> Any:
        table = self.e.table(self.sizes[slot])
        return self.e.raw_load(table, index, self.e.compute, 1)

    # down the rows

    def fold(self, offset: Any, width: int) -> State:
        """The state of `width` neighbouring columns, all the window's rows folded."""
        if self.spec.rank < 3:
            return self.fold_height(self.e.const(0), offset, width, None)
        e, depth = self.e, self.axes["d"]
        cells = self.cells(width)
        self.keep(cells, self.fold_height(e.const(0), offset, width, None))
        with e.loop(e.const(1), depth["count"]) as td:
            self.keep(cells, self.fold_height(td, offset, width, self.recall(cells)))
        return self.recall(cells)

    def fold_height(self, td: Any, offset: Any, width: int, before: State | None) -> State:
        e, height, depth, s = self.e, self.axes["h"], self.axes["d"], self.sizes
        slab = e.add(self.plane_depth, depth["start"], e.mul(td, depth["step"]))
        first = e.mul(e.add(e.mul(slab, s["height"]), height["start"]), self.row)
        pitch = e.mul(height["step"], self.row)
        tap_row = e.add(e.mul(e.add(depth["skip"], td), s["kernel_height"]), height["skip"])

        def value(th: Any) -> tuple[Lane, Lane | None]:
            lanes = e.load(e.pointers["x"], e.add(first, e.mul(th, pitch), offset), width)
            if not self.tracks:
                return lanes, None
            return lanes, e.taps(e.mul(e.add(tap_row, th), s["kernel_width"]), width)

        def start() -> State:
            here = self.spec.reducer.lift(*value(e.const(0)))
            if before is None:
                return here
            return self.spec.reducer.step(before, *value(e.const(0)))

        cells = self.cells(width)
        whole = self.spec.height

        def unrolled() -> None:
            state = start()
            for th in range(1, whole):
                state = self.spec.reducer.step(state, *value(e.const(th)))
            self.keep(cells, state)

        def rolled() -> None:
            self.keep(cells, start())
            with e.loop(e.const(1), height["count"]) as th:
                self.keep(cells, self.spec.reducer.step(self.recall(cells), *value(th)))

        if whole <= 4:
            is_whole = e.builder.icmp_signed("==", height["count"], e.const(whole))
            e.either(is_whole, unrolled, rolled)
        else:
            rolled()
        return self.recall(cells)

    def cells(self, width: int) -> list[Any]:
        return [self.e.cell(vector(self.kind(field), width)) for field in self.fields]

    def keep(self, cells: list[Any], state: State) -> None:
        for cell, number in zip(cells, state, strict=True):
            self.e.builder.store(traced(number), cell)

    def recall(self, cells: list[Any]) -> State:
        return tuple(self.e.lanes(self.e.builder.load(cell, typ=cell.allocated_type)) for cell in cells)

    def kind(self, field: str) -> ir.Type:
        return self.e.compute if field == "value" else self.e.tap

    # the row of states

    def scratch(self, i: int) -> Any:
        """The row of the state's i-th number."""
        at = self.e.mul(self.sizes["scratch_row"], self.e.const(i))
        return self.e.at(self.e.pointers["scratch"], at, ir.IntType(8))

    def put(self, state: State, column: Any) -> None:
        for i, (number, field) in enumerate(zip(state, self.fields, strict=True)):
            self.e.raw_store(traced(number), self.scratch(i), column, self.kind(field))

    def get(self, column: Any, width: int) -> State:
        return tuple(
            self.e.lanes(self.e.raw_load(self.scratch(i), column, self.kind(field), width))
            for i, field in enumerate(self.fields)
        )

    def identity(self, width: int) -> State:
        numbers = zip(self.spec.reducer.identity, self.fields, strict=False)
        return tuple(self.e.full(number, width, self.kind(field)) for number, field in numbers)

    def identity_row(self) -> None:
        e = self.e
        size = e.builder.sdiv(self.sizes["scratch_row"], e.const(8 if self.spec.dtype == "float64" else 4))
        with e.loop(e.const(0), size) as column:
            self.put(self.identity(1), column)

    def fold_rows(self) -> None:
        def body(column: Any, width: int) -> None:
            self.put(self.fold(column, width), self.e.add(column, self.sizes["pad"]))

        self.e.sweep(self.row, self.spec.widths, body)

    # across the columns

    def shifted(self, state: State, by: Lane | int) -> State:
        """The state with its taps numbered `by` further on."""
        pairs = zip(state, self.fields, strict=True)
        return tuple(number + by if field == "tap" else number for number, field in pairs)

    def strided(self, across: Strided) -> None:
        """Vectors over output columns, states picked from the row at the stride."""

        def body(o: Any, width: int) -> None:
            wide: dict[int, State] = {}
            state: State | None = None
            for tap in range(across.kernel):
                block, phase = divmod(tap * across.dilation, across.stride)
                if block not in wide:
                    column = self.e.mul(self.e.add(o, self.e.const(block)), self.e.const(across.stride))
                    wide[block] = self.get(column, width * across.stride)
                state = self.joined(state, wide[block], tap, phase, width)
            assert state is not None
            self.result(state, o, o, width)

        self.e.sweep(self.sizes["out_width"], self.spec.widths, body)

    def joined(self, state: State | None, wide: State, tap: int, phase: int, width: int) -> State:
        """The state with one more column of the window, picked from neighbouring ones at the stride."""
        stride = self.spec.across.stride if self.spec.across else 1
        picked = tuple(self.e.pick(number, phase, stride, width) for number in wide)
        column = self.shifted(picked, tap)
        return column if state is None else self.spec.reducer.merge(state, column)

    def fused(self, across: Strided) -> None:
        """As strided, without the row of states: every column is folded just where it is merged."""

        def body(o: Any, width: int) -> None:
            stride = across.stride
            wide = self.fold(self.e.mul(o, self.e.const(stride)), width * stride)
            state: State | None = None
            for tap in range(stride):
                state = self.joined(state, wide, tap, tap, width)
            assert state is not None
            self.result(state, o, o, width)

        self.e.sweep(self.sizes["out_width"], self.spec.widths, body)

    def tabled(self, empty: Any) -> None:
        """Vectors over lanes; each output column's taps come from the table.

        Their states come from the row of states or, with `empty` saying whether there are rows at all, are
        folded just where they are merged.
        """
        e, s = self.e, self.sizes
        with e.loop(e.const(0), s["out_width"]) as o:
            table = self.axis("w", o)
            if empty is not None:
                table["count"] = e.builder.select(empty, e.const(0), table["count"])

            def body(lane: Any, width: int) -> None:
                cells = self.cells(width)
                few = e.builder.icmp_signed("<=", table["count"], e.const(_BLOCKS[0]))
                first = e.const(0)
                e.either(
                    few,
                    lambda: self.across(cells, table, lane, first, table["count"], width, ()),
                    lambda: self.across(cells, table, lane, first, table["count"], width, _BLOCKS),
                )
                at = e.add(e.mul(o, s["lanes"]), lane)
                self.result(self.recall(cells), o, at, width, one_column=True)

            e.sweep(s["lanes"], self.spec.widths, body)

    def across(
        self, cells: list[Any], table: dict[str, Any], lane: Any, lo: Any, hi: Any, width: int, blocks: Blocks
    ) -> None:
        """Merge taps lo .. hi - 1 of an output into `cells`, block by block so that long sums stay exact."""
        e, lanes = self.e, self.sizes["lanes"]
        self.keep(cells, self.identity(width))

        def column(t: Any) -> State:
            at = e.add(table["start"], e.mul(t, self.sizes["w_step"]))
            tap = self.skip(e.add(table["skip"], t), width)
            offset = e.add(e.mul(at, lanes), lane)
            found = self.fold(offset, width) if self.spec.direct else self.get(offset, width)
            return self.shifted(found, tap)

        if not blocks:
            e.when(e.builder.icmp_signed("<", lo, hi), lambda: self.keep(cells, column(lo)))
            with e.loop(e.add(lo, e.const(1)), hi) as t:
                self.keep(cells, self.spec.reducer.merge(self.recall(cells), column(t)))
            return
        *smaller, block = blocks
        with e.loop(lo, hi, block) as t:
            part, end = self.cells(width), e.smaller(e.add(t, e.const(block)), hi)
            self.across(part, table, lane, t, end, width, tuple(smaller))
            self.keep(cells, self.spec.reducer.merge(self.recall(cells), self.recall(part)))

    def skip(self, number: Any, width: int) -> Lane | int:
        return self.e.taps(number, width) if self.tracks else 0

    def result(self, state: State, o: Any, at: Any, width: int, one_column: bool = False) -> None:
        e = self.e
        count: Lane = e.full(1.0, width, e.compute)
        if self.spec.reducer.counts:
            table = e.table(self.sizes["w_divisor"])
            found = e.raw_load(table, o, e.compute, 1 if one_column else width)
            columns = e.spread(found, width) if one_column else e.lanes(found)
            count = e.spread(self.divisor, width) * columns
        index = e.add(self.out, at)
        e.store(self.spec.reducer.finish(state, count), e.pointers["y"], index, width)
        if self.tracks:
            self.save(state[self.fields.index("tap")], index, width)

    def save(self, tap: Lane, index: Any, width: int) -> None:
        e, narrow = self.e, self.spec.taps == "uint8"
        element, none = ir.IntType(8 if narrow else 32), 255 if narrow else NO_TAP
        limit = e.full(none, width, e.tap)
        value = traced((tap > none).select(limit, tap))
        if value.type != vector(element, width):
            value = e.builder.trunc(value, vector(element, width))
        e.raw_store(value, e.pointers["saved"], index, element)
