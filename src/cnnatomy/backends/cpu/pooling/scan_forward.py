"""The forward kernel of scans, whose windows are read as a whole: ranks, and draws by weight.

Three ways to reach the taps of a window:

- `columns` (one lane, a small regular window): vectors run over output columns, all taps in registers;
- `channels` (a small window): vectors run over lanes, all taps in registers;
- `loop` (any window): vectors run over lanes, taps are visited in loops.

One unit of work is one output row. A vector of `columns` holds, for each tap, that tap of neighbouring
outputs (kernel 3, stride 2): one run of the input is read for each stride that the window reaches over, and
its phases are picked apart:

    read      x0 x1 x2 x3 x4 x5 x6 x7 | x8 ..
    tap 0     x0    x2    x4    x6              tap 1   x1 x3 x5 x7     tap 2   x2 x4 x6 x8

With channels first, many channels and windows too large for registers, `launch` lays the channels last first,
so that vectors are full.

Measured (time without / with, one thread, AVX2): `columns` instead of single outputs 7.6, turned layouts 12.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.vector_types import I32, splat, vector
from cnnatomy.backends.cpu.codegen.vectors import Lanes, Truth, traced
from cnnatomy.backends.cpu.pooling.forward_common import Rows
from cnnatomy.backends.cpu.pooling.kernel_choice import Way
from cnnatomy.backends.cpu.pooling.window_tables import Strided
from cnnatomy.reducers.contract import Field, Lane, Scan, State, Step, Tap
from cnnatomy.reducers.shared.noise import BITS, uniform

FEW = 32
"""Windows of at most so many taps are held in registers."""


@dataclass(frozen=True)
class Scanned:
    """What a scanning kernel is specialised for."""

    reducer: Scan
    dtype: str
    taps: str | None
    track: bool
    way: Way
    across: Strided | None
    kernel: tuple[int, int, int]  # the most taps on each axis, if they are few
    pad: int  # columns of padding before the first
    widths: tuple[int, ...]

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        if self.across is not None:
            return _ColumnsWriter(self, name, self.across).write()
        return _ChannelsWriter(self, name).write()


@dataclass(frozen=True)
class _Window:
    """A window under trace, as a reducer's `scan` sees it."""

    writer: _Writer
    width: int
    few: Sequence[Tap] | None
    all_inside: bool
    count: Lane
    draw: Callable[[], Lane]

    @property
    def tracks(self) -> bool:
        """Whether what backward needs must be found."""
        return self.writer.track

    @property
    def noise(self) -> Lane:
        """A number drawn uniformly from [0, 1)."""
        return self.draw()

    def fold(self, state: State, step: Step, fields: Sequence[Field]) -> State:
        """`step` through the taps inside the input, in row-major order."""
        if self.few is None:
            return self.writer.visit(state, step, fields, self.width)
        for tap in self.few:
            after = step(state, tap)
            if tap.inside is not None:
                pairs = zip(after, state, strict=True)
                after = tuple(tap.inside.select(new, old) for new, old in pairs)
            state = after
        return state

    def repeat(self, times: int, state: State, body: Callable[[State], State]) -> State:
        """`body` applied over and over."""
        return self.writer.repeat(times, state, body)


