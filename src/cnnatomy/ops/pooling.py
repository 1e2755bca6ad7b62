"""Pooling as an operator: `pool`, and the ways a call can take.

- Plain tensors go to the backend directly, through an `autograd.Function` only if a derivative is wanted.
- Under a compiler, an exporter, a tensor subclass or a dispatch mode, `torch.ops.cnnatomy.pool` stands in the
  graph instead (`library.py`).
- Poolings made of others, and regions made of others, come back here for each of their parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function, has_torch_function_unary

from cnnatomy import backends
from cnnatomy.backends.reference import computed_in, rounded
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.padding_rules import Rule
from cnnatomy.ops import function, library
from cnnatomy.ops.padded_pooling import bordered
from cnnatomy.ops.padding import Mode
from cnnatomy.ops.routing import batched, demand_dense, plain, remembered, spatial_axes, transformed
from cnnatomy.reducers import Reducer, demand_first
from cnnatomy.reducers import reducer as by_name
from cnnatomy.reducers.shared.noise import noise
from cnnatomy.reducers.shared.spectral import full_precision
from cnnatomy.regions import Composite, Given, Region, given_region

Sizes = int | Sequence[int]
Pooled = tuple[Tensor, Tensor | None]
KINDS = (*backends.FLOATING, *backends.INTEGERS)
"""The dtypes that are pooled."""

_ODD = 0x1E3779B97F4A7C15


def pool(
    x: Tensor,
    reducer: Reducer | str,
    region: Given | None = None,
    stride: Sizes | None = None,
    padding: Rule | Sequence[Rule] = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    *,
    return_indices: bool = False,
    rank: int | None = None,
    training: bool = False,
    seed: int | Tensor | None = None,
    padding_mode: Mode = "clip",
    **inputs: Tensor,
) -> Any:
    """Reduce every region of every channel to one value: y[n, c, o] = reducer(x[n, c, i] for i in region(o)).

    Padding adds no value to a region: its taps are dropped, unless `padding_mode` says what lies there. A NaN
    wins in every reducer.

    Args:
        x: (N, C, *spatial) with one to three spatial axes; three axes, or (C, *spatial), if `rank` says so.
        reducer: what each output computes, or its name in the registry.
        region: where each output reads: the size of a window, an int for all axes or one per axis (.., y, x);
            `"global"`, the whole map; or any region, such as `Adaptive(7)`.
        stride, padding, dilation, ceil_mode: those of a window, as `Sliding` has them.
        return_indices: also give the flat index, among the input's spatial cells, of every winner (int64; -1
            for a region without any tap). Only for reducers that select.
        rank: the number of spatial axes; as many as the region has entries, or all but the first two of four
            or five axes, if left out.
        training: let reducers that draw do so; otherwise their expectation stands for them.
        seed: where draws come from; of torch's generator if left out. Equal seeds draw equally.
        padding_mode: `"clip"`, or what is in the padding of a `Sliding` region: any mode of `cnnatomy.pad`,
            by NumPy's name or torch's. Companions are padded alike.
        inputs: what else the reducer takes: companions of x's shape, and learned parameters.

    Returns:
        y (N, C, *region.outputs(spatial)), in the dtype and memory format of x; with `return_indices` the
        pair (y, indices). Integers are computed in float64 and rounded to the nearest, halves up, as
        `resample` does; what lies beyond the dtype becomes its end, and a region without any tap 0.

    Raises:
        ArgumentError: x has no such axes, or three that can be read in two ways; the region does not fit, the
            reducer selects nothing, or it takes other inputs.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.arange(16.0).view(1, 1, 4, 4)
        >>> cnnatomy.pool(x, "max", 2)
        tensor([[[[ 5.,  7.],
                  [13., 15.]]]])
        >>> cnnatomy.pool(x, cnnatomy.GeM(p=1.0), 2, stride=1).shape
        torch.Size([1, 1, 3, 3])
        >>> cnnatomy.pool(x, "mean", "global").item()
        7.5
    """
    if isinstance(region, Region) and stride is None and padding == 0 and dilation == 1 and not ceil_mode:
        where = region
    else:
        where = _where(reducer, region, (stride, padding, dilation, ceil_mode), inputs)
    if has_torch_function((x, *inputs.values())) if inputs else has_torch_function_unary(x):
        options = {"return_indices": return_indices, "rank": rank, "training": training, "seed": seed}
        everything: dict[str, Any] = {**options, "padding_mode": padding_mode, **inputs}
        return handle_torch_function(pool, (x, *inputs.values()), x, reducer, where, **everything)
    demand_dense("pooling", x, KINDS)
    what = reducer if isinstance(reducer, Reducer) else by_name(reducer)
    if not training:
        what = what.settled()
    spatial = spatial_axes("pooling", x, rank, where.rank)
    if return_indices and not what.selects:
        raise ArgumentError(f"{what.name} pooling selects no input", hint="return_indices=False")
    single = x.dim() == spatial + 1
    if single and not where.keeps_batch:
        expected = "(N, C, *spatial)"
        raise ArgumentError("this region names images", expected=expected, got=f"shape {tuple(x.shape)}")
    batch = x.unsqueeze(0) if single else x
    whole = x.dtype in backends.INTEGERS and not (what.selects or what.mixes)
    if whole:
        batch = batch.to(computed_in(x.dtype, what))
    companions, learned = _taken(what, batch, inputs, single) if inputs or what.takes else ((), {})
    tensors = (batch, *companions)
    if padding_mode == "clip":
        y, indices = _pooled(tensors, where, what, return_indices, seed, learned)
    else:
        y, indices = _bordered(tensors, where, what, return_indices, seed, learned, padding_mode)
    if single:
        y, indices = y.squeeze(0), None if indices is None else indices.squeeze(0)
    if whole:
        y = rounded(y, x.dtype)
    return (y, indices) if return_indices else y


def _where(
    reducer: object, region: Given | None, window: tuple[Any, ...], inputs: Mapping[str, Any]
) -> Region:
    """The region that a call means.

    Raises:
        ArgumentError: it has none, or has it before the reducer.
    """
    demand_first("pool(x, ", reducer, region)
    if region is None:
        hint = f"pool(x, {reducer!r}, {inputs.get('kernel_size', 2)!r})"
        raise ArgumentError("pool does not say over which region", expected="a window's size", hint=hint)
    found: Region = remembered(given_region, region, *window)
    return found


def _taken(
    reducer: Reducer, x: Tensor, inputs: Mapping[str, Tensor], single: bool
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """What the reducer takes beside x: companions of its shape, and parameters that broadcast with it."""
    if set(inputs) != set(reducer.takes):
        raise ArgumentError(
            f"{reducer.name} pooling takes other inputs",
            expected=" and ".join(f"{name}=" for name in reducer.takes) or "none",
            got=" and ".join(f"{name}=" for name in inputs) or "none",
        )
    companions: list[Tensor] = []
    learned: dict[str, Tensor] = {}
    for name in reducer.companions:
        beside = inputs[name].unsqueeze(0) if single else inputs[name]
        if beside.shape != x.shape:
            expected = f"the shape of x, {tuple(x.shape)}"
            raise ArgumentError(f"{name} does not fit", expected=expected, got=str(tuple(beside.shape)))
        companions.append(beside.to(x.dtype))
    for one in reducer.parameters:
        values = inputs[one.name]
        if not one.fits(values.numel(), x.shape[1]):
            expected = one.expected(x.shape[1])
            raise ArgumentError(f"{one.name} does not fit", expected=expected, got=str(tuple(values.shape)))
        learned[one.name] = values.reshape(-1, *(1,) * (0 if one.per == "rank" else x.dim() - 2))
    return companions, learned


def _bordered(
    tensors: Sequence[Tensor],
    region: Region,
    reducer: Reducer,
    indices: bool,
    seed: int | Tensor | None,
    learned: Mapping[str, Tensor],
    mode: Mode,
) -> Pooled:
    """Pool over padding that holds what the mode says."""
    size = region.outputs(tuple(tensors[0].shape[2:]))
    wider, unpadded = bordered(tensors, region, mode, indices)
    y, _ = _pooled(wider, unpadded, reducer, indices, seed, learned)
    for axis, n in enumerate(size if unpadded.ceil_mode else (), 2):  # no window begins in the padding
        y = y.narrow(axis, 0, n)
    return y, None


def _pooled(
    tensors: Sequence[Tensor],
    region: Region,
    reducer: Reducer,
    indices: bool,
    seed: int | Tensor | None,
    learned: Mapping[str, Tensor],
) -> Pooled:
    """Pool x, the first of `tensors`, with its companions, over any region."""
    if region.composite or reducer.mixes or reducer.blended:
        with full_precision(tensors[0]):
            return _composed(tensors, region, reducer, indices, seed, learned)
    source = _source(seed, tensors[0]) if reducer.draws else None
    y, saved = _kernel(tensors, region, reducer, indices, source)
    if not indices:
        return y, None
    return y, library.indices(saved[0], region.text, list(tensors[0].shape[2:]))


def _composed(
    tensors: Sequence[Tensor],
    region: Region,
    reducer: Reducer,
    indices: bool,
    seed: int | Tensor | None,
    learned: Mapping[str, Tensor],
) -> Pooled:
    """Pool over a region, or with a reducer, that is made of others."""
    if isinstance(region, Composite):
        first = _source(seed, tensors[0]) if reducer.draws else None
        parts = count()

        def part(joined: Tensor, one: Region) -> Pooled:
            own = None if first is None else part_seed(first, next(parts))
            apart = joined.chunk(len(tensors), 1) if companions else (joined,)
            return _pooled(apart, one, reducer, indices, own, learned)

        companions = len(tensors) > 1  # are pooled beside x, as more of its channels
        return region.compose(torch.cat(list(tensors), 1) if companions else tensors[0], part)
    if reducer.mixes:
        return reducer.across(tensors[0], region), None

    def other(x: Tensor, what: Reducer) -> Tensor:
        return _pooled([x], region, what, False, seed, {})[0]

    x = tensors[0]
    if reducer.draws:
        drawn = noise(_source(seed, x), (1, 1), x.device)
        learned = {**learned, "draw": drawn.view(())}
    wide = x.to(computed_in(x.dtype, reducer)) if learned else x
    return reducer.blend(wide, other, learned).to(x.dtype), None


def _source(seed: int | Tensor | None, x: Tensor) -> Tensor:
    """The seed of a call's draws, as a tensor of 64 bits where x is."""
    if seed is None:
        return torch.randint(-(2**63), 2**63 - 1, (), dtype=torch.int64, device=x.device)
    if isinstance(seed, Tensor):
        return seed
    return torch.tensor((seed + 2**63) % 2**64 - 2**63, dtype=torch.int64, device=x.device)


def part_seed(seed: Tensor, part: int) -> Tensor:
    """The seed of one part of a region that is made of others: parts draw apart."""
    return seed + part * _ODD


def _kernel(
    tensors: Sequence[Tensor], region: Region, reducer: Reducer, indices: bool, seed: Tensor | None
) -> tuple[Tensor, Sequence[Tensor]]:
    x = tensors[0]
    if not is_dynamo_compiling() and plain(x) and not transformed():  # the usual call: see to what it costs
        learns = x.requires_grad or (len(tensors) > 1 and any(tensor.requires_grad for tensor in tensors))
        if learns and torch.is_grad_enabled():
            return function.eager(tensors, region, reducer, seed)
        return backends.forward(tensors, region, reducer, indices, seed)
    if not torch.compiler.is_compiling() and (transformed() or batched(x)):
        y, *saved = function.run(tensors, region, reducer, seed)
    else:
        y, *saved = library.pool(list(tensors), seed, region.text, reducer.text, indices)
    return y, saved
