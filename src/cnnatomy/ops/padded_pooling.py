"""Pooling over borders that hold values: the padding of a sliding region, written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.ops.padding import Mode, checked_mode, pad
from cnnatomy.regions import Region, Sliding


def bordered(
    tensors: Sequence[Tensor], region: Region, mode: Mode, indices: bool
) -> tuple[list[Tensor], Sliding]:
    """Every tensor with the region's padding filled in, and the region without padding.

    Raises:
        ArgumentError: the region has no padding of its own, indices are wanted, or the mode is unknown.

    Example:
        >>> import torch
        >>> (x,), region = bordered([torch.tensor([[[1.0, 2.0]]])], Sliding(3, 1, 1), "edge", False)
        >>> x, region.padding
        (tensor([[[1., 1., 2., 2.]]]), 0)
    """
    name = checked_mode(mode)
    if not isinstance(region, Sliding):
        what = "only sliding regions have padding"
        raise ArgumentError(what, expected="padding_mode='clip'", got=f"{mode!r} for {region}")
    if indices:
        what = "a winner in the padding has no index"
        raise ArgumentError(what, expected="padding_mode='clip'", got=repr(mode), hint="return_indices=False")
    widths = [window.padding for window in region.windows(tuple(tensors[0].shape[2:]))]
    if all(pair == (0, 0) for pair in widths):
        return list(tensors), region
    return [pad(tensor, widths, name) for tensor in tensors], _unpadded(region)


def _unpadded(region: Sliding) -> Sliding:
    """The region without padding; numbers that a compiler traces become constants, as a text has them."""
    kernel, stride, dilation = (
        _whole(value) for value in (region.kernel_size, region.stride, region.dilation)
    )
    return replace(region, kernel_size=kernel, stride=stride, padding=0, dilation=dilation)


def _whole(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_whole(one) for one in value)
    return value if value is None else value.as_integer_ratio()[0]
