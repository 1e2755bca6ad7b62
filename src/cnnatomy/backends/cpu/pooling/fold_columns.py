"""What every way of a fold shares: the states of neighbouring columns, folded down the window's rows.

Scratch memory holds rows of states. Each row has one part for each number of the state, a cell for each
column of the input, with padding on both sides that holds the fold's identity:

    row 0   | identity | value, column 0 .. W - 1 | identity |   tap, column 0 .. |   ...
    row 1   | identity | ...

The folds of one kernel (a fast one, and the full one) are two objects: none knows of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.vectors import traced
from cnnatomy.backends.cpu.pooling.forward_common import Rows
from cnnatomy.backends.cpu.pooling.window_tables import Strided
from cnnatomy.reducers.contract import FastFold, Fold, Lane, Mask, State

UNROLLED, TOGETHER = 4, 4
"""Windows of more rows than this are folded so many vectors at a time: each row waits for the one before it.

So are channels that are last: memory is then read in longer runs.
"""

_WRITTEN_OUT = 9
"""Slabs of a volume's window with more exponentials than this are not written out."""


@dataclass(frozen=True)
class FoldSpec:
    """What a kernel of a fold is specialised for."""

    reducer: Fold
    dtype: str
    taps: str | None  # how tap numbers are stored
    track: bool  # whether what backward needs is saved
    across: Strided | None
    rank: int
    height: int  # the rows of a whole window, unrolled when few
    width: int  # its columns if they are few, else 0
    widths: tuple[int, ...]
    run: bool  # one channel and long windows: vectors run along the window
    direct: bool  # without a window across: no column is read twice, so none is worth keeping
    divisor: float  # what a mean divides by, if windows are regular and that is the same for all, else 0
    even: int  # the stride of windows down, if they cut planes of one slice evenly into rows, else 0


