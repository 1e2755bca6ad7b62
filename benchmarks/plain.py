"""Where torch alone can pool: sliding windows, adaptive grids and the whole map, as people write them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.regions import Adaptive, Region, Sliding, Whole

Count = int | Tensor
"""How many taps an output has: a number, or where borders cut some windows short a tensor (*out)."""

Reduce = Callable[[Tensor, Count], Tensor]
"""Taps (N, C, *out, T) and their count to results (N, D, *out)."""


class Over(ABC):
    """A region in the words of torch.nn.functional, for maps of one size."""

    count: Count

    @abstractmethod
    def mean(self, x: Tensor) -> Tensor:
        """Average pooling."""

    @abstractmethod
    def most(self, x: Tensor) -> Tensor:
        """Max pooling."""

    @abstractmethod
    def each(self, x: Tensor, reduce: Reduce, fill: float) -> Tensor:
        """Lay out the taps, `fill` where they lie in the padding, and reduce them."""

    def total(self, x: Tensor) -> Tensor:
        """The sum of the taps."""
        return self.mean(x) * self.count


class Windows(Over):
    """Sliding windows: kernel k, stride s, padding p."""

    def __init__(self, k: int, s: int, p: int, size: tuple[int, int]) -> None:
        self.k, self.s, self.p = k, s, p
        self.count = k * k
        if p:
            self.count = self.total(torch.ones(1, 1, *size, dtype=torch.int64).double())[0, 0].long()

    def mean(self, x: Tensor) -> Tensor:
        """avg_pool2d"""
        return F.avg_pool2d(x, self.k, self.s, self.p, count_include_pad=False)

    def total(self, x: Tensor) -> Tensor:
        """avg_pool2d with the divisor 1"""
        return F.avg_pool2d(x, self.k, self.s, self.p, divisor_override=1)

    def most(self, x: Tensor) -> Tensor:
        """max_pool2d"""
        return F.max_pool2d(x, self.k, self.s, self.p)

    def each(self, x: Tensor, reduce: Reduce, fill: float) -> Tensor:
        """Tensor.unfold"""
        padded = F.pad(x, (self.p,) * 4, value=fill) if self.p else x
        return reduce(padded.unfold(2, self.k, self.s).unfold(3, self.k, self.s).flatten(-2), self.count)


class Grid(Over):
    """Adaptive bins, the same number on both axes."""

    def __init__(self, bins: int, size: tuple[int, int]) -> None:
        self.bins = bins
        self.spans = [[(o * n // bins, -(-(o + 1) * n // bins)) for o in range(bins)] for n in size]
        heights, widths = (torch.tensor([stop - start for start, stop in axis]) for axis in self.spans)
        counts = heights[:, None] * widths
        alike = bool((counts == counts[0, 0]).all())
        self.count = int(counts[0, 0]) if alike else counts

    def mean(self, x: Tensor) -> Tensor:
        """adaptive_avg_pool2d"""
        return F.adaptive_avg_pool2d(x, self.bins)

    def most(self, x: Tensor) -> Tensor:
        """adaptive_max_pool2d"""
        return F.adaptive_max_pool2d(x, self.bins)

    def each(self, x: Tensor, reduce: Reduce, fill: float) -> Tensor:
        """A loop over the bins, which differ in size."""
        parts = []
        for (top, bottom), (left, right) in product(*self.spans):
            taps = x[:, :, top:bottom, left:right].flatten(2)
            parts.append(reduce(taps, taps.shape[-1]))
        grid = torch.stack(parts, -1)
        return grid.view(*grid.shape[:-1], self.bins, self.bins)


class Map(Over):
    """The whole map."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.count = size[0] * size[1]

    def mean(self, x: Tensor) -> Tensor:
        """Tensor.mean"""
        return x.mean((2, 3), keepdim=True)

    def most(self, x: Tensor) -> Tensor:
        """Tensor.amax"""
        return x.amax((2, 3), keepdim=True)

    def each(self, x: Tensor, reduce: Reduce, fill: float) -> Tensor:
        """Tensor.flatten"""
        return reduce(x.flatten(2), self.count)[..., None, None]


def over(region: Region, size: tuple[int, int]) -> Over:
    """A region for maps of this size."""
    match region:
        case Sliding(int(k), int(s), int(p)):
            return Windows(k, s, p, size)
        case Sliding(int(k), None, int(p)):
            return Windows(k, k, p, size)
        case Adaptive(int(bins)):
            return Grid(bins, size)
        case Whole():
            return Map(size)
    raise TypeError(f"torch alone has nothing like {region}")
