"""The two layouts of a tensor (N, C, *spatial), contiguous and channels last, and which a result has."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from cnnatomy.anatomy.shapes import Shape

META = torch.device("meta")
_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def new(shape: Shape, like: Tensor, last: bool = False, dtype: torch.dtype | None = None) -> Tensor:
    """A meta tensor of that layout, with the dtype of another."""
    return torch.empty_strided(shape, strides_of(shape, last), dtype=dtype or like.dtype, device=META)


@lru_cache(maxsize=1024)
def strides_of(shape: Shape, last: bool) -> Shape:
    """The strides of a dense tensor of that layout."""
    order = [1, *range(len(shape) - 1, 1, -1), 0] if last else range(len(shape) - 1, -1, -1)
    strides, step = [0] * len(shape), 1
    for axis in order:
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def last_of(x: Tensor) -> bool | None:
    """Whether x is laid out with its channels last; None if neither that nor contiguous, or empty."""
    shape, strides = tuple(x.shape), x.stride()
    if 0 in shape:
        return None
    if strides == strides_of(shape, False):
        return False
    if len(shape) in _LAST and strides == strides_of(shape, True):
        return True
    return None


def order_of(x: Tensor) -> bool | None:
    """The same where layouts that differ only along axes of size 1 are alike, contiguous if it may be."""
    if x.is_contiguous():
        return False
    return True if x.dim() in _LAST and x.is_contiguous(memory_format=_LAST[x.dim()]) else None


def suggested(x: Tensor) -> bool:
    """Whether a new result of x is laid out with its channels last: what torch calls the suggested format."""
    return _like_channels_last(tuple(x.shape), x.stride())


@lru_cache(maxsize=1024)
def _like_channels_last(shape: Shape, strides: Shape) -> bool:
    """c10's rule: strides grow from the channels over the last axis to the first; slices of such too."""
    if len(shape) not in _LAST or strides[1] == 0 or 0 in shape:
        return False
    least = 0
    for axis in (1, *range(len(shape) - 1, 1, -1), 0):
        alike = axis == 0 and least == strides[1]  # (N, 1, 1, 1) is contiguous
        if strides[axis] < least or alike:
            return False
        least = strides[axis] * shape[axis]
    return True


def as_part(shape: Shape, last: bool) -> bool:
    """The suggested layout of a copied part: with one channel or one cell it may differ from the whole's."""
    return _like_channels_last(shape, strides_of(shape, last))


def plain(*tensors: Tensor | None) -> bool:
    """Whether all are of one floating dtype."""
    dtypes = {tensor.dtype for tensor in tensors if tensor is not None}
    return len(dtypes) == 1 and next(iter(dtypes)).is_floating_point
