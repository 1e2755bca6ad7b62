"""The derivatives of pooling, for eager mode and `torch.func`.

`Pool` is the forward pass, and `Gather` its backward: gradients of outputs to inputs, linear in them. Where
the pooling is linear or selects, the derivative of `Gather` is the pooling of a tangent, or the tangent at
the winners; elsewhere it goes through the reducer's definition. `Eager` is both at the least cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import unwrap_if_dead
from torch.autograd import Function

from cnnatomy import backends
from cnnatomy.backends import reference
from cnnatomy.backends.pooled import Pooled, curved
from cnnatomy.ops import library
from cnnatomy.ops.routing import batched, each, plain
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Region

Tensors = tuple[Tensor, ...]


def run(inputs: Sequence[Tensor], region: Region, reducer: Reducer, seed: Tensor | None) -> Tensors:
    """(y, *saved), differentiable."""
    found: Tensors = Pool.apply(region, reducer, seed, *inputs)  # type: ignore[no-untyped-call]
    return found


def along(tangent: Tensor, saved: Tensors, pooled: Pooled) -> Tensor:
    """The output's tangent for the input's, of a pooling that is linear or selects."""
    if pooled.reducer.linear:
        return run((tangent,), pooled.region, pooled.reducer, None)[0]
    return library.winners(tangent, saved[0], pooled.region.text)


def pushed(function: Callable[..., Any], inputs: Tensors, tangents: Sequence[Tensor | None]) -> Any:
    """The tangent of function(*inputs), from reverse mode alone: the derivative of its pull-back."""
    results, pull, *_ = torch.func.vjp(function, *inputs)
    zeros = torch.utils._pytree.tree_map(torch.zeros_like, results)
    full = tuple(
        torch.zeros_like(value) if tangent is None else tangent
        for value, tangent in zip(inputs, tangents, strict=True)
    )
    return torch.func.vjp(pull, zeros)[1](full)[0]


class Eager(Function):
    """Pooling outside of transforms, in the form of a function that costs least: y alone is its output."""

    @staticmethod
    def forward(
        ctx: Any, region: Region, reducer: Reducer, seed: Tensor | None, out: list[Tensor], *inputs: Tensor
    ) -> Tensor:
        """Run the backend, keeping what the derivative needs; what is saved is also put into `out`."""
        y, saved = backends.forward(inputs, region, reducer, True, seed)
        ctx.pooled = pooled = Pooled.of(inputs[0], region, reducer)
        ctx.save_for_backward(*pooled.keep(inputs, y, saved).tensors)
        out += saved
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """dx, and the companions' gradients; as a function of its own only if it is differentiated again."""
        pooled, tensors = ctx.pooled, ctx.saved_tensors
        if torch.is_grad_enabled() or not plain(grad):
            found = Gather.apply(pooled, grad, *tensors)  # type: ignore[no-untyped-call]
        else:
            found = backends.backward(grad, pooled.kept(tensors), pooled)
        return None, None, None, None, *found


_apply: Callable[..., Tensor] = super(Function, Eager).apply  # without its search for transforms


