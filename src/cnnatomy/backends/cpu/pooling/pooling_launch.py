"""Run pooling kernels on torch tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cnnatomy.backends import layout
from cnnatomy.backends.cpu.pooling.kernel_choice import Way
from cnnatomy.backends.cpu.pooling.plan_backward import backward_plan
from cnnatomy.backends.cpu.pooling.plan_forward import forward_plan
from cnnatomy.backends.cpu.pooling.window_tables import Key, Plan, whole_map
from cnnatomy.backends.cpu.runtime import threads
from cnnatomy.backends.cpu.runtime.huge_pages import LARGE, prefer_large
from cnnatomy.backends.cpu.runtime.scratch import scratch
from cnnatomy.backends.cpu.runtime.sizes import DTYPES, GRAIN, MANY
from cnnatomy.backends.layout import is_last, memory_format, saved_dtypes, tap_dtype
from cnnatomy.backends.pooled import Kept, Pooled, Saved
from cnnatomy.backends.result_memory import demand
from cnnatomy.reducers.contract import Reducer
from cnnatomy.regions import Region

_CPU = torch.device("cpu")
_MODEL = torch.empty(0)
_SWIFT = (torch.float32, torch.float64)
_TAPS = {torch.uint8: "uint8", torch.int32: "int32"}


@dataclass(frozen=True, slots=True)
class _Call:
    """Everything about a call but its tensors, looked up at once: small calls spend their time here."""

    plan: Plan
    address: int  # of the plan's sizes
    units: int
    team: int  # threads that are worth their while
    form: torch.memory_format
    shape: tuple[int, ...]  # of every result
    stride: tuple[int, ...]
    results: tuple[torch.dtype, ...]
    large: bool  # whether any result is worth large pages
    turns: bool  # whether it is worth laying the channels last, so that vectors run over them


@lru_cache(maxsize=4096)
def _forward_call(
    region: str, reducer: str, dtype: torch.dtype, shape: tuple[int, ...], last: bool, track: bool
) -> _Call | None:
    """The call; None if torch does better: over whole maps in the dtypes that it reduces by vectors."""
    where, what, size = Region.parse(region), Reducer.parse(reducer), tuple(shape[2:])
    demand(_MODEL, (*shape[:2], *where.outputs(size)), dtype)
    saved = saved_dtypes(where, what, len(size), dtype) if track else ()
    alone = shape[0] * shape[1] < 2  # torch shares one sum among threads, whose number it then depends on
    torchs = what.fast.torch and what.fast.torch.whole
    if dtype in _SWIFT and not saved and not alone and torchs and whole_map(where.axes(size)):
        return None
    taps = _TAPS[tap_dtype(where, len(size))]
    lanes = shape[1] if last else 1
    plan = forward_plan(Key(where, what, DTYPES[dtype], size, lanes, taps, track))
    return _call(plan, shape, last, plan.out, (dtype, *saved))


@lru_cache(maxsize=4096)
def _backward_call(
    region: str, reducer: str, dtype: torch.dtype, shape: tuple[int, ...], size: tuple[int, ...], last: bool
) -> _Call:
    where, what = Region.parse(region), Reducer.parse(reducer)
    taps = _TAPS[tap_dtype(where, len(size))]
    lanes = shape[1] if last else 1
    plan = backward_plan(Key(where, what, DTYPES[dtype], size, lanes, taps, True))
    return _call(plan, (*shape[:2], *size), last, size, (dtype,) * (1 + len(what.companions)))


def _call(
    plan: Plan, shape: tuple[int, ...], last: bool, out: tuple[int, ...], results: tuple[torch.dtype, ...]
) -> _Call:
    """A call for an input of `shape`, to results of spatial sizes `out`."""
    planes = shape[0] * (shape[1] > 0 if last else shape[1])  # channels that are last are lanes
    units = plan.units * planes
    team = min(max(1, plan.elements * planes // GRAIN), units)
    form = memory_format(len(shape) - 2, last)
    turns = plan.way is Way.LOOP and not last and len(shape) > 3 and shape[1] >= MANY
    large = max(kind.itemsize for kind in results) * shape[0] * shape[1] * math.prod(out) >= LARGE
    model = torch.empty((*shape[:2], *out), device="meta", memory_format=form)
    sizes, stride = tuple(model.shape), model.stride()
    return _Call(plan, plan.sizes.ctypes.data, units, team, form, sizes, stride, results, large, turns)


def empty(call: _Call, dtype: torch.dtype) -> Tensor:
    """Memory for a result."""
    return torch.empty_strided(call.shape, call.stride, dtype=dtype, device=_CPU)


def forward(
    inputs: Sequence[Tensor], region: Region, reducer: Reducer, track: bool, seed: Tensor | None = None
) -> tuple[Tensor, Saved]:
    """y, and what backward needs if `track`."""
    x = inputs[0]
    flat = x.is_contiguous()
    last = not flat and is_last(x)
    call = _forward_call(region.text, reducer.text, x.dtype, x.shape, last, track)
    if call is None:
        # torch would give its result the order of x's axes
        out = None if flat else layout.empty(x, (1,) * (x.dim() - 2), x.dtype, last)
        operator = reducer.fast.torch
        assert operator is not None, "a call without a plan is torch's"
        return operator.over(x, range(2, x.dim()), out), ()
    if call.turns:
        turned = [tensor.contiguous(memory_format=memory_format(x.dim() - 2, True)) for tensor in inputs]
        if is_last(turned[0]):
            y, saved = forward(turned, region, reducer, track, seed)
            return y.contiguous(), tuple(tensor.contiguous() for tensor in saved)
    if flat and len(inputs) == len(call.results) == 1 and seed is None and not x.is_neg():
        y = empty(call, x.dtype)
        _start(call, (x, y), (y,))  # the usual call, without lists of its tensors
        return y, ()
    fresh = [empty(call, kind) for kind in call.results]
    _run(call, inputs, fresh, seed)
    return fresh[0], tuple(fresh[1:])


def backward(grad: Tensor, kept: Kept, pooled: Pooled) -> Saved:
    """The gradients (N, C, *size) of x and its companions, with channels last if x had them so.

    The inputs are kept only if the kernel reads them.
    """
    region, reducer = pooled.region.text, pooled.reducer.text
    call = _backward_call(region, reducer, grad.dtype, grad.shape, pooled.size, pooled.last)
    fresh = [empty(call, kind) for kind in call.results]
    _run(call, (grad, *kept.tensors), fresh)
    return tuple(fresh)


def _run(call: _Call, given: Sequence[Tensor], fresh: list[Tensor], seed: Tensor | None = None) -> None:
    """Run the kernel on what it is given, laid out as it reads it, and on memory for its results."""
    form = call.form
    held = [
        one
        if one.is_contiguous(memory_format=form) and not one.is_neg()
        else one.resolve_neg().contiguous(memory_format=form)
        for one in given
    ]
    _start(call, [*held, *fresh] if seed is None else [*held, *fresh, seed], fresh)


def _start(call: _Call, tensors: Sequence[Tensor], fresh: Sequence[Tensor]) -> None:
    """Run the kernel on tensors that lie as it reads them; those that are fresh are its results."""
    if call.units == 0:
        return
    if call.large:
        for tensor in fresh:
            prefer_large(tensor)
    plan, team = call.plan, call.team
    if team > 1:
        team = min(team, torch.get_num_threads())
    addresses = [call.address, *[tensor.data_ptr() for tensor in tensors], scratch(plan.scratch * team)]
    threads.share(plan.kernel, addresses, plan.scratch, call.units, team)
