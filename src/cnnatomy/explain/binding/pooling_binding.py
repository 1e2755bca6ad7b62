"""Poolings: this package's modules, torch's own names, and `cnnatomy.pool`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy.backends.reference import computed_in
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.binding.binding_common import (
    Bound,
    Options,
    Run,
    batched,
    called,
    code,
    functional,
    needed,
    spatial,
    taken,
    tensor_of,
)
from cnnatomy.explain.families.padding_family import REPEATS, Padding
from cnnatomy.explain.families.pointwise_family import Subsampling
from cnnatomy.explain.families.pooling_family import Pooling
from cnnatomy.explain.families.staged import Staged
from cnnatomy.nn.importance_modules import LIPool2d
from cnnatomy.ops import pool
from cnnatomy.ops.padding import checked_mode
from cnnatomy.ops.routing import remembered
from cnnatomy.reducers import Reducer
from cnnatomy.reducers import reducer as by_name
from cnnatomy.regions import Boxes, Region, Sliding, given_region


def drop_in(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """torch's own names."""
    taken(options, {}, type(module).__name__)
    batch = batched(x, twin.rank)
    region = twin.where(batch)
    if region is None:
        what = f"torch computes this {type(module).__name__} in a way of its own"
        raise ArgumentError(what, expected="settings that this package has a kernel for", got=repr(module))
    return _pooling(code(module), batch, region, twin.what(), {}, functional(module, ()))


def subsample(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """LeNet-5's subsampling."""
    taken(options, {}, "Subsample2d")
    batch = batched(x, 2)
    region = twin.where(batch)
    inputs = {"x": batch, "weight": twin.weight, "bias": twin.bias}
    params = {"kernel": twin.kernel_size, "stride": twin.stride}
    call = called(code(module), "subsample", params, inputs, functional(module, ("weight", "bias")))
    return Bound(Subsampling(Pooling(call, region, twin.what())), 2)


def pool_module(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """This package's modules, over any region."""
    reducer: Reducer = twin.reducer if module.training else twin.reducer.settled()
    known = dict.fromkeys(twin.reducer.companions) | {"seed": 0}
    known |= {"boxes": None} if isinstance(twin.region, Boxes) else {}
    given = taken(options, known, type(module).__name__)
    batch, region = batched(x, twin.rank), twin.region
    if isinstance(region, Boxes):
        region = Boxes(needed(given, "boxes"), region.output_size, region.spatial_scale)
    if isinstance(twin, LIPool2d) and given["logits"] is None:
        with torch.no_grad():
            given["logits"] = twin.logits(batch)
    learned = {name: getattr(twin, name) for name in reducer.learns}
    return pooled(batch, region, reducer, given, learned, twin.padding_mode, code(module))


def pool_function(x: Tensor, options: Options) -> Bound:
    """`cnnatomy.pool`."""
    named = by_name(options.get("reducer", "max"))
    window = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}
    known: dict[str, Any] = {"reducer": named, "region": None, **window}
    known |= {"rank": None, "training": False, "seed": 0}
    known |= {"padding_mode": "clip"} | dict.fromkeys(named.takes)
    given = taken(options, known, "pool")
    region = remembered(given_region, given["region"], *(given[name] for name in window))
    mode = given["padding_mode"]
    rank = spatial(x, given["rank"], region)
    reducer = named if given["training"] else named.settled()
    learned = {name: torch.as_tensor(needed(given, name)) for name in reducer.learns}
    more = "".join(f", {name}={name}" for name in reducer.takes)
    more += f", padding_mode={mode!r}" if mode != "clip" else ""
    text = f"cnnatomy.pool(x, {reducer!r}, {region!r}{more})"
    return pooled(batched(x, rank), region, reducer, given, learned, mode, text)


def pooled(
    x: Tensor,
    region: Region,
    reducer: Reducer,
    given: Options,
    learned: Mapping[str, Tensor],
    mode: Any,
    text: str,
) -> Bound:
    """A pooling by `cnnatomy.pool`, drawn with a seed if it draws."""
    seed, rank = int(given["seed"]), x.dim() - 2
    beside = {
        name: batched(tensor_of(needed(given, name), name), rank, name).to(x.dtype)
        for name in reducer.companions
    }
    for name, one in beside.items():
        if one.shape != x.shape:
            raise ArgumentError(
                f"{name} does not fit", expected=str(tuple(x.shape)), got=str(tuple(one.shape))
            )

    def run(inputs: Mapping[str, Tensor], where: Region = region, how: Any = mode) -> Tensor:
        more: dict[str, Any] = {name: one for name, one in inputs.items() if name != "x"}
        y = pool(inputs["x"], reducer, where, rank=rank, training=True, seed=seed, padding_mode=how, **more)
        assert isinstance(y, Tensor), "no indices are asked for"
        return y

    bound = _pooling(text, x, region, reducer, {**beside, **learned}, run, seed, mode)
    known = mode if mode == "clip" else checked_mode(mode)
    if known in ("clip", "constant", *REPEATS):
        return bound
    return _bordered(bound, region, x, known, lambda inputs, where: run(inputs, where, "clip"), beside)


def _bordered(bound: Bound, region: Region, x: Tensor, mode: Any, run: Any, beside: Options) -> Bound:
    """A pooling over padding that is made of several cells: the padding is a step of its own."""
    if not isinstance(region, Sliding) or beside or region.ceil_mode:
        what = f"there is no explanation of padding_mode={mode!r} here"
        raise ArgumentError(what, expected=f"clip, constant, {', '.join(REPEATS)}")
    assert isinstance(bound.family, Pooling), "made above"
    call = bound.family.call
    widths = tuple(window.padding for window in region.windows(tuple(x.shape[2:])))
    bare = replace(region, padding=0)
    step = Padding(replace(call, inputs={"x": x}), widths, mode)
    step = replace(step, call=replace(step.call, run=lambda inputs: step.padded(inputs["x"])))
    inputs = {**call.inputs, "x": step.padded(x)}
    last = replace(bound.family, call=replace(call, inputs=inputs, run=lambda i: run(i, bare)), region=bare)
    return Bound(Staged(replace(last, padding_mode="clip"), step), bound.axes, call)


def _pooling(
    text: str,
    x: Tensor,
    region: Region,
    reducer: Reducer,
    more: Mapping[str, Tensor],
    run: Run,
    seed: int = 0,
    mode: Any = "clip",
) -> Bound:
    out = region.outputs(tuple(x.shape[2:]))  # raises if it does not fit
    params = {"reducer": repr(reducer), "region": repr(region)}
    params |= {"padding_mode": str(mode)} if mode != "clip" else {}
    wide = computed_in(x.dtype, reducer)
    call = called(text, reducer.name, params, {"x": x, **more}, run, wide)
    return Bound(Pooling(call, region, reducer, seed, mode), len(out))