def _reads(across: Strided) -> dict[int, int]:
    """For each stride that a window reaches over, the column its vector is read from.

    A vector holds whole strides, of which a window may need the first columns only: it is then read from
    further left, so that it ends with the last column needed, and no row's last outputs read beyond it.
    """
    last = {tap * across.dilation // across.stride: tap * across.dilation for tap in range(across.kernel)}
    return {block: cell + 1 - across.stride if block else 0 for block, cell in last.items()}


class _Writer(Rows):
    """What both kinds of vectors share."""

    def __init__(self, spec: Scanned, name: str) -> None:
        super().__init__(name, spec.reducer, spec.dtype, spec.taps, spec.track)
        self.spec, self.scan_of = spec, spec.reducer

    def taps_of(self) -> list[tuple[int, int, int]]:
        """All taps of a whole window in row-major order."""
        depth, height, width = self.spec.kernel
        return [(td, th, tw) for td in range(depth) for th in range(height) for tw in range(width)]

    def inside(self, axis: dict[str, Any], tap: int) -> Any:
        """Whether a tap of an axis lies in the input."""
        b = self.e.builder
        return b.icmp_unsigned("<", b.sub(self.e.const(tap), axis["skip"]), axis["count"])

    def held(self, axis: dict[str, Any], tap: int) -> Any:
        """The cell of a tap of an axis, or the nearest cell of the window where it lies outside."""
        e, b = self.e, self.e.builder
        last = e.larger(b.sub(axis["count"], e.const(1)), e.const(0))
        number = e.smaller(e.larger(b.sub(e.const(tap), axis["skip"]), e.const(0)), last)
        return e.smaller(e.add(axis["start"], e.mul(number, axis["step"])), b.sub(axis["size"], e.const(1)))

    def with_size(self, axis: str) -> dict[str, Any]:
        """The tables of the depth or the height, with the input's size."""
        return self.axes[axis] | {"size": self.sizes["depth" if axis == "d" else "height"]}

    def repeat(self, times: int, state: State, body: Callable[[State], State]) -> State:
        """`body` in a loop."""
        cells = [self.e.cell(traced(number).type) for number in state]
        self.keep(cells, state)
        with self.e.loop(self.e.const(0), self.e.const(times)):
            self.keep(cells, body(self.recall(cells)))
        return self.recall(cells)

    def visit(self, state: State, step: Step, fields: Sequence[Field], width: int) -> State:
        """`step` through the taps in loops, where they are not held in registers."""
        raise AssertionError("all taps are held in registers")

    # results

    def finish(
        self,
        taps: list[Tap] | None,
        o: Any,
        at: Any,
        width: int,
        count: Lane,
        lane: Any = None,
    ) -> None:
        inside = taps is not None and all(tap.inside is None for tap in taps)
        window = _Window(self, width, taps, inside, count, lambda: self.drawn(o, lane, width))
        y, *saved = self.scan_of.scan(window)
        index = self.e.add(self.out, at)
        self.e.store(y, self.e.pointers["y"], index, width)
        if self.track:
            self.save(tuple(saved), index, width)

    def drawn(self, o: Any, lane: Any, width: int) -> Lane:
        """The draw of every output, from its plane (image and channel) and its position there."""
        e, s = self.e, self.sizes
        position = self.words(e.add(self.position, o), width, counts=lane is None)
        plane = self.plane if lane is None else e.add(e.mul(self.plane, s["lanes"]), lane)
        planes = self.words(plane, width, counts=lane is not None)
        seeds = [self.words(e.raw_load(e.pointers["seed"], e.const(i), I32, 1), width, False) for i in (0, 1)]
        bits = uniform((seeds[0], seeds[1]), planes, position)
        value = e.builder.uitofp(bits.value, vector(e.compute, width))
        return e.lanes(value) * 2.0**-BITS

    def words(self, number: Any, width: int, counts: bool) -> Lanes:
        """A number as 32-bit words in all lanes, or counting up from lane to lane."""
        e = self.e
        low = number if number.type == I32 else e.builder.trunc(number, I32)
        words = e.spread(low, width)
        if not counts or width == 1:
            return words
        return e.lanes(e.builder.add(words.value, ir.Constant(words.kind, list(range(width)))))


class _ColumnsWriter(_Writer):
    """One channel: vectors run over output columns."""

    def __init__(self, spec: Scanned, name: str, window: Strided) -> None:
        super().__init__(spec, name)
        self.window = window

    def rows(self) -> list[tuple[Any, Any]]:
        """For every row of a whole window: whether it lies in the input, and where it begins there."""
        e, s, found = self.e, self.sizes, []
        d, h = self.with_size("d"), self.with_size("h")
        for td in range(self.spec.kernel[0]):
            for th in range(self.spec.kernel[1]):
                there = e.builder.and_(self.inside(d, td), self.inside(h, th))
                slab = e.add(self.plane_depth, self.held(d, td))
                found.append((there, e.mul(e.add(e.mul(slab, s["height"]), self.held(h, th)), self.row)))
        return found

    def across(self) -> None:
        """Vectors whose taps are all inside the input need no masks."""
        e, s, across = self.e, self.sizes, self.window
        self.window_rows = self.rows()
        whole_rows: Any = splat(ir.IntType(1), 1)
        for there, _ in self.window_rows:
            whole_rows = e.builder.and_(whole_rows, there)
        after = max(_reads(across).values())  # how far the last column read is from a whole vector's

        def body(o: Any, width: int) -> None:
            first = e.builder.sub(e.mul(o, e.const(across.stride)), e.const(self.spec.pad))
            end = e.add(first, e.const(width * across.stride + after))  # of what is read
            low = e.builder.icmp_signed(">=", first, e.const(0))
            high = e.builder.icmp_signed("<=", end, s["width"])
            whole = e.builder.and_(whole_rows, e.builder.and_(low, high))
            e.either(
                whole,
                lambda: self.columns(across, o, first, width, masked=False),
                lambda: self.columns(across, o, first, width, masked=True),
            )

        e.sweep(s["out_width"], self.spec.widths, body)

    def columns(self, across: Strided, o: Any, first: Any, width: int, masked: bool) -> None:
        e, taps = self.e, list[Tap]()
        height, reach = self.spec.kernel[1], width * across.stride
        columns = [self.column_inside(first, tw * across.dilation, width) for tw in range(across.kernel)]
        wide, reads = dict[tuple[int, int], Lanes](), _reads(across)
        for number, (td, th, tw) in enumerate(self.taps_of()):
            row, cell = td * height + th, tw * across.dilation
            there, start = self.window_rows[row]
            block = cell // across.stride
            if (row, block) not in wide:
                column = e.add(first, e.const(reads[block]))
                at, x = e.add(start, column), e.pointers["x"]
                held = e.load_inside(x, at, reach, column, self.sizes["width"]) if masked else None
                wide[row, block] = held or e.load(x, at, reach)
            value = e.pick(wide[row, block], cell - reads[block], across.stride, width)
            inside = columns[tw] & e.mask(there, width) if masked else None
            taps.append(Tap(value, e.full(number, width, e.tap), inside))
        self.finish(taps, o, o, width, self.counted(taps, width))

    def column_inside(self, first: Any, tap: int, width: int) -> Truth:
        """For outputs from `first` on, whether a tap of theirs lies between the first and the last column."""
        e, stride = self.e, self.window.stride
        start = e.spread(e.builder.trunc(e.add(first, e.const(tap)), I32), width)
        steps = ir.Constant(start.kind, [i * stride for i in range(width)]) if width > 1 else splat(I32, 0)
        column = e.builder.add(start.value, steps)
        limit = e.spread(e.builder.trunc(self.sizes["width"], I32), width)
        return Truth(e.builder, e.builder.icmp_unsigned("<", column, limit.value))

    def counted(self, taps: Sequence[Tap], width: int) -> Lane:
        """How many taps are inside."""
        e = self.e
        if all(tap.inside is None for tap in taps):
            return e.full(len(taps), width, e.compute)
        one, total = e.full(1.0, width, e.compute), e.full(0.0, width, e.compute)
        for tap in taps:
            assert tap.inside is not None
            total += tap.inside.select(one, 0.0)
        return total


class _ChannelsWriter(_Writer):
    """Any number of channels and any table: vectors run over channels, output by output."""

    def across(self) -> None:
        e, s = self.e, self.sizes
        most = math.prod(self.spec.kernel)
        with e.loop(e.const(0), s["out_width"]) as o:
            self.axes["w"] = self.axis("w", o) | {"size": s["width"]}
            count = e.mul(*(self.axes[axis]["count"] for axis in "dhw"))

            def body(lane: Any, width: int) -> None:
                at = e.add(e.mul(o, s["lanes"]), lane)
                inside = e.spread(e.builder.sitofp(count, e.compute), width)
                if self.spec.way is Way.LOOP:
                    self.lane = lane
                    self.finish(None, o, at, width, inside, lane)
                    return

                def go(masked: bool) -> None:
                    self.finish(self.registers(lane, width, masked), o, at, width, inside, lane)

                whole = e.equal(count, e.const(most))
                e.either(whole, lambda: go(False), lambda: go(True))

            e.sweep(s["lanes"], self.spec.widths, body)

    def registers(self, lane: Any, width: int, masked: bool) -> list[Tap]:
        """All taps of a window, those outside read from its nearest cell and masked."""
        e, s, taps = self.e, self.sizes, list[Tap]()
        d, h, w = self.with_size("d"), self.with_size("h"), self.axes["w"]
        for number, (td, th, tw) in enumerate(self.taps_of()):
            slab = e.add(self.plane_depth, self.held(d, td))
            row = e.mul(e.add(e.mul(slab, s["height"]), self.held(h, th)), self.row)
            at = e.add(row, e.mul(self.held(w, tw), s["lanes"]), lane)
            there = e.builder.and_(self.inside(d, td), e.builder.and_(self.inside(h, th), self.inside(w, tw)))
            inside = e.mask(there, width) if masked else None
            taps.append(Tap(e.load(e.pointers["x"], at, width), e.full(number, width, e.tap), inside))
        return taps

    def visit(self, state: State, step: Step, fields: Sequence[Field], width: int) -> State:
        """`step` through the taps in loops."""
        e, s = self.e, self.sizes
        d, h, w = self.axes["d"], self.axes["h"], self.axes["w"]
        cells = self.cells(fields, width)
        self.keep(cells, state)
        zero = e.const(0)
        with e.loop(zero, d["count"]) as td, e.loop(zero, h["count"]) as th:
            slab = e.add(self.plane_depth, d["start"], e.mul(td, d["step"]))
            line = e.add(e.mul(slab, s["height"]), h["start"], e.mul(th, h["step"]))
            tap_row = e.add(e.mul(e.add(d["skip"], td), s["kernel_height"]), h["skip"], th)
            tap_base = e.add(e.mul(tap_row, s["kernel_width"]), w["skip"])
            with e.loop(zero, w["count"]) as tw:
                column = e.mul(e.add(w["start"], e.mul(tw, w["step"])), s["lanes"])
                value = e.load(e.pointers["x"], e.add(e.mul(line, self.row), column, self.lane), width)
                number = e.taps(e.add(tap_base, tw), width)
                self.keep(cells, step(self.recall(cells), Tap(value, number)))
        return self.recall(cells)
