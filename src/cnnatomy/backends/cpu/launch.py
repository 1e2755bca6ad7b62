"""Run pooling kernels on torch tensors."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cnnatomy.backends.cpu import threads
from cnnatomy.backends.cpu.pages import LARGE, prefer_large
from cnnatomy.backends.cpu.plan import Key, Plan, backward_plan, forward_plan
from cnnatomy.backends.layout import empty, is_last, memory_format, saved_dtypes, tap_dtype
from cnnatomy.reducers.contract import Reducer
from cnnatomy.regions import Region

DTYPES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}
_TAPS = {torch.uint8: "uint8", torch.int32: "int32"}
MANY = 8
"""Channels that fill a vector well enough."""
GRAIN = 32_768
"""Elements that are worth a thread."""

Saved = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class _Call:
    """Everything about a call but its tensors, looked up at once: small calls spend their time here."""

    plan: Plan
    address: int  # of the plan's sizes
    units: int
    team: int  # threads that are worth their while
    form: torch.memory_format
    out: tuple[int, ...]
    saved: tuple[torch.dtype, ...]
    large: bool  # whether results are worth large pages
    turns: bool  # whether it is worth laying the channels last, so that vectors run over them


@lru_cache(maxsize=4096)
def _forward_call(
    region: str, reducer: str, dtype: torch.dtype, shape: tuple[int, ...], last: bool, track: bool
) -> _Call:
    where, what, size = Region.parse(region), Reducer.parse(reducer), tuple(shape[2:])
    taps = _TAPS[tap_dtype(where, len(size))]
    lanes = shape[1] if last else 1
    plan = forward_plan(Key(where, what, DTYPES[dtype], size, lanes, taps, track))
    return _call(plan, shape, last, saved_dtypes(where, what, len(size), dtype) if track else ())


@lru_cache(maxsize=4096)
def _backward_call(
    region: str, reducer: str, dtype: torch.dtype, shape: tuple[int, ...], size: tuple[int, ...], last: bool
) -> _Call:
    where, what = Region.parse(region), Reducer.parse(reducer)
    taps = _TAPS[tap_dtype(where, len(size))]
    lanes = shape[1] if last else 1
    plan = backward_plan(Key(where, what, DTYPES[dtype], size, lanes, taps, True))
    return _call(plan, (*shape[:2], *size), last, (dtype,) * (1 + len(what.companions)))


def _call(plan: Plan, shape: tuple[int, ...], last: bool, saved: tuple[torch.dtype, ...]) -> _Call:
    planes = shape[0] * (shape[1] > 0 if last else shape[1])  # channels that are last are lanes
    units = plan.units * planes
    team = min(max(1, plan.elements * planes // GRAIN), units)
    form = memory_format(len(shape) - 2, last)
    turns = plan.path == "looped" and not last and len(shape) > 3 and shape[1] >= MANY
    large = 8 * shape[0] * shape[1] * max(math.prod(shape[2:]), math.prod(plan.out)) >= LARGE
    return _Call(plan, plan.sizes.ctypes.data, units, team, form, plan.out, saved, large, turns)


def forward(
    inputs: Sequence[Tensor], region: Region, reducer: Reducer, track: bool, seed: Tensor | None = None
) -> tuple[Tensor, Saved]:
    """y, and what backward needs if `track`."""
    x = inputs[0]
    last = is_last(x)
    call = _forward_call(region.text, reducer.text, x.dtype, x.shape, last, track)
    if call.turns:
        turned = [tensor.contiguous(memory_format=memory_format(len(call.out), True)) for tensor in inputs]
        if is_last(turned[0]):
            y, saved = forward(turned, region, reducer, track, seed)
            return y.contiguous(), tuple(tensor.contiguous() for tensor in saved)
    held = [tensor.contiguous(memory_format=call.form) for tensor in inputs]
    y = empty(x, call.out, x.dtype, last)
    saved = tuple([empty(x, call.out, kind, last) for kind in call.saved])
    _run(call, (*held, y, *saved) if seed is None else (*held, y, *saved, seed), (y, *saved))
    return y, saved


def backward(
    grad: Tensor,
    inputs: Sequence[Tensor],
    y: Tensor | None,
    saved: Saved,
    region: Region,
    reducer: Reducer,
    size: tuple[int, ...],
    last: bool,
) -> Saved:
    """The gradients (N, C, *size) of x and its companions, with channels last if x had them so."""
    call = _backward_call(region.text, reducer.text, grad.dtype, grad.shape, size, last)
    results = () if y is None else (y,)
    held = [tensor.contiguous(memory_format=call.form) for tensor in (grad, *inputs, *results, *saved)]
    out = tuple([empty(grad, size, kind, last) for kind in call.saved])
    _run(call, (*held, *out), out)
    return out


class _Scratch(threading.local):
    """Memory that kernels work in, kept from call to call."""

    size, tensor = 0, torch.empty(0)
    address = 0

    def of(self, size: int) -> int:
        """The address of at least so many bytes."""
        if size > self.size:
            self.tensor = torch.empty(size, dtype=torch.uint8)
            self.size, self.address = size, self.tensor.data_ptr()
        return self.address


_scratch = _Scratch()


def scratch(size: int) -> int:
    """The address of at least so many bytes to work in."""
    return _scratch.of(size) if size else 0


def _run(call: _Call, tensors: Sequence[Tensor], fresh: Sequence[Tensor]) -> None:
    """Run the kernel on tensors, some of which have been made for its results."""
    if call.units == 0:
        return
    if call.large:
        for tensor in fresh:
            prefer_large(tensor)
    plan, team = call.plan, call.team
    if team > 1:
        team = min(team, torch.get_num_threads())
    addresses = [call.address]
    addresses += [tensor.data_ptr() for tensor in tensors]
    addresses.append(scratch(plan.scratch * team))
    threads.share(plan.kernel, addresses, plan.scratch, call.units, team)
