"""Poolings that blur before they leave cells out, so that a shift by one cell changes little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from cnnatomy.checks import whole_number
from cnnatomy.filters import FixedFilter, binomial
from cnnatomy.geometry.padding_rules import split
from cnnatomy.nn.pooling_modules import Pool1d, Pool2d, Pool3d
from cnnatomy.ops.padding import Mode

LARGEST = 33
"""Cells of the widest filter: beyond it a binomial filter is a Gaussian one, which `FixedFilter*d` has."""


class BlurPool(FixedFilter):
    """What `BlurPool*d` share."""

    def __init__(
        self, size: int = 3, stride: int | Sequence[int] = 2, padding_mode: Mode = "reflect"
    ) -> None:
        taps = whole_number("size", size, 1, LARGEST)
        padding = (split(taps - 1),) * self.rank
        super().__init__(binomial(taps, rank=self.rank), stride, padding, padding_mode=padding_mode)


class BlurPool1d(BlurPool):
    """Blur every channel of (N, C, L) or (C, L) and leave cells out; see `BlurPool2d`."""

    rank = 1


class BlurPool2d(BlurPool):
    """Blur every channel of (N, C, H, W) or (C, H, W) with a binomial filter, and keep every stride-th cell.

    Of n cells ceil(n / stride) are left where the size is odd: (size - 1) / 2 cells are added on either side.

    Args:
        size: taps of the filter along an axis, 1 to 33; 3 is (1, 2, 1)/4, 5 is (1, 4, 6, 4, 1)/16.
        stride: cells from one output to the next, an int or (y, x).
        padding_mode: what lies outside: any mode of `cnnatomy.pad`, by NumPy's name or torch's.

    Raises:
        ArgumentError: a size, a stride or a mode that there is not.

    Source: Zhang (2019), "Making convolutional networks shift-invariant again", arXiv:1904.11486, part 3.2.

    Example:
        >>> import torch
        >>> BlurPool2d()(torch.eye(4)[None])
        tensor([[[0.5000, 0.1250],
                 [0.1250, 0.3750]]])
    """

    rank = 2


class BlurPool3d(BlurPool):
    """Blur every channel of (N, C, D, H, W) or (C, D, H, W) and leave cells out; see `BlurPool2d`."""

    rank = 3


class MaxBlurPool(nn.Sequential):
    """What `MaxBlurPool*d` share."""

    _parts: ClassVar[tuple[type[nn.Module], type[BlurPool]]]

    def __init__(
        self,
        kernel_size: int | Sequence[int] = 2,
        stride: int | Sequence[int] = 2,
        size: int = 3,
        padding_mode: Mode = "reflect",
    ) -> None:
        pooling, blur = self._parts
        super().__init__(pooling("max", kernel_size, stride=1), blur(size, stride, padding_mode))


class MaxBlurPool1d(MaxBlurPool):
    """The largest of every window of (N, C, L) or (C, L), then `BlurPool1d`; see `MaxBlurPool2d`."""

    _parts = (Pool1d, BlurPool1d)


class MaxBlurPool2d(MaxBlurPool):
    """The largest of every window of (N, C, H, W) or (C, H, W), at every cell, then `BlurPool2d`.

    It stands for `MaxPool2d(kernel_size, stride)`, which is the same maxima with cells left out unblurred.

    Args:
        kernel_size: of the windows of the maximum, an int or (y, x).
        stride, size, padding_mode: of the blur; see `BlurPool2d`.

    Source: Zhang (2019), "Making convolutional networks shift-invariant again", arXiv:1904.11486, part 3.2.

    Example:
        >>> import torch
        >>> MaxBlurPool2d()(torch.eye(5)[None]).shape
        torch.Size([1, 2, 2])
    """

    _parts = (Pool2d, BlurPool2d)


class MaxBlurPool3d(MaxBlurPool):
    """The largest of every window of (N, C, D, H, W), then `BlurPool3d`; see `MaxBlurPool2d`."""

    _parts = (Pool3d, BlurPool3d)
