"""How a pooling runs: CPU kernels for floating-point tensors in memory, plain torch for everything else."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from cnnatomy.backends import reference
from cnnatomy.backends.cpu import build, launch
from cnnatomy.backends.layout import empty, is_last
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import Reducer
from cnnatomy.reducers.contract import NO_TAP
from cnnatomy.regions import Region

FLOATING = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def fast(x: Tensor) -> bool:
    """True if the CPU kernels can read x."""
    return x.is_cpu and x.dtype in FLOATING and x.layout is torch.strided and _converts(x.dtype)


@lru_cache
def _converts(dtype: torch.dtype) -> bool:
    if dtype is not torch.float16:
        return True
    return build.converts_half()


def tap_dtype(region: Region, rank: int) -> torch.dtype:
    """The dtype of saved tap numbers: one byte where it holds every tap and one more for none."""
    taps = region.most_taps(rank)
    return torch.uint8 if taps is not None and taps < 256 else torch.int32


def forward(x: Tensor, region: Region, reducer: Reducer, track: bool) -> tuple[Tensor, Tensor | None]:
    """y (N, C, *out), and the winners' tap numbers if they are tracked.

    Raises:
        ArgumentError: x has a dtype in which pooling means nothing.
    """
    taps = tap_dtype(region, x.dim() - 2) if track and reducer.selects else None
    if fast(x):
        return launch.forward(x, region, reducer, taps)
    if x.dtype not in (*FLOATING, *INTEGERS):
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in (*FLOATING, *INTEGERS))
        raise ArgumentError("no pooling of this dtype", expected=known, got=str(x.dtype))
    y, winner = reference.forward(x.detach(), region, reducer)
    out = empty(x, tuple(y.shape[2:]), x.dtype, is_last(x)).copy_(y)
    if taps is None or winner is None:
        return out, None
    saved = torch.where(winner < 0, 255 if taps is torch.uint8 else NO_TAP, winner)
    return out, empty(x, tuple(y.shape[2:]), taps, is_last(x)).copy_(saved)


def backward(
    grad: Tensor, saved: Tensor | None, region: Region, reducer: Reducer, size: tuple[int, ...], last: bool
) -> Tensor:
    """dx (N, C, *size) from the output's gradient and what forward saved; `last` if x had its channels last.

    Raises:
        ArgumentError: the gradient or the taps are not shaped like the output.
    """
    wanted = (*grad.shape[:2], *region.output_size(size))
    for name, tensor in (("gradient", grad), ("saved taps", saved)):
        if tensor is not None and tuple(tensor.shape) != wanted:
            got = str(tuple(tensor.shape))
            raise ArgumentError(f"the {name} are not of this pooling", expected=f"shape {wanted}", got=got)
    if saved is not None and saved.dtype is not tap_dtype(region, len(size)):
        expected = str(tap_dtype(region, len(size)))
        raise ArgumentError("the saved taps are not of this pooling", expected=expected, got=str(saved.dtype))
    if fast(grad):
        return launch.backward(grad, saved, region, reducer, size, last)
    indices = None if saved is None else reference.cells(saved, region, size)
    dx = reference.backward(grad, indices, region, reducer, size)
    return empty(grad, size, grad.dtype, last).copy_(dx)
