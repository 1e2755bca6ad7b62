"""The numbers that scalar functions compute with: a backend traces them over vectors of its own kind."""

from __future__ import annotations

from typing import Literal, Protocol

BEYOND = 2.0**11
"""An exponent beyond those of every format."""

NO_TAP = 2**30
"""The tap of a window that has none: larger than every real tap, so that it loses every tie."""


class Mask(Protocol):
    """One truth value for each lane."""

    def __and__(self, other: Mask, /) -> Mask: ...
    def __or__(self, other: Mask, /) -> Mask: ...
    def __invert__(self) -> Mask: ...
    def select(self, yes: Lane, no: Lane | float, /) -> Lane:
        """`yes` where this is true, else `no`."""
        ...


class Lane(Protocol):
    """One number for each lane: a floating-point value, or an integer tap."""

    def __add__(self, other: Lane | float, /) -> Lane: ...
    def __sub__(self, other: Lane | float, /) -> Lane: ...
    def __mul__(self, other: Lane | float, /) -> Lane: ...
    def __truediv__(self, other: Lane | float, /) -> Lane: ...
    def __gt__(self, other: Lane | float, /) -> Mask: ...
    def __lt__(self, other: Lane | float, /) -> Mask: ...
    def same(self, other: Lane | float, /) -> Mask:
        """True where the two are equal; false where either is NaN."""
        ...

    def isnan(self) -> Mask:
        """True where the value is not a number."""
        ...

    def like(self, number: float, /) -> Lane:
        """A constant of this kind in every lane."""
        ...

    def larger(self, other: Lane | float, /) -> Lane:
        """The larger of two; where either is NaN, `other`. A single instruction."""
        ...

    def smaller(self, other: Lane | float, /) -> Lane:
        """The smaller of two; where either is NaN, `other`. A single instruction."""
        ...

    def maximum(self, other: Lane, /) -> Lane:
        """The larger of two; NaN where either is."""
        ...

    def minimum(self, other: Lane, /) -> Lane:
        """The smaller of two; NaN where either is."""
        ...

    def abs(self) -> Lane:
        """|v|"""
        ...

    def sqrt(self) -> Lane:
        """The square root, correctly rounded."""
        ...

    def floor(self) -> Lane:
        """The largest integral value that is not larger."""
        ...

    def exponential(self) -> tuple[Lane, Lane]:
        """(m, k) with e^v = m 2^k, k integral and 0.7 < m < 1.42: no v overflows.

        e^-inf is (0, a very small k), e^inf is (inf, a very large k), e^NaN is (NaN, some k).
        """
        ...

    def split(self) -> tuple[Lane, Lane]:
        """(m, k) with v = m 2^k for v >= 0, k integral and 1/sqrt 2 <= m < sqrt 2.

        0 is (0, a very small k), infinity (infinity, a very large k), NaN (NaN, some k).
        """
        ...

    def exp(self) -> Lane:
        """e^v, to 2 units in the last place."""
        ...

    def decay(self) -> Lane:
        """e^v for v <= 88, to 2 units in the last place; nearly 0 where it is below every normal number."""
        ...

    def log(self) -> Lane:
        """ln v, to 3 units in the last place; -inf at 0, NaN below."""
        ...

    def over(self, power: Lane, factor: Lane, /) -> Lane:
        """factor e^v / 2^power for a finite factor and an integral |power| < BEYOND.

        e^v must not be much more than 2^power. Right to 3 units in the last place, and as many more as this
        is halvings below 1; where that is below every normal number, nearly 0, and 0 of e^-inf.
        """
        ...

    def scale(self, power: Lane, /) -> Lane:
        """v 2^power for an integral power, however large or small.

        2^power is 0 where it is below every normal number; a power that is NaN counts as minus infinity.
        """
        ...

    def ordered(self) -> Lane:
        """An integer whose order is the order of the values, the same for 0 and -0."""
        ...

    def unordered(self) -> Lane:
        """The value that an integer from `ordered` came from."""
        ...

    def halved(self) -> Lane:
        """Of integers: half, rounded down."""
        ...

    def __and__(self, other: Lane, /) -> Lane:
        """Of integers: the bits that both have."""
        ...

    def __xor__(self, other: Lane, /) -> Lane:
        """Of integers: the bits that one of the two has."""
        ...

    @property
    def bits(self) -> int:
        """How many bits a value and its integer have."""
        ...


State = tuple[Lane, ...]
"""One number per field of a reducer, for each lane."""

Field = Literal["value", "tap"]
"""What a number of the state is: a value in the accumulation type, or a tap's number in the window."""
