"""The forward kernel of folds: an output row folds its window's rows into a row of states, and merges those.

Two ways to go across:

- `strided` (one lane, a regular window): vectors run over output columns, states are picked at the stride;
- `tabled` (any table, any lanes): vectors run over lanes, taps come from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.fast_path import Doubt
from cnnatomy.backends.cpu.codegen.vectors import I64, traced
from cnnatomy.backends.cpu.pooling.forward_common import Rows
from cnnatomy.backends.cpu.pooling.window import Strided
from cnnatomy.reducers.contract import Fold, Lane, State

Blocks = tuple[int, ...]
BLOCK = 8
"""How many rows of states a regular window makes before it merges them."""

_BLOCKS: Blocks = (64, 4096)
"""Windows of more taps across than this are merged in blocks of such sizes, one inside the other."""

_CHAIN, _ABREAST = 4, 4
"""Windows of more rows than this are folded so many vectors abreast: each row waits for the one before it.

So are channels that are last: memory is then read in longer runs.
"""

_LISTED = 9
"""Slabs of a volume's window with more exponentials than this are not written out."""

_READ_AHEAD, _WRITE_AHEAD = 4096, 512
"""How many bytes ahead memory is asked for: a processor's own guesses end with a page."""


@dataclass(frozen=True)
class Forward:
    """What a forward kernel is specialised for."""

    reducer: Fold
    dtype: str
    taps: str | None  # how tap numbers are stored
    track: bool  # whether what backward needs is saved
    across: Strided | None
    rank: int
    height: int  # the rows of a whole window, unrolled when few
    width: int  # its columns if they are few, else 0
    widths: tuple[int, ...]
    run: bool  # one lane and long windows: vectors run along the window
    direct: bool  # without a window across: no column is read twice, so none is worth keeping
    alike: float  # what a mean divides by, if windows are regular and that is the same for all, else 0
    even: int  # the stride of windows down, if they cut planes of one slice evenly into rows, else 0

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


