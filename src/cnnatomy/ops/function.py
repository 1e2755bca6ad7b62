"""The derivatives of pooling, for eager mode and `torch.func`.

Three linear maps, each the derivative of the next: `Pool` (forward), `Gather` (its backward: gradients of
outputs to inputs) and `along` (a tangent of the input to the output's: the winners' values, or the pooling
itself where it is linear).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from cnnatomy import backends
from cnnatomy.backends.layout import is_last
from cnnatomy.ops import library
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Region


def plain(x: Tensor) -> bool:
    """True for an ordinary tensor with data, which nobody watches."""
    ordinary = type(x) in (Tensor, torch.nn.Parameter) and x.device.type != "meta"
    return ordinary and torch._C._len_torch_dispatch_stack() == 0


def along(tangent: Tensor, saved: Tensor | None, region: Region, reducer: Reducer) -> Tensor:
    """The output's tangent for the input's, differentiable again."""
    if reducer.linear or saved is None:
        return Pool.apply(tangent, region, reducer)[0]  # type: ignore[no-untyped-call, no-any-return]
    return library.winners(tangent, saved, region.text)


class Pool(Function):
    """x -> (y, winners' taps or None)."""

    @staticmethod
    def forward(x: Tensor, region: Region, reducer: Reducer) -> tuple[Tensor, Tensor | None]:
        """Run the backend, keeping what the derivative needs."""
        if plain(x):
            return backends.forward(x, region, reducer, track=True)
        y, saved = library.pool(x, region.text, reducer.text)
        return y, saved if reducer.selects else None

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the taps: a byte for each output, and not the input."""
        x, ctx.region, ctx.reducer = inputs
        _, saved = output
        ctx.size, ctx.last = tuple(x.shape[2:]), is_last(x)
        if saved is not None:
            ctx.mark_non_differentiable(saved)
        ctx.save_for_backward(saved)
        ctx.save_for_forward(saved)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: Any) -> tuple[Any, ...]:
        """dx"""
        if grad is None:
            return None, None, None
        (saved,) = ctx.saved_tensors
        dx = Gather.apply(grad, saved, ctx.region, ctx.reducer, ctx.size, ctx.last)  # type: ignore[no-untyped-call]
        return dx, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor | None, *_: Any) -> tuple[Any, ...]:
        """dy along a tangent of x."""
        (saved,) = ctx.saved_tensors
        return None if tangent is None else along(tangent, saved, ctx.region, ctx.reducer), None

    @staticmethod
    def vmap(info: Any, dims: Any, x: Tensor, region: Region, reducer: Reducer) -> Any:
        """A batch of inputs is one larger input."""
        merged = x.movedim(dims[0], 0).flatten(0, 1)
        y, saved = Pool.apply(merged, region, reducer)  # type: ignore[no-untyped-call]
        split = (info.batch_size, -1)
        if saved is None:
            return (y.unflatten(0, split), None), (0, None)
        return (y.unflatten(0, split), saved.unflatten(0, split)), (0, 0)


class Gather(Function):
    """(dy, taps) -> dx, linear in dy."""

    @staticmethod
    def forward(
        grad: Tensor, saved: Tensor | None, region: Region, reducer: Reducer, size: Any, last: bool
    ) -> Tensor:
        """Run the backend."""
        if plain(grad):
            return backends.backward(grad, saved, region, reducer, size, last)
        taps = grad.new_empty(0) if saved is None else saved
        dx: Tensor = library.gather(grad, taps, region.text, reducer.text, list(size), last)
        return dx

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the taps."""
        _, saved, ctx.region, ctx.reducer, ctx.size, ctx.last = inputs
        ctx.save_for_backward(saved)
        ctx.save_for_forward(saved)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """The transpose of a gather is a tangent."""
        (saved,) = ctx.saved_tensors
        return along(grad, saved, ctx.region, ctx.reducer), None, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        """Linear, so the same map."""
        (saved,) = ctx.saved_tensors
        dx: Tensor = Gather.apply(tangent, saved, ctx.region, ctx.reducer, ctx.size, ctx.last)  # type: ignore[no-untyped-call]
        return dx

    @staticmethod
    def vmap(
        info: Any,
        dims: Any,
        grad: Tensor,
        saved: Tensor | None,
        region: Region,
        reducer: Reducer,
        size: Any,
        last: bool,
    ) -> Any:
        """A batch of gradients is one larger gradient."""

        def merge(t: Tensor, dim: int | None) -> Tensor:
            whole = t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
            return whole.flatten(0, 1)

        taps = None if saved is None else merge(saved, dims[1])
        dx = Gather.apply(merge(grad, dims[0]), taps, region, reducer, size, last)  # type: ignore[no-untyped-call]
        return dx.unflatten(0, (info.batch_size, -1)), 0
