"""Receptive fields as an affine law, exact in fractions, that composes along a network."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from cnnatomy.errors import ArgumentError


@dataclass(frozen=True, slots=True, init=False)
class Reach:
    """What outputs read: output o reads the inputs ceil(scale * o + lo) .. floor(scale * o + hi).

    For a window, scale is the stride, lo is -padding and hi is f* - 1 - padding. The law knows no borders:
    cells below 0 or beyond the input are padding. `Reach()` is the identity.

    `a >> b` is b applied to a's output, with `scale = a.scale * b.scale`, `lo = a.scale * b.lo + a.lo` and
    hi likewise: in a chain of windows, L layers of kernel K and stride 1 have a field of 1 + L(K - 1)
    cells, and in general 1 + sum over layers of (f* - 1) times the strides before (Araujo, Norris and Sim,
    "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, equation 2). The composed
    hull is exact when b's numbers are whole; after a fractional b (upsampling) it may be up to one a-jump
    wide of the truth on either side.

    lo is stored rounded up, and hi rounded down, to the next multiple of 1 / scale.denominator, which changes
    no output's field and makes equal laws compare equal. Where hi < lo no output reads anything.

    Args:
        scale: inputs from one output's field to the next; an int or a Fraction, above 0.
        lo: first input of output 0, before rounding.
        hi: last input of output 0, before rounding.

    Raises:
        ArgumentError: a number is neither an int nor a Fraction, or scale is not positive.

    Example:
        >>> three = Reach(1, -1, 1)                      # a 3-wide window, padding 1
        >>> (three >> three >> three).size
        7
        >>> Reach(Fraction(1, 2), Fraction(-1, 2), 0).interval(5)      # doubled by nearest neighbour
        range(2, 3)
    """

    scale: Fraction
    lo: Fraction
    hi: Fraction

    def __init__(self, scale: Fraction | int = 1, lo: Fraction | int = 0, hi: Fraction | int = 0) -> None:
        scale, lo, hi = _exact("scale", scale), _exact("lo", lo), _exact("hi", hi)
        if scale <= 0:
            raise ArgumentError("scale is out of range", expected="a number above 0", got=str(scale))
        grain = scale.denominator
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "lo", Fraction(ceil(lo * grain), grain))
        object.__setattr__(self, "hi", Fraction(floor(hi * grain), grain))

    def __rshift__(self, after: Reach) -> Reach:
        if not isinstance(after, Reach):
            return NotImplemented
        return Reach(
            self.scale * after.scale, self.scale * after.lo + self.lo, self.scale * after.hi + self.hi
        )

    def __or__(self, other: Reach) -> Reach:
        if not isinstance(other, Reach):
            return NotImplemented
        if self.scale != other.scale:
            raise ArgumentError(
                "branches drift apart, so their union has no single reach",
                expected="equal jumps",
                got=f"{self.scale} and {other.scale} inputs per output",
                hint="branches whose strides multiply to the same number",
            )
        return Reach(self.scale, min(self.lo, other.lo), max(self.hi, other.hi))

    def interval(self, o: int) -> range:
        """Inputs that output o reads, negative ones and those beyond the input being padding.

        Example:
            >>> Reach(2, -1, 1).interval(3)
            range(5, 8)
        """
        first, last = ceil(self.scale * o + self.lo), floor(self.scale * o + self.hi)
        return range(first, max(first, last + 1))

    @property
    def size(self) -> int:
        """Receptive field in cells: hi - lo + 1, and under a fractional scale the largest over the outputs.

        Example:
            >>> Reach(2, -1, 1).size, Reach(Fraction(1, 2), -1, Fraction(1, 2)).size
            (3, 2)
        """
        return max(len(self.interval(o)) for o in range(self.scale.denominator))

    @property
    def jump(self) -> Fraction:
        """Inputs from one output's field to the next: the product of the strides.

        Example:
            >>> (Reach(2, 0, 1) >> Reach(2, 0, 1)).jump
            Fraction(4, 1)
        """
        return self.scale

    @property
    def start(self) -> int:
        """First input of output 0; below 0 it lies in the padding.

        Example:
            >>> (Reach(1, -1, 1) >> Reach(1, -1, 1)).start
            -2
        """
        return ceil(self.lo)

    @property
    def centre(self) -> Fraction:
        """Middle of output 0's field in cells, (lo + hi) / 2: output o looks at scale * o + centre.

        Example:
            >>> Reach(2, 0, 1).centre
            Fraction(1, 2)
        """
        return (self.lo + self.hi) / 2


def _exact(name: str, value: object) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | Fraction):
        raise ArgumentError(f"{name} is not exact", expected="an int or a Fraction", got=repr(value))
    return Fraction(value)
