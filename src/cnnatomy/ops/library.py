"""The operators that stand in compiled and exported graphs; region and reducer travel as text.

They have shapes for tensors without data, and derivatives in reverse mode: of every order where a pooling is
linear or selects, of second order elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cnnatomy import backends
from cnnatomy.backends import reference
from cnnatomy.backends.layout import empty, is_last, saved_dtypes
from cnnatomy.backends.pooled import Kept, Pooled
from cnnatomy.ops.routing import refuse_tangents
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Region


@torch.library.custom_op("cnnatomy::pool", mutates_args=())
def pool(
    inputs: Sequence[Tensor], seed: Tensor | None, region: str, reducer: str, indices: bool
) -> list[Tensor]:
    """y from x and its companions, and what is saved for backward; `indices` if the taps are read besides."""
    y, saved = backends.forward(inputs, Region.parse(region), Reducer.parse(reducer), True, seed)
    return [y, *saved]


@torch.library.custom_op("cnnatomy::pool_backward", mutates_args=())
def gather(
    grad: Tensor,
    inputs: Sequence[Tensor],
    y: Tensor | None,
    saved: Sequence[Tensor],
    region: str,
    reducer: str,
    size: Sequence[int],
    last: bool,
) -> list[Tensor]:
    """The gradients of x and its companions from the output's."""
    pooled = Pooled(Region.parse(region), Reducer.parse(reducer), tuple(size), last)
    backends.check(grad, tuple(saved), pooled)
    return list(backends.backward(grad, Kept(inputs, y, tuple(saved)), pooled))


@torch.library.custom_op("cnnatomy::pool_curve", mutates_args=())
def curve(
    pulls: Sequence[Tensor], grad: Tensor, inputs: Sequence[Tensor], region: str, reducer: str
) -> list[Tensor]:
    """The gradients of what `pool_backward` was given, grad and inputs, from its own results'."""
    nothing = torch._C.DispatchKeySet.from_raw_repr(0)  # under a dispatch mode, transforms are excluded
    with torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), nothing):
        found = second(pulls, grad, inputs, Region.parse(region), Reducer.parse(reducer))
    return [tensor.contiguous() for tensor in found]


@torch.library.custom_op("cnnatomy::pool_indices", mutates_args=())
def indices(saved: Tensor, region: str, size: Sequence[int]) -> Tensor:
    """The winners' flat indices from their taps."""
    return reference.cells(saved, Region.parse(region), tuple(size))


def second(
    pulls: Sequence[Tensor], grad: Tensor, inputs: Sequence[Tensor], region: Region, reducer: Reducer
) -> tuple[Tensor, ...]:
    """The derivative of the backward pass, through the definition."""

    def pull(grad: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        return reference.backward(grad, inputs, region, reducer)

    found: tuple[Tensor, ...] = torch.func.vjp(pull, grad, *inputs)[1](tuple(pulls))
    return found


def winners(values: Tensor, saved: Tensor, region: str) -> Tensor:
    """The winners' entries of a tensor shaped like the input; 0 for a region without any tap."""
    cells = indices(saved, region, list(values.shape[2:]))
    flat = (values.shape[0], values.shape[1], -1)
    found = values.reshape(flat).gather(2, cells.clamp(min=0).reshape(flat)).view(cells.shape)
    return torch.where(cells < 0, 0, found)


@pool.register_fake
def _(
    inputs: Sequence[Tensor], seed: Tensor | None, region: str, reducer: str, indices: bool
) -> list[Tensor]:
    refuse_tangents()
    where, x = Region.parse(region), inputs[0]
    size, last = where.outputs(tuple(x.shape[2:])), is_last(x)
    kinds = saved_dtypes(where, Reducer.parse(reducer), x.dim() - 2, x.dtype)
    return [empty(x, size, kind, last) for kind in (x.dtype, *kinds)]


@gather.register_fake
def _(
    grad: Tensor,
    inputs: Sequence[Tensor],
    y: Tensor | None,
    saved: Sequence[Tensor],
    region: str,
    reducer: str,
    size: Sequence[int],
    last: bool,
) -> list[Tensor]:
    count = 1 + len(Reducer.parse(reducer).companions)
    return [empty(grad, tuple(size), grad.dtype, last) for _ in range(count)]


@curve.register_fake
def _(
    pulls: Sequence[Tensor], grad: Tensor, inputs: Sequence[Tensor], region: str, reducer: str
) -> list[Tensor]:
    return [torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in (grad, *inputs)]


@indices.register_fake
def _(saved: Tensor, region: str, size: Sequence[int]) -> Tensor:
    return torch.empty_like(saved, dtype=torch.int64)


def gathered(grad: Tensor, kept: Kept, pooled: Pooled) -> tuple[Tensor, ...]:
    """The gradients of x and its companions, by the operator in the graph."""
    settings = pooled.region.text, pooled.reducer.text, list(pooled.size), pooled.last
    return tuple(gather(grad, kept.inputs, kept.y, kept.saved, *settings))


def _keep_pool(ctx: Any, inputs: Any, output: Any) -> None:
    tensors, _, region, reducer, _ = inputs
    y, *saved = output
    ctx.pooled = Pooled.of(tensors[0], Region.parse(region), Reducer.parse(reducer))
    ctx.save_for_backward(*ctx.pooled.keep(tensors, y, tuple(saved)).tensors)
    ctx.mark_non_differentiable(*saved)


def _pull_pool(ctx: Any, grads: Sequence[Tensor]) -> tuple[Any, ...]:
    found = gathered(grads[0], ctx.pooled.kept(ctx.saved_tensors), ctx.pooled)
    return list(found), None, None, None, None


def _keep_gather(ctx: Any, inputs: Any, output: Any) -> None:
    grad, tensors, _, saved, ctx.region, ctx.reducer, _, _ = inputs
    ctx.held, ctx.kept = len(tensors), len(saved)
    ctx.save_for_backward(grad, *tensors, *saved)


def _pull_gather(ctx: Any, grads: Sequence[Tensor]) -> tuple[Any, ...]:
    grad, *tensors = ctx.saved_tensors
    inputs, saved = tensors[: ctx.held], tensors[ctx.held :]
    what = Reducer.parse(ctx.reducer)
    back: list[Any] = [None] * ctx.held
    if what.linear:
        first = pool([grads[0]], None, ctx.region, ctx.reducer, False)[0]
    elif what.selects:
        first = winners(grads[0], saved[0], ctx.region)
    else:
        first, *back = curve(list(grads), grad, inputs, ctx.region, ctx.reducer)
    return first, back, None, [None] * ctx.kept, None, None, None, None


pool.register_autograd(_pull_pool, setup_context=_keep_pool)
gather.register_autograd(_pull_gather, setup_context=_keep_gather)
