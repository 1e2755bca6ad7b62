"""Gathering where windows are regular along a row, channels first: vectors run over blocks of one stride.

Columns are cut into blocks of `stride` columns, from column 0 on. All blocks have the same readers, up to a
shift, so a vector over blocks reads vectors of neighbouring outputs (kernel 3, stride 2, padding 1):

    block m:   column 2m      <-  tap 1 of output m
               column 2m + 1  <-  tap 2 of output m, tap 0 of output m + 1

The gradients of a block's columns are interleaved and stored as one run. At either end of a row, where some
of these outputs do not exist, one vector leaves them out. Columns that fill no block, borders too wide for a
vector, and rows too short for one visit their readers one by one.

Measured (time without / with, one thread, AVX2): blocks 6 to 10; vectors at the ends of rows 1.2 to 1.5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cnnatomy.backends.cpu.pooling.backward_common import Row
from cnnatomy.backends.cpu.pooling.gather_common import GatherSpec, GatherWriter
from cnnatomy.backends.cpu.pooling.window_tables import Strided
from cnnatomy.reducers.contract import State


@dataclass(frozen=True)
class Blocks:
    """Columns in blocks of a window's stride, and their readers: output m + shift reads block m's column."""

    stride: int
    reads: tuple[tuple[int, int, int], ...]  # (tap, the column in the block, shift)
    beyond: int  # so many outputs more than there are the last block asks for, beside its shift
    edge: int = 0  # how wide vectors are, the first and the last without what does not exist; 0 for neither
    whole: bool = False  # whether no column is left

    @classmethod
    def of(cls, window: Strided, pad: int, size: int, outputs: int, widths: tuple[int, ...]) -> Blocks:
        """The readers of a row's blocks, the first of which begins at column 0."""
        places = [divmod(tap * window.dilation - pad, window.stride) for tap in range(window.kernel)]
        reads = tuple((tap, phase, -block) for tap, (block, phase) in enumerate(places))
        count, most = size // window.stride, max(shift for _, _, shift in reads)
        found = cls(window.stride, reads, max(count - outputs, -most))
        before, after = found.reach

        def fits(width: int) -> bool:
            """Whether vectors at either end lack outputs at that end only, and there is one between them."""
            ends = width + max(0, most) <= outputs and width + before <= count
            return ends and max(before, after) <= width and before + after <= width + 1

        edge = next((width for width in widths if width > 1 and fits(width)), 0)
        return replace(found, edge=edge, whole=edge > 0 and count * window.stride == size)

    @property
    def reach(self) -> tuple[int, int]:
        """How many blocks at either end ask for outputs that do not exist."""
        shifts = [shift for _, _, shift in self.reads]
        return max(0, -min(shifts)), self.beyond + max(shifts)


@dataclass(frozen=True)
class BlocksSpec(GatherSpec):
    """What a kernel of blocks is specialised for."""

    blocks: Blocks

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        return _Writer(self, name).write()


class _Writer(GatherWriter):
    one_run = True

    def __init__(self, spec: BlocksSpec, name: str) -> None:
        super().__init__(spec, name)
        self.blocks = spec.blocks

    def columns(self, rows: list[Row] | None) -> None:
        e, s = self.e, self.sizes
        self._all_blocks(rows)
        if self.blocks.whole:
            return
        self.by_readers(rows, e.const(0), s["border"], e.const(0))
        self.by_readers(rows, s["resume"], s["width"], e.builder.sub(s["resume"], s["border"]))

    def _all_blocks(self, rows: list[Row] | None) -> None:
        e, s, edge = self.e, self.sizes, self.blocks.edge
        none = dict.fromkeys((shift for _, _, shift in self.blocks.reads), 0)

        def inner(m: Any, width: int) -> None:
            self._vector(rows, m, width, none)

        if not edge:
            count = e.builder.sub(s["inner_hi"], s["inner_lo"])
            e.sweep(count, self.widths, lambda i, width: inner(e.add(s["inner_lo"], i), width))
            return
        with e.loop(s["inner_lo"], s["inner_hi"], edge) as m:
            inner(e.smaller(m, s["inner_last"]), edge)
        first = {shift: max(0, -shift) for shift in none}
        last = {shift: -max(0, self.blocks.beyond + shift) for shift in none}
        self._vector(rows, e.const(0), edge, first)
        self._vector(rows, s["inner_hi"], edge, last)

    def _vector(self, rows: list[Row] | None, m: Any, width: int, missing: dict[int, int]) -> None:
        """The blocks m .. m + width - 1.

        For every shift, so many of their outputs are missing: the first ones, or the last ones if below 0.
        """
        e, stride = self.e, self.blocks.stride
        column = e.mul(m, e.const(stride))
        values = self.values(column, width * stride)
        own = [
            self.input_terms(tuple(e.pick(value, phase, stride, width) for value in values))
            for phase in range(stride)
        ]
        cells = [self.totals(len(self.inputs), width) for _ in range(stride)]

        def gather(row: Row | None) -> None:
            given: dict[int, State] = {}
            for tap, phase, shift in self.blocks.reads:
                gone = missing[shift]
                if shift not in given:
                    found = self.given(row, e.add(m, e.const(shift + gone)), None, width)
                    given[shift] = tuple(e.moved(one, gone) for one in found)
                terms = self.terms(row, own[phase], given[shift], e.const(tap), width)
                if gone:
                    exist = e.within(width, max(0, gone), width + min(0, gone))
                    terms = tuple(exist.select(term, 0.0) for term in terms)
                for cell, term in zip(cells[phase], terms, strict=True):
                    self.accumulate(cell, term)

        if self.sums:
            gather(None)
        else:
            self.each_row(rows, gather)
        for k, name in enumerate(self.inputs):
            parts = [self.total(group[k]) for group in cells]
            self.write_gradient(name, e.interleave(parts, width), values, column, width * stride)
