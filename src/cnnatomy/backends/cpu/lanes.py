"""Vectors under trace: what a reducer's scalar functions see while a CPU kernel is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from cnnatomy.reducers.contract import Lane, Mask

I64 = ir.IntType(64)
I32 = ir.IntType(32)
PTR = ir.PointerType()


def vector(element: ir.Type, width: int) -> ir.Type:
    """The LLVM type of `width` elements; a plain scalar for one."""
    return element if width == 1 else ir.VectorType(element, width)


def splat(kind: ir.Type, value: float) -> ir.Constant:
    """The same number in every lane."""
    element = kind.element if isinstance(kind, ir.VectorType) else kind
    number = float(value) if isinstance(element, (ir.FloatType, ir.DoubleType)) else int(value)
    constant = ir.Constant(element, number)
    return ir.Constant(kind, [constant] * kind.count) if isinstance(kind, ir.VectorType) else constant


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

    def select(self, yes: Lane, no: Lane) -> Lanes:
        """`yes` where true, else `no`."""
        return Lanes(self.builder, self.builder.select(self.value, traced(yes), traced(no)))


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
        """True for values, false for taps."""
        element = self.kind.element if isinstance(self.kind, ir.VectorType) else self.kind
        return isinstance(element, (ir.FloatType, ir.DoubleType))

    def like(self, number: float) -> Lanes:
        """A constant of this kind in every lane."""
        return Lanes(self.builder, splat(self.kind, number))

    def _other(self, other: Lane | float) -> Any:
        return splat(self.kind, other) if isinstance(other, int | float) else traced(other)

    def _arithmetic(self, floating: str, integer: str, other: Lane | float) -> Lanes:
        write = getattr(self.builder, floating if self.floating else integer)
        return Lanes(self.builder, write(self.value, self._other(other)))

    def __add__(self, other: Lane | float) -> Lanes:
        return self._arithmetic("fadd", "add", other)

    def __sub__(self, other: Lane | float) -> Lanes:
        return self._arithmetic("fsub", "sub", other)

    def __mul__(self, other: Lane | float) -> Lanes:
        return self._arithmetic("fmul", "mul", other)

    def __truediv__(self, other: Lane | float) -> Lanes:
        return self._arithmetic("fdiv", "sdiv", other)

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


def traced(operand: Lane | Mask) -> Any:
    """The LLVM value of an operand; a kernel is written from traced values alone."""
    if not isinstance(operand, Lanes | Truth):
        raise TypeError(f"a traced value was expected, got {operand!r}")
    return operand.value
