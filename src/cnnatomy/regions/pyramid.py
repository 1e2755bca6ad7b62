"""Spatial pyramids: several grids over the same map, one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.padding_rules import per_axis
from cnnatomy.regions.composite_regions import Composite, PoolOver
from cnnatomy.regions.grid import Adaptive

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Pyramid(Composite):
    """Grids from coarse to fine over any input, whose bins make one vector of a length that never changes.

    Level l is an `Adaptive` grid of l bins along every axis. The result is (N, C * B) with B the bins of all
    levels: the first level's (C, *bins) in row-major order, then the next level's. Winners keep their flat
    indices in the input.

    Source: He et al., "Spatial pyramid pooling in deep convolutional networks for visual recognition",
    ECCV 2014.

    Args:
        levels: for each level its bins, an int for all axes or one per axis (.., y, x).

    Raises:
        ArgumentError: there is no level, a level is below 1, or has another number of axes than the input.

    Example:
        >>> import torch, cnnatomy
        >>> cnnatomy.pool(torch.rand(2, 16, 13, 9), "max", Pyramid((1, 2, 4))).shape
        torch.Size([2, 336])
        >>> Pyramid((1, 2, 4)).outputs((13, 9))
        (21,)
    """

    levels: Sequence[int | Sequence[int]]

    def __post_init__(self) -> None:
        if not isinstance(self.levels, Sequence) or not self.levels:
            n, expected = self.levels, "the levels' bins, such as (1, 2, 4)"
            both = f"Pyramid((1, {n})), or Adaptive({n}) for one level" if isinstance(n, int) else None
            raise ArgumentError("this is no pyramid", expected=expected, got=repr(n), hint=both)
        levels = tuple(tuple(level) if isinstance(level, Sequence) else level for level in self.levels)
        for level in levels:
            per_axis(level, len(level) if isinstance(level, tuple) else 1, "a pyramid's level")
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "_grids", tuple(map(Adaptive, levels)))  # made once, and no field
        super().__post_init__()

    @property
    def grids(self) -> tuple[Adaptive, ...]:
        """The grid of every level."""
        return cast("tuple[Adaptive, ...]", self.__dict__["_grids"])

    def entries(self) -> Iterable[object]:
        """The levels."""
        return self.levels

    def outputs(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """One axis with the bins of all levels."""
        return (sum(math.prod(grid.outputs(size)) for grid in self.grids),)

    def compose(self, x: Tensor, pool: PoolOver) -> tuple[Tensor, Tensor | None]:
        """Every level by itself, flattened, one after the other."""
        import torch

        levels = [pool(x, grid) for grid in self.grids]
        winners = [indices.flatten(1) for _, indices in levels if indices is not None]
        return torch.cat([y.flatten(1) for y, _ in levels], 1), torch.cat(winners, 1) if winners else None
