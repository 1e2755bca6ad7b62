"""The forward kernel of folds: an output row folds its window's rows into a row of states, and merges those.

One unit of work is one output row:

    x       (planes, depth, height, width, channels)      each row of a window is read once, down the columns
    states  a row in scratch memory, or in registers      one for each column
    y       (planes, out depth, out height, out width, channels)

`fold_columns` writes the way down, `fold_regular` and `fold_table` the two ways across. Here is what a kernel
is specialised for, and the order of its rows.

Measured (time without / with, one thread, AVX2): rows of evenly cut planes without tables 1.1 to 2.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from cnnatomy.backends.cpu.codegen.fast_path import FastPath
from cnnatomy.backends.cpu.codegen.vector_types import I64
from cnnatomy.backends.cpu.pooling.fold_columns import ColumnFold, FoldSpec
from cnnatomy.backends.cpu.pooling.fold_regular import RegularFold
from cnnatomy.backends.cpu.pooling.fold_table import TableFold
from cnnatomy.backends.cpu.pooling.forward_common import Rows
from cnnatomy.backends.cpu.pooling.window_tables import Strided

F = TypeVar("F", bound=ColumnFold)

BLOCK = 8
"""How many rows of states a regular window makes before it merges them."""


@dataclass(frozen=True)
class Forward(FoldSpec):
    """What a forward kernel is specialised for."""

    def emit(self, name: str) -> str:
        """The kernel's LLVM text."""
        across = self.across
        if across is None:
            return _TableWriter(self, name).write()
        return _FusedWriter(self, name).write() if across.fused else _StridedWriter(self, name).write()


class _Writer(Rows):
    """Writes output rows of which planes may be cut evenly: then no table is asked where they lie."""

    def __init__(self, spec: Forward, name: str) -> None:
        super().__init__(name, spec.reducer, spec.dtype, spec.taps, spec.track, spec.divisor)
        self.spec = spec

    @contextmanager
    def each(self, start: Any, stop: Any) -> Iterator[None]:
        """For every output row."""
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

    def paths(self, kind: type[F]) -> FastPath[F]:
        """The full fold and, if there is one, the fast one, both written as this kind of merging."""
        full, fast = self.spec.reducer, self.spec.reducer.fast.fold
        path = FastPath(
            *(self.e, self.spec.widths[0], kind(self, self.spec, full)),
            None if fast is None else kind(self, self.spec, fast),
        )
        for form in (path.full, path.fast):
            if form is not None:
                form.trust = path.trust
        return path


class _TableWriter(_Writer):
    """Merges the columns that tables name."""

    def begin(self) -> None:
        super().begin()
        self.path = self.paths(TableFold)

    def across(self) -> None:
        self.path.run(self._row)

    def _row(self, form: TableFold) -> None:
        if self.spec.direct:
            form.tabled(form.empty())
        else:
            form.fold_rows(self.e.const(0))
            form.tabled(None)


class _FusedWriter(_Writer):
    """Merges the columns of windows as long as their stride."""

    def begin(self) -> None:
        super().begin()
        self.path = self.paths(RegularFold)

    def across(self) -> None:
        window = _regular(self.spec)
        self.path.run(lambda form: form.fused(window))


class _StridedWriter(_Writer):
    """Merges the columns of other regular windows, some rows after they were folded."""

    def begin(self) -> None:
        super().begin()
        self.path = self.paths(RegularFold)
        self._prepare(self.path.first)

    def _prepare(self, form: RegularFold) -> None:
        """Fill all rows of states, and so their padding, with a fold's identity."""
        with self.e.loop(self.e.const(0), self.e.const(BLOCK)) as slot:
            form.fill_row(slot)

    def units(self) -> None:
        e = self.e
        with e.loop(e.lo, e.hi, BLOCK) as start:
            stop = e.smaller(e.add(start, e.const(BLOCK)), e.hi)
            self.path.run_units(self._block, start, stop, self._prepare)

    def across(self) -> None:
        raise AssertionError("rows are made in blocks")

    def _block(self, form: RegularFold, start: Any, stop: Any) -> None:
        """Fold some rows, then merge them."""
        e, slots, window = self.e, self.e.cell(I64), _regular(self.spec)
        for merging in (False, True):
            e.builder.store(e.const(0), slots)
            with self.each(start, stop):
                slot = e.builder.load(slots, typ=I64)
                if merging:
                    form.strided(window, slot)
                    self.path.end_unit(form, slot)
                else:
                    form.fold_rows(slot)
                e.builder.store(e.add(slot, e.const(1)), slots)


def _regular(spec: Forward) -> Strided:
    assert spec.across is not None, "windows are regular"
    return spec.across
