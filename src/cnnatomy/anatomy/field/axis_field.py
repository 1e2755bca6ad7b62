"""What is known of a tensor's receptive field on one axis of one input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.int32]


@dataclass(frozen=True)
class Law:
    """The field of an input without borders: what is periodic in it, and what is not.

    Unit o + period sees what unit o sees, `shift` cells on; units that differ on other axes count as one,
    which sees what any of them does. The jump is shift / period; where the period is
    above 1, units of different phase may see different sizes.
    """

    kind: Literal["periodic", "drift", "global", "none", "unknown"]
    """`"drift"`: branches of unequal jumps, so that there is no single jump; `"global"`: every unit depends
    on the whole axis; `"none"`: on none of it; `"unknown"`: `why` says what was met."""
    period: int = 1
    shift: int = 1
    lo: tuple[int, ...] = (0,)
    """First cell seen by the units of one period; negative ones lie in the padding."""
    hi: tuple[int, ...] = (0,)
    """Last cell seen by them."""
    why: str = ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Cells seen, by phase."""
        return tuple(hi - lo + 1 for lo, hi in zip(self.lo, self.hi, strict=True))

    @property
    def size(self) -> int | None:
        """The most cells that a unit sees; None where there is no law."""
        return max(self.sizes) if self.kind == "periodic" else None

    @property
    def jump(self) -> Fraction | None:
        """Cells from one unit's field to the next: the product of the strides."""
        return Fraction(self.shift, self.period) if self.kind == "periodic" else None

    @property
    def start(self) -> int | None:
        """First cell that unit 0 sees."""
        return self.lo[0] if self.kind == "periodic" else None

    @property
    def centre(self) -> Fraction | None:
        """Middle of unit 0's field."""
        return Fraction(self.lo[0] + self.hi[0], 2) if self.kind == "periodic" else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the units that a law counts lie: unit i of a tensor's axis is number (i // inner) % count.

    Args:
        dim: the tensor's axis.
        inner: units of it that stand at one place, such as a row of tokens (N, H·W, C) for the axis of rows.
        count: places; behind the last one they begin again.
    """

    dim: int
    inner: int
    count: int

    def of(self, unit: Sequence[int]) -> int:
        """The number of a unit.

        Example:
            >>> Place(1, 14, 14).of((0, 30, 5))
            2
        """
        return unit[self.dim] // self.inner % self.count


@dataclass(frozen=True)
class Field:
    """The field of every unit of one tensor on one axis of one input.

    Both arrays broadcast to the tensor's shape: size 1 where units do not differ. A unit that depends on
    nothing there has lo > hi.
    """

    input: str
    """The input's name."""
    axis: int
    """The input's axis, such as 2 for y and 3 for x of a picture."""
    n: int
    """Cells on it."""
    shape: tuple[int, ...]
    """The tensor's shape."""
    lo: Cells
    """First cell that each unit depends on."""
    hi: Cells
    """Last cell that each unit depends on."""
    law: Law
    """The field without borders."""
    place: Place | None = None
    """Which unit of the law a unit is; None where all are alike, or there is no law."""
    unsure: str = ""
    """An operator on the way whose taps are not known, and was taken to read everything; empty if none."""

    def interval(self, unit: Sequence[int]) -> range:
        """The cells from the first to the last that one unit depends on.

        Raises:
            ArgumentError: there is no such unit.
        """
        from cnnatomy.checks import is_place
        from cnnatomy.errors import ArgumentError

        if not is_place(unit, self.shape):
            raise ArgumentError(f"no unit {tuple(unit)}", expected=f"an index into {self.shape}")
        at: tuple[Any, ...] = tuple(0 if n == 1 else i for i, n in zip(unit, self.lo.shape, strict=True))
        return range(int(self.lo[at]), max(int(self.hi[at]) + 1, int(self.lo[at])))
