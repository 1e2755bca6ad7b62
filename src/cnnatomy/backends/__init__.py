"""How a pooling runs: CPU kernels for floating-point tensors in memory, plain torch for everything else."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnatomy.backends import reference
from cnnatomy.reducers import Reducer
from cnnatomy.reducers.contract import NO_TAP
from cnnatomy.regions import Region

FLOATING = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def fast(x: Tensor) -> bool:
    """True if the CPU kernels can read x."""
    return x.device.type == "cpu" and x.dtype in FLOATING and x.layout is torch.strided


def tap_dtype(region: Region, rank: int) -> torch.dtype:
    """The dtype of saved tap numbers: one byte where it holds every tap and one more for none."""
    taps = region.most_taps(rank)
    return torch.uint8 if taps is not None and taps < 256 else torch.int32


def forward(x: Tensor, region: Region, reducer: Reducer, track: bool) -> tuple[Tensor, Tensor | None]:
    """y (N, C, *out), and the winners' tap numbers if they are tracked."""
    taps = tap_dtype(region, x.dim() - 2) if track and reducer.selects else None
    if fast(x):
        from cnnatomy.backends.cpu import launch

        return launch.forward(x, region, reducer, taps)
    y, winner = reference.forward(x.detach(), region, reducer)
    if taps is None or winner is None:
        return y, None
    return y, torch.where(winner < 0, 255 if taps is torch.uint8 else NO_TAP, winner).to(taps)


def backward(
    grad: Tensor, saved: Tensor | None, region: Region, reducer: Reducer, size: tuple[int, ...]
) -> Tensor:
    """dx (N, C, *size) from the output's gradient and what forward saved."""
    if fast(grad):
        from cnnatomy.backends.cpu import launch

        return launch.backward(grad, saved, region, reducer, size)
    indices = None if saved is None else reference.cells(saved, region, size)
    return reference.backward(grad, indices, region, reducer, size)
