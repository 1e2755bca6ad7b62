"""Lanes on torch tensors: a reducer's scalar functions run in plain Python, without any kernel.

They follow `cnnatomy.reducers.contract.Lane` to the letter, its corners included. Values are tensors of a
floating-point dtype and integers tensors of an integer dtype; a mask is a tensor of booleans.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnatomy.reducers.contract import BEYOND

LN2 = (6.93147180369123816490e-01, 1.90821492927058770002e-10)  # the first part has 32 bits


@dataclass(frozen=True, eq=False)
class Truth:
    """One truth value for each lane."""

    value: Tensor

    def __and__(self, other: Any) -> Truth:
        return Truth(self.value & other.value)

    def __or__(self, other: Any) -> Truth:
        return Truth(self.value | other.value)

    def __invert__(self) -> Truth:
        return Truth(~self.value)

    def select(self, yes: Any, no: Any) -> Lanes:
        """`yes` where this is true, else `no`."""
        return Lanes(torch.where(self.value, yes.value, _raw(no, yes.value)))


@dataclass(frozen=True, eq=False)
class Lanes:
    """One number for each lane."""

    value: Tensor

    def __add__(self, other: Any) -> Lanes:
        return Lanes(self.value + _raw(other, self.value))

    def __sub__(self, other: Any) -> Lanes:
        return Lanes(self.value - _raw(other, self.value))

    def __mul__(self, other: Any) -> Lanes:
        return Lanes(self.value * _raw(other, self.value))

    def __truediv__(self, other: Any) -> Lanes:
        return Lanes(self.value / _raw(other, self.value))

    def __and__(self, other: Any) -> Lanes:
        return Lanes(self.value & _raw(other, self.value))

    def __xor__(self, other: Any) -> Lanes:
        return Lanes(self.value ^ _raw(other, self.value))

    def __gt__(self, other: Any) -> Truth:
        return Truth(self.value > _raw(other, self.value))

    def __lt__(self, other: Any) -> Truth:
        return Truth(self.value < _raw(other, self.value))

    def same(self, other: Any) -> Truth:
        """True where the two are equal."""
        return Truth(self.value == _raw(other, self.value))

    def isnan(self) -> Truth:
        """True where the value is not a number."""
        return Truth(self.value.isnan())

    def like(self, number: float) -> Lanes:
        """A constant in every lane."""
        return Lanes(_raw(number, self.value).expand_as(self.value))

    def larger(self, other: Any) -> Lanes:
        """The larger of two; where either is NaN, `other`."""
        larger: Truth = self > other
        return larger.select(self, other)

    def smaller(self, other: Any) -> Lanes:
        """The smaller of two; where either is NaN, `other`."""
        smaller: Truth = self < other
        return smaller.select(self, other)

    def abs(self) -> Lanes:
        """|v|"""
        return Lanes(self.value.abs())

    def sqrt(self) -> Lanes:
        """The square root."""
        return Lanes(self.value.sqrt())

    def floor(self) -> Lanes:
        """The largest integral value that is not larger."""
        return Lanes(self.value.floor())

    def exp(self) -> Lanes:
        """e^v"""
        return Lanes(self.value.exp())

    def log(self) -> Lanes:
        """ln v"""
        return Lanes(self.value.log())

    def decay(self) -> Lanes:
        """e^v for v <= 88."""
        return Lanes(self.value.exp())

    def maximum(self, other: Any) -> Lanes:
        """The larger of two; NaN where either is."""
        return Lanes(torch.maximum(self.value, other.value))

    def minimum(self, other: Any) -> Lanes:
        """The smaller of two; NaN where either is."""
        return Lanes(torch.minimum(self.value, other.value))

    def exponential(self) -> tuple[Lanes, Lanes]:
        """(m, k) with e^v = m 2^k."""
        v = self.value
        far = torch.finfo(v.dtype).max
        k = (v * math.log2(math.e)).round().nan_to_num(nan=-far, posinf=far, neginf=-far)
        rest = (v.double() - k.double() * LN2[0]) - k.double() * LN2[1]
        m = rest.clamp(-1, 1).exp().to(v.dtype)
        m = torch.where(v.isinf(), v.clamp(min=0), torch.where(v.isnan(), v, m))
        return Lanes(m), Lanes(k)

    def split(self) -> tuple[Lanes, Lanes]:
        """(m, k) with v = m 2^k."""
        m, k = torch.frexp(self.value)
        low = m < math.sqrt(0.5)
        m, power = torch.where(low, 2 * m, m), (k - low.to(k.dtype)).to(m.dtype)
        power = torch.where(m == 0, -BEYOND, torch.where(m.isinf(), BEYOND, power))
        return Lanes(m), Lanes(power)

    def over(self, power: Any, factor: Any) -> Lanes:
        """factor e^v / 2^power; NaN where the contract says nothing."""
        m, k = self.exponential()
        scaled: Lanes = m.scale(k - power) * factor
        said = (power.value.abs() < BEYOND) & factor.value.isfinite()
        return Lanes(torch.where(said, scaled.value, math.nan))

    def scale(self, power: Any) -> Lanes:
        """v 2^power, with 2^power 0 below every normal number, infinite above every number, 0 for NaN."""
        bias = 1023 if self.value.dtype == torch.float64 else 127
        held = power.value.nan_to_num(nan=-bias).clamp(-bias, bias + 1)
        two = torch.ldexp(torch.ones_like(self.value), held.to(torch.int32))
        two = torch.where(held == -bias, 0, torch.where(held > bias, math.inf, two))
        return Lanes(self.value * two)

    # integers

    @property
    def bits(self) -> int:
        """How many bits a lane has."""
        return self.value.element_size() * 8

    def ordered(self) -> Lanes:
        """An integer whose order is the order of the values, the same for 0 and -0."""
        bits = (self.value + 0.0).view(torch.int64 if self.bits == 64 else torch.int32)
        return Lanes(_flip(bits, self.bits))

    def unordered(self) -> Lanes:
        """The value that an integer from `ordered` came from."""
        return Lanes(_flip(self.value, self.bits).view(torch.float64 if self.bits == 64 else torch.float32))

    def halved(self) -> Lanes:
        """Of integers: half, rounded down."""
        return Lanes(self.value >> 1)


def _flip(bits: Tensor, width: int) -> Tensor:
    """All bits but the sign where that is set: the larger a negative value's bits, the smaller it is."""
    return bits ^ ((bits >> (width - 1)) & ((1 << (width - 1)) - 1))


def _raw(operand: Any, beside: Tensor) -> Tensor:
    if isinstance(operand, Lanes):
        return operand.value
    return torch.tensor(operand, dtype=beside.dtype)
