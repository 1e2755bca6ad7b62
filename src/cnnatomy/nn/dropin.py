"""torch.nn's own pooling names: the same arguments, results, gradients and exceptions, with these kernels.

Each is torch's module with another `forward`. What torch refuses, and what these kernels cannot read (other
devices, integers, tracing with proxies), goes to torch's implementation, which answers or raises as ever.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cnnatomy.backends import FLOATING
from cnnatomy.geometry.padding_rules import extent
from cnnatomy.nn.scripting import Scriptable
from cnnatomy.ops import pool
from cnnatomy.ops.routing import remembered, tracing
from cnnatomy.reducers import Max, Mean, Reducer
from cnnatomy.regions import Adaptive, Region, Sliding

_MAX, _MEAN = Max(), Mean()


@lru_cache(maxsize=64, typed=True)
def _mean(count_include_pad: bool, divisor: int | None) -> Mean:
    return Mean(count_include_pad, divisor)


def _expand(value: Any, rank: int) -> tuple[int, ...] | None:
    """One int per axis as torch expands it; None if it would not."""
    if type(value) is int:
        return (value,) * rank
    entries = tuple(value) if isinstance(value, tuple | list) else (value,)
    if len(entries) == 1:
        entries *= rank
    return entries if len(entries) == rank and all(type(n) is int for n in entries) else None


def _takes(x: Any, rank: int) -> bool:
    """True if the kernels have a path for x."""
    return (
        isinstance(x, Tensor)
        and not tracing()
        and (x.is_cpu or x.is_meta)
        and x.dtype in FLOATING
        and not (rank == 3 and torch.is_autocast_enabled("cpu"))  # where torch computes in float32
        and x.layout is torch.strided
        and x.dim() in (rank + 1, rank + 2)
        and 0 not in x.shape[x.dim() - rank - 1 :]
    )


def sliding(x: Any, module: Any, rank: int) -> Sliding | None:
    """The region of torch's arguments, where torch takes them for x."""
    if not _takes(x, rank) or type(module.ceil_mode) is not bool:
        return None
    stride = module.kernel_size if module.stride is None else module.stride
    wanted = (module.kernel_size, stride, getattr(module, "padding", 0), getattr(module, "dilation", 1))
    axes = tuple([_expand(value, rank) for value in wanted])
    found: Sliding | None = remembered(_region, axes, module.ceil_mode, tuple(x.shape[-rank:]))
    return found


@lru_cache(maxsize=1024)
def _region(axes: Any, ceil_mode: bool, size: tuple[int, ...]) -> Sliding | None:
    if None in axes:
        return None
    kernel, stride, padding, dilation = axes
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        if min(k, s, d) < 1 or not 0 <= 2 * p <= k or n + 2 * p < extent(k, d):
            return None
    return Sliding(kernel, stride, padding, dilation, ceil_mode)


def _grid(x: Any, module: Any, rank: int) -> Adaptive | None:
    size = module.output_size
    bins = tuple(size) if isinstance(size, tuple | list) else (size,) * rank
    keeps = isinstance(module, _GridMean) and size is not None
    fits = len(bins) == rank and all((n is None and keeps) or (type(n) is int and n > 0) for n in bins)
    return Adaptive(bins) if fits and _takes(x, rank) else None


class DropIn(Scriptable):
    """Comes before torch's own class among the bases, so that `super().forward` is torch's."""

    rank: ClassVar[int]

    def where(self, x: Tensor) -> Region | None:
        """The region of this module's arguments, or None if x is torch's affair."""
        return sliding(x, self, self.rank)

    def what(self) -> Reducer:
        """The reducer of this module's arguments."""
        return _MAX

    def forward(self, x: Tensor) -> Any:
        """(N, C, *spatial) or (C, *spatial) -> the same with the output's sizes."""
        region = self.where(x)
        if region is None:
            return super().forward(x)
        indices = bool(getattr(self, "return_indices", False))
        return pool(x, self.what(), region, return_indices=indices, rank=self.rank)


class _Mean(DropIn):
    kernel_size: Any
    count_include_pad: bool
    divisor_override: int | None = None

    def where(self, x: Tensor) -> Region | None:
        divisor, counts = self.divisor_override, type(self.count_include_pad) is bool
        takes = counts and (divisor is None or (type(divisor) is int and divisor != 0))
        region = super().where(x) if takes else None
        if region is not None and self.rank == 3:  # torch wants the kernel inside the input, not its padding
            kernel = _expand(self.kernel_size, 3) or ()
            return region if all(k <= n for k, n in zip(kernel, x.shape[-3:], strict=True)) else None
        return region

    def what(self) -> Reducer:
        found: Mean = remembered(_mean, self.count_include_pad, self.divisor_override)
        return found


class _GridMax(DropIn):
    def where(self, x: Tensor) -> Region | None:
        return _grid(x, self, self.rank)


class _GridMean(_GridMax):
    def what(self) -> Reducer:
        return _MEAN


class MaxPool1d(DropIn, nn.MaxPool1d):
    """`torch.nn.MaxPool1d`, the same but for speed."""

    rank = 1


class MaxPool2d(DropIn, nn.MaxPool2d):
    """`torch.nn.MaxPool2d`, the same but for speed; its backward pass keeps one byte for each output.

    Example:
        >>> x = torch.rand(2, 3, 8, 8)
        >>> torch.equal(MaxPool2d(2)(x), torch.nn.MaxPool2d(2)(x))
        True
    """

    rank = 2


class MaxPool3d(DropIn, nn.MaxPool3d):
    """`torch.nn.MaxPool3d`, the same but for speed."""

    rank = 3


class AvgPool1d(_Mean, nn.AvgPool1d):
    """`torch.nn.AvgPool1d`, the same but for speed."""

    rank = 1


class AvgPool2d(_Mean, nn.AvgPool2d):
    """`torch.nn.AvgPool2d`, the same but for speed.

    Example:
        >>> x = torch.rand(2, 3, 8, 8)
        >>> torch.allclose(AvgPool2d(3, 2, 1)(x), torch.nn.AvgPool2d(3, 2, 1)(x))
        True
    """

    rank = 2


class AvgPool3d(_Mean, nn.AvgPool3d):
    """`torch.nn.AvgPool3d`, the same but for speed."""

    rank = 3


class AdaptiveMaxPool1d(_GridMax, nn.AdaptiveMaxPool1d):
    """`torch.nn.AdaptiveMaxPool1d`, the same but for speed."""

    rank = 1


class AdaptiveMaxPool2d(_GridMax, nn.AdaptiveMaxPool2d):
    """`torch.nn.AdaptiveMaxPool2d`, the same but for speed."""

    rank = 2


class AdaptiveMaxPool3d(_GridMax, nn.AdaptiveMaxPool3d):
    """`torch.nn.AdaptiveMaxPool3d`, the same but for speed."""

    rank = 3


class AdaptiveAvgPool1d(_GridMean, nn.AdaptiveAvgPool1d):
    """`torch.nn.AdaptiveAvgPool1d`, the same but for speed."""

    rank = 1


class AdaptiveAvgPool2d(_GridMean, nn.AdaptiveAvgPool2d):
    """`torch.nn.AdaptiveAvgPool2d`, the same but for speed."""

    rank = 2


class AdaptiveAvgPool3d(_GridMean, nn.AdaptiveAvgPool3d):
    """`torch.nn.AdaptiveAvgPool3d`, the same but for speed."""

    rank = 3
