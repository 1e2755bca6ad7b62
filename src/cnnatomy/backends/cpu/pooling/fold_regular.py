"""Folds over windows that are regular along a row, channels first: vectors run over output columns.

A vector of `width` outputs at stride s needs the states of `width * s` neighbouring columns. They are read at
once, and each tap's are picked out of them by a shuffle:

    stride 2:   columns  c0 c1 c2 c3 c4 c5 c6 c7     tap 0 picks c0 c2 c4 c6, tap 1 picks c1 c3 c5 c7

Strided windows read them from a row of states. A processor waits where it reads, in other pieces, what it has
only just written: so some rows of states are made first, and merged afterwards. Windows as long as their
stride read no column twice, and fold each just where it is merged.

Measured (time without / with, one thread, AVX2): blocks of strides instead of single columns 6 to 10; rows
made ahead 1.0 to 1.5; without rows of states where windows are fused 1.4 to 2.0.
"""

from __future__ import annotations

from typing import Any

from cnnatomy.backends.cpu.pooling.fold_columns import ColumnFold
from cnnatomy.backends.cpu.pooling.window_tables import Strided
from cnnatomy.reducers.contract import State


class RegularFold(ColumnFold):
    """Writes how one fold merges the columns of regular windows."""

    def strided(self, across: Strided, slot: Any) -> None:
        """Merge the states of a row at the stride."""

        def body(o: Any, width: int) -> None:
            wide: dict[int, State] = {}
            state: State | None = None
            for tap in range(across.kernel):
                block, phase = divmod(tap * across.dilation, across.stride)
                if block not in wide:
                    column = self.e.mul(self.e.add(o, self.e.const(block)), self.e.const(across.stride))
                    wide[block] = self.get(slot, column, width * across.stride)
                state = self._joined(state, wide[block], tap, phase, across.stride, width)
            assert state is not None
            self.result(state, o, o, width)

        self.e.sweep(self.rows.sizes["out_width"], self.spec.widths, body)

    def fused(self, across: Strided) -> None:
        """Fold every column just where it is merged."""

        def body(o: Any, width: int) -> None:
            stride = across.stride
            wide = self.column_states(self.e.mul(o, self.e.const(stride)), width * stride)
            state: State | None = None
            for tap in range(stride):
                state = self._joined(state, wide, tap, tap, stride, width)
            assert state is not None
            self.result(state, o, o, width)

        self.e.sweep(self.rows.sizes["out_width"], self.spec.widths, body, apart=True)

    def _joined(
        self, state: State | None, wide: State, tap: int, phase: int, stride: int, width: int
    ) -> State:
        """The state with one more column of the window, picked from neighbouring ones at the stride."""
        picked = tuple(self.e.pick(number, phase, stride, width) for number in wide)
        column = self.shifted(picked, tap)
        return column if state is None else self.fold.merge(state, column)
