"""Fractional pooling modules, with windows that are drawn anew at every step of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from cnnatomy.nn.pooling_modules import PoolingModule, Sizes
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Fractional, Region


class _Fractional(PoolingModule):
    region: Fractional

    def __init__(
        self,
        reducer: Reducer | str,
        scale_factor: float | Sequence[float] | None = None,
        output_size: Sizes | None = None,
        seed: int | None = None,
        overlapping: bool = False,
        kind: Literal["pseudo", "random"] = "pseudo",
        return_indices: bool = False,
    ) -> None:
        region = Fractional(scale_factor, output_size, 0 if seed is None else seed, overlapping, kind)
        super().__init__(region, reducer, return_indices)
        self.seed = seed

    def over(self, region: Region, x: Tensor, inputs: Mapping[str, Tensor]) -> Any:
        if self.training and self.seed is None:
            region = replace(self.region, seed=int(torch.randint(2**62, ())))
        return super().over(region, x, inputs)


class FractionalPool1d(_Fractional):
    """Pool (N, C, L) or (C, L) over windows of two neighbouring sizes with any reducer.

    Example:
        >>> FractionalPool1d("max", 0.7)(torch.rand(2, 4, 10)).shape
        torch.Size([2, 4, 7])
    """

    rank = 1


class FractionalPool2d(_Fractional):
    """Pool (N, C, H, W) or (C, H, W) over windows of two neighbouring sizes with any reducer.

    All images and channels share their windows, as in the paper. `torch.nn.FractionalMaxPool2d` is another
    pooling: it draws windows of one given size for each channel, which may leave cells out.

    Args:
        reducer: what a window becomes: a reducer, or its name in the registry.
        scale_factor: outputs per cell, between 0 and 1; one for all axes or (y, x).
        output_size: instead of a scale, an int or (y, x).
        seed: what windows are drawn from. If left out, every call in training draws new ones from torch's
            generator, which is no constant and so keeps the call out of compiled graphs; evaluation uses 0.
        overlapping: let neighbouring windows share a cell.
        kind: `"pseudo"` or `"random"`, as in `Fractional`.
        return_indices: also return every winner's flat index (reducers that select).

    Source: Graham, "Fractional max-pooling", arXiv:1412.6071, 2014.

    Raises:
        ArgumentError: not just one of scale_factor and output_size is given, or a number is out of range.

    Example:
        >>> FractionalPool2d("max", 0.7, overlapping=True, kind="random")(torch.rand(8, 16, 30, 20)).shape
        torch.Size([8, 16, 21, 14])
    """

    rank = 2


class FractionalPool3d(_Fractional):
    """Pool (N, C, D, H, W) or (C, D, H, W) over windows of two neighbouring sizes with any reducer.

    Example:
        >>> FractionalPool3d("mean", output_size=(3, 4, 5))(torch.rand(1, 2, 5, 6, 7)).shape
        torch.Size([1, 2, 3, 4, 5])
    """

    rank = 3