class ColumnFold:
    """Writes how one fold makes the states of columns, and results of them."""

    trust: Callable[[Mask, int], None]
    """Notes where results are right, if this is a fast fold."""

    def __init__(self, rows: Rows, spec: FoldSpec, fold: Fold | FastFold) -> None:
        self.rows, self.e, self.spec, self.fold = rows, rows.e, spec, fold
        self.fields = fold.fields(spec.track)
        self.tracks = "tap" in self.fields
        self.exponential = spec.reducer.fast.fold is not None  # such code is long, and takes long to compile

    # down the rows

    def empty(self) -> Any:
        """Whether the window has no row in the input."""
        axes = self.rows.axes
        return self.e.equal(self.e.mul(axes["d"]["count"], axes["h"]["count"]), self.e.const(0))

    def column_states(self, offset: Any, width: int, whole: bool = False) -> State:
        """The state of `width` neighbouring columns; `whole` if no row of the window is missing."""
        if self.spec.rank < 3:
            return self.slab_states(self.e.const(0), offset, width, None, whole)
        e, rows, once = self.e, self.rows, self.exponential
        cells = rows.cells(self.fields, width)
        first = self.identity(width) if once else self.slab_states(e.const(0), offset, width, None, whole)
        rows.keep(cells, first)
        with e.loop(e.const(0 if once else 1), rows.axes["d"]["count"]) as td:
            rows.keep(cells, self.slab_states(td, offset, width, rows.recall(cells), whole))
        return rows.recall(cells)

    def slab_states(self, td: Any, offset: Any, width: int, before: State | None, whole: bool) -> State:
        """The state of columns after one slab of the window, the `td`-th."""
        e, rows, s = self.e, self.rows, self.rows.sizes
        height, depth = rows.axes["h"], rows.axes["d"]
        slab = e.add(rows.plane_depth, depth["start"], e.mul(td, depth["step"]))
        first = e.mul(e.add(e.mul(slab, s["height"]), height["start"]), rows.row)
        pitch = e.mul(height["step"], rows.row)
        tap_row = e.add(e.mul(e.add(depth["skip"], td), s["kernel_height"]), height["skip"])

        def read(th: Any) -> tuple[State, Lane | None]:
            at = e.add(first, e.mul(th, pitch), offset)
            values = tuple(e.load(e.pointers[name], at, width) for name in rows.inputs)
            if not self.tracks:
                return values, None
            return values, e.taps(e.mul(e.add(tap_row, th), s["kernel_width"]), width)

        def start() -> State:
            values, tap = read(e.const(0))
            return self.fold.lift(values, tap) if before is None else self.fold.step(before, values, tap)

        cells, most = rows.cells(self.fields, width), self.spec.height

        def unrolled() -> None:
            state = start()
            for th in range(1, most):
                state = self.fold.step(state, *read(e.const(th)))
            rows.keep(cells, state)

        def rolled() -> None:
            rows.keep(cells, start())
            with e.loop(e.const(1), height["count"]) as th:
                rows.keep(cells, self.fold.step(rows.recall(cells), *read(th)))

        if whole:
            unrolled()
        elif most <= UNROLLED and not self._lengthy():
            e.either(e.equal(height["count"], e.const(most)), unrolled, rolled)
        else:
            rolled()
        return rows.recall(cells)

    def _lengthy(self) -> bool:
        """Whether a volume's window holds so many exponentials that they would take long to compile."""
        stride = self.spec.across.stride if self.spec.across else 1
        return self.spec.rank > 2 and self.exponential and self.spec.height * stride > _WRITTEN_OUT

    # rows of states

    def fold_rows(self, slot: Any) -> None:
        """Fill a row of states."""
        self.e.either(self.empty(), lambda: self.fill_row(slot), lambda: self._fold_rows(slot))

    def _fold_rows(self, slot: Any) -> None:
        def body(column: Any, width: int) -> None:
            at = self.e.add(column, self.rows.sizes["pad"])
            self.put(slot, at, self.column_states(column, width))

        self.e.sweep(self.rows.row, self.several if self.spec.height > UNROLLED else self.spec.widths, body)

    def fill_row(self, slot: Any) -> None:
        """Fill a row of states with the identity."""
        e, item = self.e, 8 if self.spec.dtype == "float64" else 4
        size = e.builder.sdiv(self.rows.sizes["scratch_row"], e.const(item))
        e.sweep(size, self.spec.widths, lambda column, width: self.put(slot, column, self.identity(width)))

    def put(self, slot: Any, column: Any, state: State) -> None:
        """Write states of columns into a row."""
        for i, (number, field) in enumerate(zip(state, self.fields, strict=True)):
            self.e.raw_store(traced(number), self._part(slot, i), column, self.rows.kind(field))

    def get(self, slot: Any, column: Any, width: int) -> State:
        """Read states of columns from a row."""
        return tuple(
            self.e.lanes(self.e.raw_load(self._part(slot, i), column, self.rows.kind(field), width))
            for i, field in enumerate(self.fields)
        )

    def _part(self, slot: Any, i: int) -> Any:
        """Where a row's cells of the state's i-th number begin."""
        part = self.e.add(self.e.mul(slot, self.e.const(len(self.fields))), self.e.const(i))
        at = self.e.mul(self.rows.sizes["scratch_row"], part)
        return self.e.at(self.e.pointers["scratch"], at, ir.IntType(8))

    # states

    @property
    def several(self) -> Sequence[int]:
        """Widths of vectors, the widest of several at a time if states are small."""
        widths = self.spec.widths
        return (TOGETHER * widths[0], *widths) if len(self.fields) == 1 else widths

    def identity(self, width: int) -> State:
        """The state of no taps."""
        numbers = zip(self.fold.identity, self.fields, strict=False)
        return tuple(self.e.full(number, width, self.rows.kind(field)) for number, field in numbers)

    def shifted(self, state: State, by: Lane | int) -> State:
        """The state with its taps numbered `by` further on."""
        pairs = zip(state, self.fields, strict=True)
        return tuple(number + by if field == "tap" else number for number, field in pairs)

    def result(self, state: State, o: Any, at: Any, width: int, one_column: bool = False) -> None:
        """Write the results of whole windows, and what backward needs of them."""
        rows, count = self.rows, self.rows.count(o, width, one_column)
        index = self.e.add(rows.out, at)
        if isinstance(self.fold, FastFold):
            self.trust(self.fold.trusts(state), width)
        y = self.fold.finish(state, count)
        self.e.store(y, self.e.pointers["y"], index, width)
        if self.spec.track:
            rows.save(self.fold.keep(state, y, count), index, width)
