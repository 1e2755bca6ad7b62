"""Vectors under trace: what a reducer's scalar functions see while a CPU kernel is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnatomy.backends.cpu.codegen import elementary
from cnnatomy.backends.cpu.codegen.vector_types import (
    I32,
    I64,
    declared,
    element,
    splat,
    table_lookup,
    vector,
)
from cnnatomy.reducers.contract import Lane, Mask

_FUSED = ("contract",)  # a product and a sum may become one instruction, which rounds once


@dataclass(frozen=True)
class Truth:
    """A mask under trace: one bit for each lane."""

    builder: ir.IRBuilder
    value: Any

    def __and__(self, other: Mask) -> Truth:
        return Truth(self.builder, self.builder.and_(self.value, traced(other)))

    def __or__(self, other: Mask) -> Truth:
        return Truth(self.builder, self.builder.or_(self.value, traced(other)))

    def __invert__(self) -> Truth:
        return Truth(self.builder, self.builder.not_(self.value))

    def select(self, yes: Lane, no: Lane | float) -> Lanes:
        """`yes` where true, else `no`."""
        chosen = traced(yes)
        other = splat(chosen.type, no) if isinstance(no, int | float) else traced(no)
        return Lanes(self.builder, self.builder.select(self.value, chosen, other))

    def everywhere(
        self, yes: Callable[[], Sequence[Lanes]], no: Callable[[], Sequence[Lanes]]
    ) -> tuple[Lanes, ...]:
        """What `yes` writes if this is true in all lanes, else what `no` writes: only one of them runs."""
        b, found = self.builder, []
        width = getattr(self.value.type, "count", 1)
        bits = b.bitcast(self.value, ir.IntType(width)) if width > 1 else self.value
        with b.if_else(b.icmp_signed("==", bits, ir.Constant(bits.type, -1))) as branches:
            for branch, write in zip(branches, (yes, no), strict=True):
                with branch:
                    results = write()
                    found.append((results, b.block))
        (first, there), (second, here) = found
        joined = []
        for one, other in zip(first, second, strict=True):
            phi = b.phi(one.kind)
            phi.add_incoming(one.value, there)
            phi.add_incoming(other.value, here)
            joined.append(Lanes(b, phi))
        return tuple(joined)


@dataclass(frozen=True)
class Lanes:
    """A vector under trace: arithmetic on it writes instructions."""

    builder: ir.IRBuilder
    value: Any

    @property
    def kind(self) -> ir.Type:
        """The LLVM type of the whole vector."""
        return self.value.type

    @property
    def floating(self) -> bool:
        """True for values, false for integers."""
        return isinstance(element(self.kind), (ir.FloatType, ir.DoubleType))

    @property
    def bits(self) -> int:
        """How many bits a lane has."""
        one = element(self.kind)
        if isinstance(one, ir.IntType):
            return int(one.width)
        return 64 if isinstance(one, ir.DoubleType) else 32

    @property
    def other_kind(self) -> ir.Type:
        """The type of integers for values, and of values for integers, lane by lane."""
        whole, real = (I64, ir.DoubleType()) if self.bits == 64 else (I32, ir.FloatType())
        return vector(whole if self.floating else real, getattr(self.kind, "count", 1))

    def like(self, number: float) -> Lanes:
        """A constant of this kind in every lane."""
        return Lanes(self.builder, splat(self.kind, number))

    def _other(self, other: Lane | float) -> Any:
        return splat(self.kind, other) if isinstance(other, int | float) else traced(other)

    def _arithmetic(self, floating: str, integer: str, other: Lane | float) -> Lanes:
        if self.floating:
            write = getattr(self.builder, floating)
            return Lanes(self.builder, write(self.value, self._other(other), flags=_FUSED))
        return Lanes(self.builder, getattr(self.builder, integer)(self.value, self._other(other)))

    def __add__(self, other: Lane | float) -> Lanes:
        return self._arithmetic("fadd", "add", other)

    def __sub__(self, other: Lane | float) -> Lanes:
        return self._arithmetic("fsub", "sub", other)

    def __mul__(self, other: Lane | float) -> Lanes:
        return self._arithmetic("fmul", "mul", other)

    def __truediv__(self, other: Lane | float) -> Lanes:
        return self._arithmetic("fdiv", "sdiv", other)

    def __and__(self, other: Lane | int) -> Lanes:
        return Lanes(self.builder, self.builder.and_(self.value, self._other(other)))

    def __or__(self, other: Lane | int) -> Lanes:
        return Lanes(self.builder, self.builder.or_(self.value, self._other(other)))

    def __xor__(self, other: Lane | int) -> Lanes:
        return Lanes(self.builder, self.builder.xor(self.value, self._other(other)))

    def shifted(self, bits: int) -> Lanes:
        """Of integers: moved down by so many bits, zeros coming in."""
        return Lanes(self.builder, self.builder.lshr(self.value, self._other(bits)))

    def raised(self, bits: int) -> Lanes:
        """Of integers: moved up by so many bits."""
        return Lanes(self.builder, self.builder.shl(self.value, self._other(bits)))

    def lowered(self, bits: int) -> Lanes:
        """Of integers: moved down by so many bits, the sign coming in."""
        return Lanes(self.builder, self.builder.ashr(self.value, self._other(bits)))

    def halved(self) -> Lanes:
        """Of integers: half, rounded down."""
        return self.lowered(1)

    def _compare(self, sign: str, other: Lane | float) -> Truth:
        write = self.builder.fcmp_ordered if self.floating else self.builder.icmp_signed
        return Truth(self.builder, write(sign, self.value, self._other(other)))

    def __gt__(self, other: Lane | float) -> Truth:
        return self._compare(">", other)

    def __lt__(self, other: Lane | float) -> Truth:
        return self._compare("<", other)

    def same(self, other: Lane | float) -> Truth:
        """True where equal; false where either is NaN."""
        return self._compare("==", other)

    def isnan(self) -> Truth:
        """True where the value is not a number."""
        return Truth(self.builder, self.builder.fcmp_unordered("uno", self.value, self.value))

    def larger(self, other: Lane | float) -> Lanes:
        """The larger of two; where either is NaN, `other`."""
        beside = Lanes(self.builder, self._other(other))
        return (self > beside).select(self, beside)

    def smaller(self, other: Lane | float) -> Lanes:
        """The smaller of two; where either is NaN, `other`."""
        beside = Lanes(self.builder, self._other(other))
        return (self < beside).select(self, beside)

    def maximum(self, other: Lane) -> Lanes:
        """The larger of two; NaN where either is."""
        beside = Lanes(self.builder, traced(other))
        return self.larger(beside)._and_nan(beside.larger(self))

    def minimum(self, other: Lane) -> Lanes:
        """The smaller of two; NaN where either is."""
        beside = Lanes(self.builder, traced(other))
        return self.smaller(beside)._and_nan(beside.smaller(self))

    def _and_nan(self, same: Lanes) -> Lanes:
        """This, which is `same` but for NaN in one of the two: the bits of both are a NaN, or what both are.

        It takes one instruction that any unit of a processor has, where comparisons share one.
        """
        return (self.as_bits() | same.as_bits()).as_value()

    def _call(self, name: str, *others: Any) -> Lanes:
        lanes = f"v{self.kind.count}" if isinstance(self.kind, ir.VectorType) else ""
        full, module = f"{name}.{lanes}{element(self.kind).intrinsic_name}", self.builder.module
        kind = ir.FunctionType(self.kind, [self.kind] * (1 + len(others)))
        function = declared(module, full, kind)
        return Lanes(self.builder, self.builder.call(function, [self.value, *others]))

    def abs(self) -> Lanes:
        """|v|"""
        return self._call("llvm.fabs")

    def sqrt(self) -> Lanes:
        """The square root."""
        return self._call("llvm.sqrt")

    def floor(self) -> Lanes:
        """The largest integral value that is not larger."""
        return self._call("llvm.floor")

    def nearest(self) -> Lanes:
        """The nearest integral value, the even one of two."""
        return self._call("llvm.rint")

    def times_plus(self, factor: Lane | float, term: Lane | float) -> Lanes:
        """v factor + term, rounded once where the processor can."""
        return self._call("llvm.fmuladd", self._other(factor), self._other(term))

    def as_bits(self) -> Lanes:
        """The bits of values as integers."""
        return Lanes(self.builder, self.builder.bitcast(self.value, self.other_kind))

    def as_value(self) -> Lanes:
        """The values that integers are the bits of."""
        return Lanes(self.builder, self.builder.bitcast(self.value, self.other_kind))

    def to_integer(self) -> Lanes:
        """Values, which must be integral and small, as integers."""
        return Lanes(self.builder, self.builder.fptosi(self.value, self.other_kind))

    def to_value(self) -> Lanes:
        """Integers as values."""
        return Lanes(self.builder, self.builder.sitofp(self.value, self.other_kind))

    def entry(self, table: Sequence[float]) -> Lanes:
        """Of 32-bit integers: which of eight numbers their last three bits name, if the processor can."""
        return Lanes(self.builder, table_lookup(self.builder, self.value, table, self.other_kind))

    def ordered(self) -> Lanes:
        """An integer whose order is the order of the values."""
        bits = (self + 0.0).as_bits()  # -0 becomes 0
        return bits ^ self._flip(bits)

    def unordered(self) -> Lanes:
        """The value that an integer from `ordered` came from."""
        return (self ^ self._flip(self)).as_value()

    def _flip(self, bits: Lanes) -> Lanes:
        """All bits but the sign where that is set: the larger a negative value's bits, the smaller it is."""
        return bits.lowered(self.bits - 1) & ((1 << (self.bits - 1)) - 1)

    exponential, split = elementary.exponential, elementary.split
    exp, decay, log = elementary.exp, elementary.decay, elementary.log

    def over(self, power: Lane, factor: Lane) -> Lanes:
        """factor e^v / 2^power"""
        return elementary.over(self, *(Lanes(self.builder, traced(one)) for one in (power, factor)))

    def scale(self, power: Lane) -> Lanes:
        """v 2^power"""
        return self * elementary.power_of_two(Lanes(self.builder, traced(power)))


def traced(operand: Lane | Mask) -> Any:
    """The LLVM value of an operand; a kernel is written from traced values alone."""
    if not isinstance(operand, Lanes | Truth):
        raise TypeError(f"a traced value was expected, got {operand!r}")
    return operand.value
