"""The slow truth: every window gathered by index, and the reducer's own definition in plain torch.

Works for any region, reducer, rank, dtype and device, forward and backward, as often as torch differentiates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cnnatomy.reducers.contract import Reducer, Windows
from cnnatomy.regions import Axis, Region


def windows(x: Tensor, axes: tuple[Axis, ...], reducer: Reducer) -> Windows:
    """Lay out every window of x (N, C, *spatial)."""
    rank = len(axes)
    inside = torch.ones((1,) * rank + (1,), dtype=torch.bool, device=x.device)
    count = torch.ones((1,) * rank, dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
    values = x.unsqueeze(-1)  # (N, C, *spatial, taps so far)
    for i, (axis, factors) in enumerate(zip(axes, reducer.divisors(axes), strict=True)):
        table = axis.table
        start, skip, taps_inside = (
            torch.tensor(numbers, device=x.device) for numbers in (table.start, table.skip, table.count)
        )
        tap = torch.arange(axis.taps, device=x.device) - skip[:, None]  # (out, taps)
        here = (tap >= 0) & (tap < taps_inside[:, None])
        cells = torch.where(here, start[:, None] + tap * table.step, 0)
        values = values.index_select(2 + i, cells.flatten())
        values = values.reshape(*values.shape[: 2 + i], *cells.shape, *values.shape[3 + i :])
        values = values.movedim(3 + i, -1).flatten(-2)
        shape = [1] * rank
        shape[i] = table.outputs
        inside = (inside.unsqueeze(-1) & here.view(*shape, 1, axis.taps)).flatten(-2)
        count = count * torch.tensor(factors, dtype=count.dtype, device=x.device).view(shape)
    return Windows(values, inside, count)


def forward(x: Tensor, region: Region, reducer: Reducer) -> tuple[Tensor, Tensor | None]:
    """y (N, C, *out), and each winner's tap number (-1 for none) where the reducer selects."""
    axes = region.axes(tuple(x.shape[2:]))
    wide = x.to(torch.promote_types(x.dtype, torch.float32)) if x.is_floating_point() else x
    y, winner = reducer.define(windows(wide, axes, reducer))
    return y.to(x.dtype), winner


def backward(
    grad: Tensor, indices: Tensor | None, region: Region, reducer: Reducer, size: tuple[int, ...]
) -> Tensor:
    """dx (N, C, *size): to the winners' cells, or through the definition of a linear reducer."""
    if indices is not None:
        out = grad.new_zeros((*grad.shape[:2], *size))
        kept = torch.where(indices < 0, 0, grad).flatten(2)
        out.view(*grad.shape[:2], -1).scatter_add_(2, indices.clamp(min=0).flatten(2), kept)
        return out
    with torch.enable_grad():
        x = grad.new_zeros((*grad.shape[:2], *size)).requires_grad_()
        y, _ = forward(x, region, reducer)
        return torch.autograd.grad(y, x, grad)[0]


def cells(taps: Tensor, region: Region, size: tuple[int, ...]) -> Tensor:
    """Flat index in the input of each winner, int64, from its tap number in its window.

    A negative tap, or one beyond the window's last, is no tap at all: its index is -1.
    """
    axes = region.axes(size)
    number = taps.to(torch.int64)
    index = torch.zeros_like(number)
    none = number < 0
    pitch = 1
    for i, axis in reversed(list(enumerate(axes))):
        table = axis.table
        origin = torch.tensor([table.start[o] - table.skip[o] * table.step for o in range(table.outputs)])
        shape = [1] * len(axes)
        shape[i] = table.outputs
        tap = number % axis.taps
        number = number // axis.taps
        index = index + (origin.to(taps.device).view(shape) + tap * table.step) * pitch
        pitch *= size[i]
    return torch.where(none | (number > 0), -1, index)
