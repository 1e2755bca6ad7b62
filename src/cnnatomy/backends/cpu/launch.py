"""Run pooling kernels on torch tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnatomy.backends.cpu import threads
from cnnatomy.backends.cpu.plan import Key, Plan, backward_plan, forward_plan
from cnnatomy.reducers.contract import Reducer
from cnnatomy.regions import Region

DTYPES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}
_TAPS = {torch.uint8: "uint8", torch.int32: "int32"}
_GRAIN = 32_768  # elements that are worth a thread
_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def layout(x: Tensor) -> tuple[Tensor, int]:
    """x in one of the two layouts that kernels read, and its lanes: 1, or C for channels_last."""
    if x.is_contiguous():
        return x, 1
    last = _LAST.get(x.dim())
    if last is not None and x.is_contiguous(memory_format=last):
        return x, x.shape[1]
    return x.contiguous(), 1


def like(x: Tensor, size: tuple[int, ...], lanes: int, dtype: torch.dtype) -> Tensor:
    """An empty (N, C, *size) tensor in the layout of x."""
    last = _LAST[x.dim()] if lanes > 1 else torch.contiguous_format
    return torch.empty((*x.shape[:2], *size), dtype=dtype, memory_format=last)


def forward(
    x: Tensor, region: Region, reducer: Reducer, taps: torch.dtype | None
) -> tuple[Tensor, Tensor | None]:
    """y, and the winners' tap numbers in the dtype `taps`, if it is given."""
    x, lanes = layout(x.detach())
    plan = forward_plan(
        Key(region, reducer, DTYPES[x.dtype], tuple(x.shape[2:]), lanes, _TAPS[taps] if taps else None)
    )
    y = like(x, plan.out, lanes, x.dtype)
    saved = like(x, plan.out, lanes, taps) if taps else None
    _run(plan, x.shape[0] * x.shape[1] // lanes, (x, y, saved))
    return y, saved


def backward(
    grad: Tensor, saved: Tensor | None, region: Region, reducer: Reducer, size: tuple[int, ...]
) -> Tensor:
    """dx (N, C, *size), in the layout of what was saved, or else of the gradient."""
    model, lanes = layout(grad.detach() if saved is None else saved)
    grad = grad.detach().contiguous(memory_format=_LAST[grad.dim()] if lanes > 1 else torch.contiguous_format)
    taps = None if saved is None else _TAPS[saved.dtype]
    plan = backward_plan(Key(region, reducer, DTYPES[grad.dtype], size, lanes, taps))
    out = like(grad, size, lanes, grad.dtype)
    _run(plan, grad.shape[0] * grad.shape[1] // lanes, (grad, model, out))
    return out


def _run(plan: Plan, planes: int, tensors: tuple[Tensor, Tensor | None, Tensor | None]) -> None:
    units = plan.units * planes
    if units == 0:
        return
    most = max(1, plan.elements * planes // _GRAIN)
    team = min(most, units, torch.get_num_threads())
    scratch = torch.empty(plan.scratch * team, dtype=torch.uint8)
    addresses = [0 if tensor is None else tensor.data_ptr() for tensor in (*tensors, scratch)]
    threads.share(plan.kernel, [plan.sizes.ctypes.data, *addresses], plan.scratch, units, team)
