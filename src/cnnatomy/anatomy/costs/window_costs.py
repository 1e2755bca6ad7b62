"""Pooling, resampling, transforms: operators that read several cells and multiply nothing that is learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from cnnatomy.anatomy.costs.work import RULES, Rule, Work, elementwise, option, rule, tensor
from cnnatomy.anatomy.record.graph import Call, Value
from cnnatomy.geometry import AxisTable
from cnnatomy.geometry.axis_resampling import Resampling


def _pooled(call: Call, out: Value, rank: int, arithmetic: str) -> Work:
    """Every output reads every tap of its window."""
    kernel = call.argument("kernel_size")
    taps = math.prod(kernel) if len(kernel) == rank else kernel[0] ** rank
    return elementwise(out.numel * taps, "taps", arithmetic)


def maxima(call: Call, rank: int) -> Work:
    """One comparison per tap."""
    return _pooled(call, call.outputs[0], rank, "max(y, x)")


def means(call: Call, rank: int) -> Work:
    """One addition per tap, one division per output."""
    summed = _pooled(call, call.outputs[0], rank, "s + x")
    return Work(0, (summed.other or 0) + call.outputs[0].numel, f"{summed.formula}, and a division each")


def adaptive(call: Call, rank: int) -> Work:
    """One operation per tap."""
    taps = _binned(call.inputs[0], call.outputs[0], rank)
    return elementwise(taps, "taps", "max(y, x)" if "max" in call.name else "s + x")


def _binned(x: Value, out: Value, rank: int) -> int:
    """Taps of torch's adaptive bins, which overlap where sizes do not divide."""
    taps = math.prod(out.shape[: len(out.shape) - rank])
    for n, m in zip(x.shape[-rank:], out.shape[-rank:], strict=True):
        taps *= sum(AxisTable.adaptive(n, m).count)
    return taps


def _per_gradient(call: Call, rank: int) -> Work:
    """One addition per gradient that comes in."""
    return elementwise(call.inputs[0].numel, "gradients", "s + g")


def _means_backward(call: Call, rank: int) -> Work:
    """A division and an addition for every tap of every gradient that comes in."""
    return _pooled(call, call.inputs[0], rank, "s + g / n")


def _adaptive_backward(call: Call, rank: int) -> Work:
    """Likewise; the input is given for its shape."""
    grad, x = call.inputs[:2]
    return elementwise(_binned(x, grad, rank), "taps", "s + g / n")


_POOLINGS: dict[str, Callable[[Call, int], Work]] = {
    **dict.fromkeys(("max_pool{}d_with_indices", "max_pool{}d", "fractional_max_pool{}d"), maxima),
    "avg_pool{}d": means,
    **dict.fromkeys(("_adaptive_avg_pool{}d", "adaptive_avg_pool{}d", "adaptive_max_pool{}d"), adaptive),
    "max_pool{}d_with_indices_backward": _per_gradient,
    "adaptive_max_pool{}d_backward": _per_gradient,
    "fractional_max_pool{}d_backward": _per_gradient,
    "avg_pool{}d_backward": _means_backward,
    "_adaptive_avg_pool{}d_backward": _adaptive_backward,
}


def _of_rank(pooling: Callable[[Call, int], Work], rank: int) -> Rule:
    return lambda call: pooling(call, rank)


for rank in (1, 2, 3):
    RULES.update({f"aten.{name.format(rank)}": _of_rank(of, rank) for name, of in _POOLINGS.items()})


def _interpolated(taps: int) -> str:
    return f"{taps} cells, a product and a sum each"


def _weighted(call: Call, taps: int) -> Work:
    whole = (
        max(call.inputs[0].numel, call.outputs[0].numel) if "backward" in call.name else call.outputs[0].numel
    )
    return Work(0, 2 * taps * whole, f"{whole:,} outputs × 2·{taps} ({_interpolated(taps)})")


for kind, cells in {"linear1d": 2, "bilinear2d": 4, "trilinear3d": 8, "bicubic2d": 16}.items():
    for suffix in ("", "_backward"):
        RULES[f"aten.upsample_{kind}{suffix}"] = lambda call, cells=cells: _weighted(call, cells)  # type: ignore[misc]


_KINDS = ("bilinear", "bicubic")


@rule(*(f"aten._upsample_{kind}2d_aa{way}" for kind in _KINDS for way in ("", "_backward")))
def antialiased(call: Call) -> Work:
    """As wide as the step, axis by axis."""
    method = "cubic" if "cubic" in call.name else "linear"
    coordinates = "corners" if call.argument("align_corners") else "half_pixel"
    sides = call.inputs[0].shape, call.outputs[0].shape
    before, after = reversed(sides) if call.name.endswith("backward") else sides
    return banded(Resampling(method, coordinates, antialias=True), before, after)


def banded(how: Resampling, before: Sequence[int], after: Sequence[int]) -> Work:
    """A separable resampling from one shape to another: a product and a sum for each cell of every band."""
    found, sizes = 0, list(before)
    for axis in range(2, len(before)):
        bands = how.bands(before[axis], after[axis], axis - 2)
        rest = math.prod(sizes) // sizes[axis]
        found += 0 if how.picks else 2 * rest * sum(map(len, bands.weights))
        sizes[axis] = after[axis]
    return Work(0, found, f"{found:,}: {how.method}, axis by axis, a product and a sum for each cell")


@rule("aten._fft_c2c", "aten._fft_r2c", "aten._fft_c2r")
def fourier(call: Call) -> Work:
    """5 n log2 n for n complex cells, half of it where one side is real (Cooley and Tukey 1965)."""
    wide = max(call.inputs[0], call.outputs[0], key=lambda value: value.numel)
    cells = math.prod(wide.shape[axis] for axis in call.argument("dim"))
    found = round(5 * wide.numel * math.log2(cells))
    found = found if call.name.endswith("c2c") else found // 2
    return Work(0, found, f"5 × {wide.numel:,} × log2({cells}) = {found:,}")


@rule("aten.sort", "aten.topk", "aten.kthvalue", "aten.median")
def sorted_(call: Call) -> Work:
    """n log2 n comparisons along an axis of n, or among all of n."""
    x = call.inputs[0]
    axis = option(call, "dim")
    n = max(x.numel if axis is None or not x.shape else x.shape[axis], 2)
    found = round(x.numel * math.log2(n))
    return Work(0, found, f"{x.numel:,} × log2({n}) comparisons = {found:,}")


@rule("aten.grid_sampler_2d", "aten.grid_sampler_3d")
def sampled(call: Call) -> Work:
    """Linear interpolation between the cells around a point; nearest picks one."""
    rank = len(call.outputs[0].shape) - 2
    linear, nearest, cubic = 2**rank, 0, 4**rank
    return _weighted(call, (linear, nearest, cubic)[call.argument("interpolation_mode")])


@rule("aten.grid_sampler_2d_backward", "aten.grid_sampler_3d_backward")
def sampled_backward(call: Call) -> Work:
    """The gradients of the map and of the points take what the forward pass takes, each."""
    grad = call.inputs[0]
    return elementwise(2 * grad.numel * 2 ** (len(grad.shape) - 2), "cells", "s + g * w")


@rule("aten.col2im")
def folded(call: Call) -> Work:
    """Every column's cell is added to the map."""
    return elementwise(tensor(call, "self").numel, "inputs", "s + x")
