"""The slow truth: every window gathered by index, and the reducer's own definition in plain torch.

Works for any region, reducer, rank, dtype and device, forward and backward, as often as torch differentiates.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnatomy.backends.result_memory import demand
from cnnatomy.reducers.contract import Reducer, Windows
from cnnatomy.reducers.shared.noise import noise
from cnnatomy.regions import Axis, Region


def windows(
    inputs: Sequence[Tensor], axes: tuple[Axis, ...], reducer: Reducer, seed: Tensor | None = None
) -> Windows:
    """Lay out every window of x (N, C, *spatial), and of its companions."""
    x, rank = inputs[0], len(axes)
    inside = torch.ones((1,) * rank + (1,), dtype=torch.bool, device=x.device)
    count = torch.ones((1,) * rank, dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
    values = [tensor.unsqueeze(-1) for tensor in inputs]  # (N, C, *spatial, taps so far)
    for i, (axis, factors) in enumerate(zip(axes, reducer.divisors(axes), strict=True)):
        here, cells = _cells(axis, x.device)
        values = [_gathered(value, cells, i) for value in values]
        shape = [1] * rank
        shape[i] = axis.table.outputs
        inside = (inside.unsqueeze(-1) & here.view(*shape, 1, axis.taps)).flatten(-2)
        count = count * torch.tensor(factors, dtype=count.dtype, device=x.device).view(shape)
    out = tuple(axis.outputs for axis in axes)
    drawn = None if seed is None else noise(seed, (*x.shape[:2], *out), x.device)
    return Windows(values[0], inside, count, tuple(values[1:]), drawn)


def _cells(axis: Axis, device: torch.device) -> tuple[Tensor, Tensor]:
    """For every output and tap of an axis, whether it lies in the input, and its cell."""
    table = axis.table
    start, skip, count = (
        torch.tensor(numbers, device=device) for numbers in (table.start, table.skip, table.count)
    )
    tap = torch.arange(axis.taps, device=device) - skip[:, None]  # (out, taps)
    here = (tap >= 0) & (tap < count[:, None])
    return here, torch.where(here, start[:, None] + tap * table.step, 0)


def _gathered(values: Tensor, cells: Tensor, i: int) -> Tensor:
    values = values.index_select(2 + i, cells.flatten())
    values = values.reshape(*values.shape[: 2 + i], *cells.shape, *values.shape[3 + i :])
    return values.movedim(3 + i, -1).flatten(-2)


def computed_in(dtype: torch.dtype, reducer: Reducer) -> torch.dtype:
    """The dtype that a pooling of values of this dtype is computed in."""
    if dtype.is_floating_point:
        return torch.promote_types(dtype, torch.float32)
    return dtype if reducer.selects else torch.float64


def rounded(y: Tensor, dtype: torch.dtype) -> Tensor:
    """Results in the dtype of what was pooled: among integers the nearest, halves up, and 0 for NaN."""
    if dtype.is_floating_point or not y.is_floating_point():
        return y.to(dtype)
    limits = torch.iinfo(dtype)
    most = min(limits.max, 2**63 - 1024)  # float64's last below int64's end
    return (y.double() + 0.5).floor().nan_to_num(0.0).clamp(limits.min, most).to(dtype)


def forward(
    inputs: Sequence[Tensor], region: Region, reducer: Reducer, seed: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """y (N, C, *out), and each winner's tap number (-1 for none) where the reducer selects."""
    x = inputs[0]
    size = tuple(x.shape[2:])
    demand(x, (*x.shape[:2], *region.outputs(size)))
    axes = region.axes(size)
    kind = computed_in(x.dtype, reducer)
    y, winner = reducer.define(windows([tensor.to(kind) for tensor in inputs], axes, reducer, seed))
    return rounded(y, x.dtype), winner


def backward(grad: Tensor, inputs: Sequence[Tensor], region: Region, reducer: Reducer) -> tuple[Tensor, ...]:
    """The gradients of x and its companions, through the definition."""

    def run(*tensors: Tensor) -> Tensor:
        return forward(tensors, region, reducer)[0]

    pulled: tuple[Tensor, ...] = torch.func.vjp(run, *inputs)[1](grad)
    return pulled


def scatter(grad: Tensor, indices: Tensor, size: tuple[int, ...]) -> Tensor:
    """dx (N, C, *size) where each output's gradient goes to its winner's cell."""
    out = grad.new_zeros((*grad.shape[:2], *size))
    kept = torch.where(indices < 0, 0, grad).flatten(2)
    out.view(*grad.shape[:2], -1).scatter_add_(2, indices.clamp(min=0).flatten(2), kept)
    return out


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