class _Writer(Rows):
    def __init__(self, spec: Forward, name: str) -> None:
        super().__init__(name, spec.reducer, spec.dtype, spec.taps, spec.track)
        self.spec, self.quick, self.alike = spec, spec.reducer.quick, spec.alike
        self.whole = False  # whether it is known here that no row or column of the window is missing
        self.use(self.quick or spec.reducer)

    def use(self, fold: Fold) -> None:
        """Fold with this from here on."""
        self.fold_of, self.fields = fold, fold.fields(self.spec.track)
        self.tracks = "tap" in self.fields

    def begin(self) -> None:
        super().begin()
        self.slot: Any = self.e.const(0)
        self.doubt = Doubt(self.e, self.spec.widths[0])  # of this row
        self.doubtful = self.e.cell(I64)  # a bit for each row
        if self.ahead:
            self.identity_rows()

    # rows of outputs

    @property
    def ahead(self) -> bool:
        """Whether rows of states are made some rows ahead of where they are merged."""
        return self.spec.across is not None and not self.spec.across.fused

    @contextmanager
    def each(self, start: Any, stop: Any) -> Iterator[None]:
        """For every output row; where planes are cut evenly, no table is asked where it lies."""
        if not self.spec.even:
            with super().each(start, stop):
                yield
            return
        e = self.e
        zero, one = e.const(0), e.const(1)
        self.read(zero, zero, zero)
        with e.loop(start, stop) as row:
            self.axes["d"] |= {"start": zero, "count": one, "skip": zero}
            begin = e.mul(row, e.const(self.spec.even))
            self.axes["h"] |= {"start": begin, "count": e.const(self.spec.height), "skip": zero}
            self.out = e.mul(row, self.sizes["out_width"], self.sizes["lanes"])
            yield

    def units(self) -> None:
        """A processor waits where it reads, in other pieces, what it has only just written: so work ahead."""
        if not self.ahead:
            super().units()
            return
        e = self.e
        with e.loop(e.lo, e.hi, BLOCK) as start:
            stop = e.smaller(e.add(start, e.const(BLOCK)), e.hi)
            self.tried(partial(self.block, start, stop), lambda rows: self.redo(rows, start, stop))

    def redo(self, rows: Any, start: Any, stop: Any) -> None:
        """Those rows again whose bits are set: no row depends on those that a thread has beside it."""
        e, b = self.e, self.e.builder
        with e.loop(start, stop) as row:
            bit = b.and_(b.lshr(rows, b.sub(row, start)), e.const(1))
            e.when(e.equal(bit, e.const(1)), lambda: self.block(row, e.add(row, e.const(1))))

    def block(self, start: Any, stop: Any) -> None:
        """Some rows of a regular window."""
        e, slots, across = self.e, self.e.cell(I64), self.spec.across
        assert across is not None, "only regular windows work ahead"
        for work in (self.fold_window, lambda: self.strided(across)):
            e.builder.store(e.const(0), slots)
            with self.each(start, stop):
                self.slot = e.builder.load(slots, typ=I64)
                work()
                self.mark()
                e.builder.store(e.add(self.slot, e.const(1)), slots)

    def mark(self) -> None:
        """Set a row's bit if any of its results is not trusted."""
        b = self.e.builder
        rows, bit = b.load(self.doubtful, typ=I64), b.zext(self.doubt.any(), I64)
        b.store(b.or_(rows, b.shl(bit, self.slot)), self.doubtful)
        self.doubt.empty()

    def across(self) -> None:
        self.tried(self.one_row)

    def one_row(self) -> None:
        """Rows that are merged as they are folded."""
        if self.spec.across:
            self.fused(self.spec.across)
        elif self.spec.direct:
            self.tabled(self.empty())
        else:
            self.fold_window()
            self.tabled(None)

    def tried(self, work: Callable[[], None], redo: Callable[[Any], None] | None = None) -> None:
        """Do work with the quick fold, and again with the whole one where its results are not trusted.

        If only some rows are to be done again, `redo` is told a bit for each.
        """
        e, quick = self.e, self.quick
        e.builder.store(e.const(0), self.doubtful)
        self.doubt.empty()
        work()
        if quick is None:
            return
        rows = e.builder.load(self.doubtful, typ=I64)

        def again() -> None:
            self.use(self.spec.reducer)
            self.refill(partial(redo, rows) if redo else work)
            self.use(quick)
            self.refill(lambda: None)

        e.when(e.builder.icmp_signed("!=", rows, e.const(0)) if redo else self.doubt.any(), again)

    def refill(self, work: Callable[[], None]) -> None:
        """Work on scratch whose padding is the identity of the fold in use."""
        if self.ahead:
            self.identity_rows()
        work()

    def empty(self) -> Any:
        """Whether the window has no row in the input."""
        taps = self.e.mul(self.axes["d"]["count"], self.axes["h"]["count"])
        return self.e.equal(taps, self.e.const(0))

    def fold_window(self) -> None:
        self.e.either(self.empty(), self.identity_row, self.fold_rows)

    # down the rows

    def fold(self, offset: Any, width: int) -> State:
        """The state of `width` neighbouring columns, all the window's rows folded."""
        if self.spec.rank < 3:
            return self.fold_height(self.e.const(0), offset, width, None)
        e, depth = self.e, self.axes["d"]
        cells = self.cells(self.fields, width)
        once = self.quick is not None  # exponentials make long code, which takes long to compile
        self.keep(cells, self.identity(width) if once else self.fold_height(e.const(0), offset, width, None))
        with e.loop(e.const(0 if once else 1), depth["count"]) as td:
            self.keep(cells, self.fold_height(td, offset, width, self.recall(cells)))
        return self.recall(cells)

    def fold_height(self, td: Any, offset: Any, width: int, before: State | None) -> State:
        e, height, depth, s = self.e, self.axes["h"], self.axes["d"], self.sizes
        slab = e.add(self.plane_depth, depth["start"], e.mul(td, depth["step"]))
        first = e.mul(e.add(e.mul(slab, s["height"]), height["start"]), self.row)
        pitch = e.mul(height["step"], self.row)
        tap_row = e.add(e.mul(e.add(depth["skip"], td), s["kernel_height"]), height["skip"])

        def value(th: Any, new: bool = False) -> tuple[State, Lane | None]:
            at = e.add(first, e.mul(th, pitch), offset)
            for name in self.inputs if new else ():
                e.prefetch(e.pointers[name], at, _READ_AHEAD)
            values = tuple(e.load(e.pointers[name], at, width) for name in self.inputs)
            if not self.tracks:
                return values, None
            return values, e.taps(e.mul(e.add(tap_row, th), s["kernel_width"]), width)

        def start(new: bool = False) -> State:
            if before is None:
                return self.fold_of.lift(*value(e.const(0), new))
            return self.fold_of.step(before, *value(e.const(0), new))

        cells = self.cells(self.fields, width)
        whole = self.spec.height
        seen = whole - self.spec.across.stride if self.spec.across and width > 1 else whole

        def unrolled() -> None:
            state = start(seen <= 0)
            for th in range(1, whole):
                state = self.fold_of.step(state, *value(e.const(th), th >= seen))
            self.keep(cells, state)

        def rolled() -> None:
            self.keep(cells, start())
            with e.loop(e.const(1), height["count"]) as th:
                self.keep(cells, self.fold_of.step(self.recall(cells), *value(th)))

        if self.whole:
            unrolled()
        elif whole <= _CHAIN and not self.lengthy:
            e.either(e.equal(height["count"], e.const(whole)), unrolled, rolled)
        else:
            rolled()
        return self.recall(cells)

    @property
    def lengthy(self) -> bool:
        """Whether a volume's window holds so many exponentials that they would take long to compile."""
        stride = self.spec.across.stride if self.spec.across else 1
        return self.spec.rank > 2 and self.quick is not None and self.spec.height * stride > _LISTED

    # the row of states

    def scratch(self, i: int) -> Any:
        """The row of the state's i-th number."""
        row = self.e.add(self.e.mul(self.slot, self.e.const(len(self.fields))), self.e.const(i))
        at = self.e.mul(self.sizes["scratch_row"], row)
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
        numbers = zip(self.fold_of.identity, self.fields, strict=False)
        return tuple(self.e.full(number, width, self.kind(field)) for number, field in numbers)

    def identity_rows(self) -> None:
        with self.e.loop(self.e.const(0), self.e.const(BLOCK)) as self.slot:
            self.identity_row()

    def identity_row(self) -> None:
        e = self.e
        size = e.builder.sdiv(self.sizes["scratch_row"], e.const(8 if self.spec.dtype == "float64" else 4))
        e.sweep(size, self.spec.widths, lambda column, width: self.put(self.identity(width), column))

    @property
    def wide(self) -> tuple[int, ...]:
        """Widths of vectors, the widest of several abreast if states are small."""
        widths = self.spec.widths
        return (_ABREAST * widths[0], *widths) if len(self.fields) == 1 else widths

    def fold_rows(self) -> None:
        def body(column: Any, width: int) -> None:
            self.put(self.fold(column, width), self.e.add(column, self.sizes["pad"]))

        self.e.sweep(self.row, self.wide if self.spec.height > _CHAIN else self.spec.widths, body)

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
        return column if state is None else self.fold_of.merge(state, column)

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

        self.e.sweep(self.sizes["out_width"], self.spec.widths, body, apart=True)

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

            def swept(widths: tuple[int, ...]) -> None:
                e.sweep(s["lanes"], widths, lambda lane, width: self.at_lanes(table, o, lane, width))

            def whole() -> None:
                self.whole = True
                swept(self.wide)
                self.whole = False

            def partly() -> None:
                long = self.spec.direct and self.spec.height > _CHAIN and not self.quick
                swept(self.wide if long else self.spec.widths)

            if self.spec.direct and self.spec.width and self.spec.height <= _CHAIN:
                columns = e.equal(table["count"], e.const(self.spec.width))
                rows = e.equal(self.axes["h"]["count"], e.const(self.spec.height))
                e.either(e.builder.and_(columns, rows), whole, partly)
            else:
                partly()

    def at_lanes(self, table: dict[str, Any], o: Any, lane: Any, width: int) -> None:
        """Output column o of some lanes."""
        e, cells = self.e, self.cells(self.fields, width)
        first, count = e.const(0), table["count"]

        def listed() -> None:
            state = self.column(table, lane, first, width)
            for t in range(1, self.spec.width):
                state = self.fold_of.merge(state, self.column(table, lane, e.const(t), width))
            self.keep(cells, state)

        def looped() -> None:
            few = e.builder.icmp_signed("<=", count, e.const(_BLOCKS[0]))
            e.either(
                few,
                lambda: self.merged(cells, table, lane, first, count, width, ()),
                lambda: self.merged(cells, table, lane, first, count, width, _BLOCKS),
            )

        if self.spec.run and width == 1:
            self.along(cells, table)
        elif self.whole:
            listed()
        elif self.spec.width:
            e.either(e.equal(count, e.const(self.spec.width)), listed, looped)
        else:
            looped()
        at = e.add(e.mul(o, self.sizes["lanes"]), lane)
        self.result(self.recall(cells), o, at, width, one_column=True)

    def along(self, cells: list[Any], table: dict[str, Any]) -> None:
        """Merge an output's columns in vectors, then what the lanes hold, then the columns left over."""
        e, wide = self.e, self.spec.widths[0]
        b, count = e.builder, table["count"]
        whole = b.sub(count, b.srem(count, e.const(wide)))
        many = self.cells(self.fields, wide)
        self.merged(many, table, e.const(0), e.const(0), whole, wide, _BLOCKS, step=wide)
        state, width = self.recall(many), wide
        while width > 1:
            width //= 2
            low, high = (tuple(e.part(number, width, half) for number in state) for half in (0, 1))
            state = self.fold_of.merge(low, high)
        self.merged(cells, table, e.const(0), whole, count, 1, ())
        self.keep(cells, self.fold_of.merge(state, self.recall(cells)))

    def column(self, table: dict[str, Any], lane: Any, t: Any, width: int, step: int = 1) -> State:
        """The state of tap t of an output's columns, or of the `step` taps from there on, a lane each."""
        e = self.e
        at = e.add(table["start"], e.mul(t, self.sizes["w_step"]))
        tap = self.skip(e.add(table["skip"], t), width, step > 1)
        offset = e.add(e.mul(at, self.sizes["lanes"]), lane)
        found = self.fold(offset, width) if self.spec.direct else self.get(offset, width)
        return self.shifted(found, tap)

    def merged(
        self,
        cells: list[Any],
        table: dict[str, Any],
        lane: Any,
        lo: Any,
        hi: Any,
        width: int,
        blocks: Blocks,
        step: int = 1,
    ) -> None:
        """Merge taps lo .. hi - 1 of an output into `cells`, block by block so that long sums stay exact."""
        e = self.e
        self.keep(cells, self.identity(width))
        if not blocks:
            e.when(
                e.builder.icmp_signed("<", lo, hi),
                lambda: self.keep(cells, self.column(table, lane, lo, width, step)),
            )
            with e.loop(e.add(lo, e.const(step)), hi, step) as t:
                here = self.column(table, lane, t, width, step)
                self.keep(cells, self.fold_of.merge(self.recall(cells), here))
            return
        *smaller, block = blocks
        with e.loop(lo, hi, block * step) as t:
            part, end = self.cells(self.fields, width), e.smaller(e.add(t, e.const(block * step)), hi)
            self.merged(part, table, lane, t, end, width, tuple(smaller), step)
            self.keep(cells, self.fold_of.merge(self.recall(cells), self.recall(part)))

    def skip(self, number: Any, width: int, counts: bool) -> Lane | int:
        if not self.tracks:
            return 0
        taps = self.e.taps(number, width)
        return self.e.counting(taps) if counts else taps

    def result(self, state: State, o: Any, at: Any, width: int, one_column: bool = False) -> None:
        count = self.count(o, width, one_column)
        index = self.e.add(self.out, at)
        if self.fold_of is self.quick:
            self.doubt.note(~self.quick.trusts(state), width)
        y = self.fold_of.finish(state, count)
        if self.spec.across and width > 1:
            self.e.prefetch(self.e.pointers["y"], index, _WRITE_AHEAD, write=True)
        self.e.store(y, self.e.pointers["y"], index, width)
        if self.track:
            self.save(self.fold_of.keep(state, y, count), index, width)
