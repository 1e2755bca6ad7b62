"""Regions with a fixed number of outputs: the adaptive grid, and the whole map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import AxisTable, Window
from cnnatomy.geometry.axis_table import LONGEST
from cnnatomy.regions.region import Axis, Region


@dataclass(frozen=True)
class Adaptive(Region):
    """A grid of bins over any input: bin o of an axis reads floor(o n / out) .. ceil((o + 1) n / out) - 1.

    Args:
        output_size: bins, an int for all axes or one per axis (.., y, x); None keeps the input's size.

    Raises:
        ArgumentError: a size below 1, or another number of entries than the input has axes.

    Example:
        >>> Adaptive((7, None)).outputs((30, 20))
        (7, 20)
    """

    output_size: int | tuple[int | None, ...] | None

    def __post_init__(self) -> None:
        if isinstance(self.output_size, Sequence):
            object.__setattr__(self, "output_size", tuple(self.output_size))
        for bins in self.output_size if isinstance(self.output_size, tuple) else (self.output_size,):
            if bins is not None and (type(bins) is not int or not 1 <= bins <= LONGEST):
                expected = f"ints from 1 to {LONGEST:,}, or None"
                raise ArgumentError("a grid has no such size", expected=expected, got=repr(self.output_size))
        super().__post_init__()

    def outputs(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The number of bins, whatever the input's size."""
        bins = self.output_size if isinstance(self.output_size, tuple) else (self.output_size,) * len(size)
        if len(bins) != len(size):
            raise ArgumentError(
                "the grid has the wrong number of axes",
                expected=f"{len(size)}",
                got=f"{len(bins)}: {self.output_size}",
            )
        return tuple(n if wanted is None else wanted for wanted, n in zip(bins, size, strict=True))

    def axes(self, size: tuple[int, ...]) -> tuple[Axis, ...]:
        """The bins of every axis."""
        return _axes(size, self.outputs(size))


@dataclass(frozen=True)
class Whole(Region):
    """The whole map as one region: global pooling.

    Example:
        >>> Whole().outputs((7, 9))
        (1, 1)
    """

    def outputs(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """One output on every axis."""
        return (1,) * len(size)

    def axes(self, size: tuple[int, ...]) -> tuple[Axis, ...]:
        """Every cell of every axis."""
        return _axes(size, self.outputs(size))


@lru_cache(maxsize=256)
def _axes(size: tuple[int, ...], bins: tuple[int, ...]) -> tuple[Axis, ...]:
    return tuple(_axis(n, out) for n, out in zip(size, bins, strict=True))


def _axis(n: int, out: int) -> Axis:
    """Bins of one size are a regular window, which kernels know more of."""
    if n and n % out == 0:
        return Axis(n, Window(n // out, n // out))
    return Axis.of(AxisTable.adaptive(n, out))
