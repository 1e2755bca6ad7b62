"""How a pooling runs: CPU kernels for floating-point tensors in memory, plain torch for everything else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnatomy.backends import reference
from cnnatomy.backends.cpu.pooling import pooling_launch
from cnnatomy.backends.cpu.runtime import jit
from cnnatomy.backends.layout import empty, is_last, saved_dtypes
from cnnatomy.backends.pooled import Kept, Pooled, Saved
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import Reducer
from cnnatomy.reducers.contract import NO_TAP
from cnnatomy.regions import Region

FLOATING = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def fast(x: Tensor) -> bool:
    """True if the CPU kernels can read x."""
    kind = x.dtype
    swift = kind in FLOATING and (kind is not torch.float16 or jit.converts_half())
    return swift and x.is_cpu and x.layout is torch.strided


def forward(
    inputs: Sequence[Tensor], region: Region, reducer: Reducer, track: bool, seed: Tensor | None = None
) -> tuple[Tensor, Saved]:
    """y (N, C, *out) from x and its companions, and what backward needs of the taps if they are tracked.

    Raises:
        ArgumentError: x has a dtype in which pooling means nothing.
    """
    x = inputs[0]
    if fast(x):
        return pooling_launch.forward(inputs, region, reducer, track, seed)
    if x.dtype not in (*FLOATING, *INTEGERS):
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in (*FLOATING, *INTEGERS))
        raise ArgumentError("no pooling of this dtype", expected=known, got=str(x.dtype))
    y, winner = reference.forward([tensor.detach() for tensor in inputs], region, reducer, seed)
    size = tuple(y.shape[2:])
    out = empty(x, size, x.dtype, is_last(x)).copy_(y)
    if not track:
        return out, ()
    kinds = saved_dtypes(region, reducer, len(size), x.dtype)
    saved = tuple(empty(x, size, kind, is_last(x)).zero_() for kind in kinds)
    if winner is not None:
        saved[0].copy_(torch.where(winner < 0, 255 if kinds[0] is torch.uint8 else NO_TAP, winner))
    return out, saved


def backward(grad: Tensor, kept: Kept, pooled: Pooled) -> Saved:
    """The gradients (N, C, *size) of x and its companions."""
    reducer, size = pooled.reducer, pooled.size
    if fast(grad):
        read = kept if "x" in reducer.reads else kept._replace(inputs=())
        return pooling_launch.backward(grad, read, pooled)
    if reducer.selects:
        cells = reference.cells(kept.saved[0], pooled.region, size)
        found: Saved = (reference.scatter(grad, cells, size),)
    else:
        given = kept.inputs or (grad.new_zeros((*grad.shape[:2], *size)),)
        found = reference.backward(grad, given, pooled.region, reducer)
    return tuple(empty(grad, size, grad.dtype, pooled.last).copy_(dx) for dx in found)


def check(grad: Tensor, saved: Saved, pooled: Pooled) -> None:
    """See that a gradient and what was saved are of this pooling.

    Raises:
        ArgumentError: they have other shapes or dtypes.
    """
    shape = (*grad.shape[:2], *pooled.region.outputs(pooled.size))
    for tensor in (grad, *saved):
        if tuple(tensor.shape) != shape:
            what = "the gradient or the saved taps are not of this pooling"
            raise ArgumentError(what, expected=f"shape {shape}", got=str(tuple(tensor.shape)))
    kinds = saved_dtypes(pooled.region, pooled.reducer, len(pooled.size), grad.dtype)
    got = tuple(one.dtype for one in saved)
    if got != kinds:
        raise ArgumentError("the saved taps are not of this pooling", expected=str(kinds), got=str(got))
