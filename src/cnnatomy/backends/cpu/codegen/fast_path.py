"""Fast paths that check themselves: work is done in a fast form, and again in full where that was wrong.

A fast form notes for every vector of results whether it trusts them. All notes fall into one register of one
vector's width, at an instruction or two each:

    notes = 0;  work(fast)            notes |= not trusted, for each vector of results
    if any bit of notes:  work(full)  over the same results

Where several units of work are done at once, the notes of each become one bit of an integer, and only the
units whose bits are set are done again. So no unit depends on its neighbours, or on how threads share them.

Measured (time without / with a fast form; one thread, AVX2): exponential folds forward 1.3 to 2.2; gradients
of inputs that one output reads 1.1 to 1.6 (`benchmarks/results/ways.csv`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from llvmlite import ir

from cnnatomy.backends.cpu.codegen.emitter import Emitter
from cnnatomy.backends.cpu.codegen.vector_types import I32, I64, vector
from cnnatomy.backends.cpu.codegen.vectors import traced
from cnnatomy.reducers.contract import Mask

F = TypeVar("F")


class FastPath(Generic[F]):
    """Two forms of the same work: the full one and, where there is any, a fast one that is tried first."""

    def __init__(self, e: Emitter, width: int, full: F, fast: F | None) -> None:
        self.e, self.width, self.full, self.fast = e, width, full, fast
        self.lane = I64 if isinstance(e.compute, ir.DoubleType) else I32
        self.kind = ir.VectorType(self.lane, width)
        self.notes = e.cell(self.kind)
        self.units = e.cell(I64)

    @property
    def first(self) -> F:
        """The form that is tried first."""
        return self.full if self.fast is None else self.fast

    def trust(self, mask: Mask, width: int) -> None:
        """Note that results are right where the mask is true, and doubtful elsewhere."""
        b = self.e.builder
        bits = b.bitcast(b.sext(traced(~mask), vector(self.lane, width)), ir.VectorType(self.lane, width))
        while width > self.width:
            width //= 2
            halves = (self._some(bits, bits, range(start, start + width)) for start in (0, width))
            bits = b.or_(*halves)
        if width < self.width:
            none = ir.Constant(bits.type, None)
            bits = self._some(bits, none, [min(i, width) for i in range(self.width)])
        b.store(b.or_(b.load(self.notes, typ=self.kind), bits), self.notes)

    def run(self, work: Callable[[F], None]) -> None:
        """Do the work, and again in full if any of its results is doubtful."""
        if self.fast is None:
            work(self.full)
            return
        self._forget()
        work(self.fast)
        self.e.when(self._any(), lambda: work(self.full))

    def run_units(
        self, work: Callable[[F, Any, Any], None], start: Any, stop: Any, prepare: Callable[[F], None]
    ) -> None:
        """`work(form, start, stop)` on at most 64 units, and in full on those that are doubtful.

        The work ends each unit by `end_unit`. Memory is prepared for the form that is tried first; `prepare`
        makes it ready for the other one, and back again.
        """
        e, b = self.e, self.e.builder
        if self.fast is None:
            work(self.full, start, stop)
            return
        b.store(e.const(0), self.units)
        self._forget()
        work(self.fast, start, stop)
        doubtful = b.load(self.units, typ=I64)

        def again() -> None:
            prepare(self.full)
            with e.loop(start, stop) as unit:
                bit = b.and_(b.lshr(doubtful, b.sub(unit, start)), e.const(1))
                one = e.add(unit, e.const(1))
                e.when(e.equal(bit, e.const(1)), lambda: work(self.full, unit, one))
            prepare(self.first)

        e.when(b.icmp_signed("!=", doubtful, e.const(0)), again)

    def end_unit(self, form: F, number: Any) -> None:
        """The unit of that number is done: keep whether any of its results is doubtful."""
        if form is not self.fast:
            return
        b = self.e.builder
        units, bit = b.load(self.units, typ=I64), b.zext(self._any(), I64)
        b.store(b.or_(units, b.shl(bit, number)), self.units)
        self._forget()

    def _forget(self) -> None:
        self.e.builder.store(ir.Constant(self.kind, None), self.notes)

    def _any(self) -> Any:
        """Whether any result is doubtful."""
        b = self.e.builder
        whole = b.bitcast(b.load(self.notes, typ=self.kind), ir.IntType(self.width * self.lane.width))
        return b.icmp_signed("!=", whole, ir.Constant(whole.type, 0))

    def _some(self, one: Any, other: Any, order: Any) -> Any:
        lanes = ir.Constant(ir.VectorType(I32, len(order)), list(order))
        return self.e.builder.shuffle_vector(one, other, lanes)