def eager(
    inputs: Sequence[Tensor], region: Region, reducer: Reducer, seed: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """(y, saved), differentiable, where no transform is at work."""
    saved: list[Tensor] = []
    y = _apply(region, reducer, seed, saved, *[unwrap_if_dead(tensor) for tensor in inputs])
    return y, saved


class Pool(Function):
    """(x, companions) -> (y, saved)."""

    @staticmethod
    def forward(region: Region, reducer: Reducer, seed: Tensor | None, *inputs: Tensor) -> Tensors:
        """Run the backend, keeping what the derivative needs."""
        if batched(inputs[0]):
            return each(partial(Pool.forward, region, reducer, seed), *inputs)
        if plain(inputs[0]):
            y, saved = backends.forward(inputs, region, reducer, True, seed)
            return y, *saved
        return tuple(library.pool(list(inputs), seed, region.text, reducer.text, False))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the taps: a byte for each output; and the input only where the gradient depends on it."""
        region, reducer, _, *tensors = inputs
        y, *saved = output
        ctx.pooled = Pooled.of(tensors[0], region, reducer)
        kept = ctx.pooled.keep(tensors, y, tuple(saved)).tensors
        ctx.mark_non_differentiable(*saved)
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*kept)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Any, ...]:
        """dx, and the companions' gradients."""
        if grad is None:
            return (None,) * (4 + len(ctx.pooled.reducer.companions))
        found: Tensors = Gather.apply(ctx.pooled, grad, *ctx.saved_tensors)  # type: ignore[no-untyped-call]
        return None, None, None, *found

    @staticmethod
    def jvp(ctx: Any, region: Any, reducer: Any, seed: Any, *moved: Any) -> tuple[Any, ...]:
        """dy along tangents of x and its companions."""
        kept, pooled = ctx.saved_tensors, ctx.pooled
        rest = (None,) * len(pooled.reducer.saves)
        if all(tangent is None for tangent in moved):
            return None, *rest
        if not curved(pooled.reducer):
            return along(moved[0], kept, pooled), *rest

        def define(*inputs: Tensor) -> Tensor:
            return reference.forward(inputs, pooled.region, pooled.reducer)[0]

        return pushed(define, kept[: pooled.held], moved), *rest

    @staticmethod
    def vmap(info: Any, dims: Any, region: Region, reducer: Reducer, seed: Any, *inputs: Tensor) -> Any:
        """A batch of inputs is one larger input; draws are made for each entry as if it were alone."""
        _, _, drawn, *axes = dims
        split = [_entries(tensor, dim, info.batch_size) for tensor, dim in zip(inputs, axes, strict=True)]
        if reducer.draws:
            seeds = [seed if drawn is None else seed.select(drawn, i) for i in range(info.batch_size)]
            entries = zip(*split, strict=True)
            each = [run(entry, region, reducer, own) for entry, own in zip(entries, seeds, strict=True)]
            stacked = tuple(torch.stack(parts) for parts in zip(*each, strict=True))
            return stacked, (0,) * len(stacked)
        found = run([part.flatten(0, 1) for part in split], region, reducer, seed)
        return _split(found, info.batch_size), (0,) * len(found)


def _split(merged: Tensors, size: int) -> Tensors:
    return tuple(part.view(size, -1, *part.shape[1:]) for part in (each.contiguous() for each in merged))


def _entries(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


class Gather(Function):
    """(dy, x, companions, y, saved) -> (dx, gradients of companions), linear in dy."""

    @staticmethod
    def forward(pooled: Pooled, grad: Tensor, *kept: Tensor) -> Tensors:
        """Run the backend."""
        if batched(grad):
            return each(partial(Gather.forward, pooled), grad, *kept)
        if plain(grad):
            return backends.backward(grad, pooled.kept(kept), pooled)
        return library.gathered(grad, pooled.kept(kept), pooled)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep everything."""
        ctx.pooled, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *pulls: Tensor) -> tuple[Any, ...]:
        """The transpose of a gather is a tangent."""
        (grad, *kept), pooled = ctx.saved_tensors, ctx.pooled
        rest = (None,) * (len(kept) - pooled.held)
        if not curved(pooled.reducer):
            return None, along(pulls[0], tuple(kept), pooled), *rest
        inputs = kept[: pooled.held]
        return None, *library.second(pulls, grad, inputs, pooled.region, pooled.reducer), *rest

    @staticmethod
    def jvp(ctx: Any, _: Any, moved: Any, *others: Any) -> Tensors:
        """Linear in dy, so the same map; through the definition where x matters."""
        (grad, *kept), pooled = ctx.saved_tensors, ctx.pooled
        if not curved(pooled.reducer):
            found: Tensors = Gather.apply(pooled, moved, *kept)  # type: ignore[no-untyped-call]
            return found

        def pull(grad: Tensor, *inputs: Tensor) -> Tensors:
            return reference.backward(grad, inputs, pooled.region, pooled.reducer)

        held = pooled.held
        result: Tensors = pushed(pull, (grad, *kept[:held]), (moved, *others[:held]))
        return result

    @staticmethod
    def vmap(info: Any, dims: Any, pooled: Pooled, *tensors: Tensor) -> Any:
        """A batch of gradients is one larger gradient."""
        _, *axes = dims
        merged = [
            _entries(tensor, dim, info.batch_size).flatten(0, 1)
            for tensor, dim in zip(tensors, axes, strict=True)
        ]
        found = Gather.apply(pooled, *merged)  # type: ignore[no-untyped-call]
        return tuple(dx.unflatten(0, (info.batch_size, -1)) for dx in found), (0,) * len(found)
