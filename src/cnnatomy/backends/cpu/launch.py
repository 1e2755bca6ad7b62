"""Run pooling kernels on torch tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnatomy.backends.cpu import threads
from cnnatomy.backends.cpu.plan import Key, Plan, backward_plan, forward_plan
from cnnatomy.backends.layout import empty, is_last, memory_format
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


def forward(
    x: Tensor, region: Region, reducer: Reducer, taps: torch.dtype | None
) -> tuple[Tensor, Tensor | None]:
    """y, and the winners' tap numbers in the dtype `taps`, if it is given."""
    last, size = is_last(x), tuple(x.shape[2:])
    x = x.contiguous(memory_format=memory_format(len(size), last))
    lanes = x.shape[1] if last else 1
    plan = forward_plan(Key(region, reducer, DTYPES[x.dtype], size, lanes, _TAPS[taps] if taps else None))
    y = empty(x, plan.out, x.dtype, last)
    saved = empty(x, plan.out, taps, last) if taps else None
    _run(plan, x.shape[0] * x.shape[1] // lanes if lanes else 0, (x, y, saved))
    return y, saved


def backward(
    grad: Tensor, saved: Tensor | None, region: Region, reducer: Reducer, size: tuple[int, ...], last: bool
) -> Tensor:
    """dx (N, C, *size), with its channels last if x had them so."""
    form = memory_format(len(size), last)
    grad = grad.contiguous(memory_format=form)
    taps = saved if saved is None else saved.contiguous(memory_format=form)
    lanes = grad.shape[1] if last else 1
    stored = None if taps is None else _TAPS[taps.dtype]
    plan = backward_plan(Key(region, reducer, DTYPES[grad.dtype], size, lanes, stored))
    out = empty(grad, size, grad.dtype, last)
    _run(plan, grad.shape[0] * grad.shape[1] // lanes if lanes else 0, (grad, taps, out))
    return out


def _run(plan: Plan, planes: int, tensors: tuple[Tensor, Tensor | None, Tensor | None]) -> None:
    units = plan.units * planes
    if units == 0:
        return
    most = max(1, plan.elements * planes // _GRAIN)
    team = min(most, units, torch.get_num_threads())
    scratch = torch.empty(plan.scratch * team, dtype=torch.uint8) if plan.scratch else None
    addresses = [0 if tensor is None else tensor.data_ptr() for tensor in (*tensors, scratch)]
    threads.share(plan.kernel, [plan.sizes.ctypes.data, *addresses], plan.scratch, units, team)
