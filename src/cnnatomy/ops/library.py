"""The operators that stand in compiled and exported graphs; region and reducer travel as text.

They have shapes for tensors without data, and derivatives of every order in reverse mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._guards import TracingContext

from cnnatomy import backends
from cnnatomy.backends import reference
from cnnatomy.backends.layout import empty, is_last
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Region


@torch.library.custom_op("cnnatomy::pool", mutates_args=())
def pool(x: Tensor, region: str, reducer: str) -> tuple[Tensor, Tensor]:
    """y and the winners' taps, which are empty if the reducer selects none."""
    y, saved = backends.forward(x, Region.parse(region), Reducer.parse(reducer), track=True)
    return y, torch.empty(0, dtype=torch.uint8, device=x.device) if saved is None else saved


@torch.library.custom_op("cnnatomy::pool_backward", mutates_args=())
def gather(grad: Tensor, saved: Tensor, region: str, reducer: str, size: Sequence[int], last: bool) -> Tensor:
    """dx from dy and the winners' taps."""
    what = Reducer.parse(reducer)
    taps = saved if what.selects else None
    return backends.backward(grad, taps, Region.parse(region), what, tuple(size), last)


@torch.library.custom_op("cnnatomy::pool_indices", mutates_args=())
def indices(saved: Tensor, region: str, size: Sequence[int]) -> Tensor:
    """The winners' flat indices from their taps."""
    return reference.cells(saved, Region.parse(region), tuple(size))


def winners(values: Tensor, saved: Tensor, region: str) -> Tensor:
    """The winners' entries of a tensor shaped like the input; 0 for a region without any tap."""
    cells = indices(saved, region, list(values.shape[2:]))
    found = values.flatten(2).gather(2, cells.clamp(min=0).flatten(2)).view(cells.shape)
    return torch.where(cells < 0, 0, found)


@pool.register_fake
def _(x: Tensor, region: str, reducer: str) -> tuple[Tensor, Tensor]:
    if torch.autograd.forward_ad._current_level >= 0 and TracingContext.try_get() is not None:
        what = "a compiled graph would drop the tangents of forward-mode differentiation"
        raise ArgumentError(what, hint="jvp or jacfwd without torch.compile, or jacrev")
    where = Region.parse(region)
    size, last = where.output_size(tuple(x.shape[2:])), is_last(x)
    y = empty(x, size, x.dtype, last)
    if not Reducer.parse(reducer).selects:
        return y, torch.empty(0, dtype=torch.uint8, device=x.device)
    return y, empty(x, size, backends.tap_dtype(where, x.dim() - 2), last)


@gather.register_fake
def _(grad: Tensor, saved: Tensor, region: str, reducer: str, size: Sequence[int], last: bool) -> Tensor:
    return empty(grad, tuple(size), grad.dtype, last)


@indices.register_fake
def _(saved: Tensor, region: str, size: Sequence[int]) -> Tensor:
    return torch.empty_like(saved, dtype=torch.int64)


def _keep_pool(ctx: Any, inputs: Any, output: Any) -> None:
    x, ctx.region, ctx.reducer = inputs
    ctx.size, ctx.last = list(x.shape[2:]), is_last(x)
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


def _pull_pool(ctx: Any, grad: Tensor, _: Any) -> tuple[Any, ...]:
    (saved,) = ctx.saved_tensors
    return gather(grad, saved, ctx.region, ctx.reducer, ctx.size, ctx.last), None, None


def _keep_gather(ctx: Any, inputs: Any, output: Any) -> None:
    _, saved, ctx.region, ctx.reducer, _, _ = inputs
    ctx.save_for_backward(saved)


def _pull_gather(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    (saved,) = ctx.saved_tensors
    if Reducer.parse(ctx.reducer).linear:
        back, _ = pool(grad, ctx.region, ctx.reducer)
    else:
        back = winners(grad, saved, ctx.region)
    return back, None, None, None, None, None


pool.register_autograd(_pull_pool, setup_context=_keep_pool)
gather.register_autograd(_pull_gather, setup_context=_keep_gather)
