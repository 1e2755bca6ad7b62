"""Paddings, resizings, unpoolings, and channels that become cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.explain.binding.binding_common import (
    Bound,
    Options,
    batched,
    called,
    code,
    fitting,
    functional,
    needed,
    settings,
    spatial,
    taken,
)
from cnnatomy.explain.families.padding_family import Padding
from cnnatomy.explain.families.resampling_family import Resized
from cnnatomy.explain.families.unpooling_family import Placing, Rearranging, Spreading
from cnnatomy.geometry.axis_resampling import Resampling
from cnnatomy.geometry.borders import pairs
from cnnatomy.ops import pad, resample, unpool, unpool_mean
from cnnatomy.ops.unpooling import input_size

TORCH_PADS = {
    "ZeroPad": "constant",
    "ConstantPad": "constant",
    "ReflectionPad": "reflect",
    "ReplicationPad": "edge",
    "CircularPad": "wrap",
}
"""torch's padding modules, without the number of axes in their names, and NumPy's name of each mode."""


def pad_module(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """This package's padding modules."""
    taken(options, {}, type(module).__name__)
    layer: Any = module
    return _padding(
        code(layer), batched(x, layer.rank), layer.padding, layer.mode, layer.options, functional(layer, ())
    )


def torch_pad(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """torch's padding modules."""
    taken(options, {}, type(module).__name__)
    layer: Any = module
    mode = TORCH_PADS[type(layer).__name__[:-2]]
    flat = layer.padding
    widths = tuple(zip(flat[::2], flat[1::2], strict=True))[::-1]
    own = {"constant_values": layer.value} if hasattr(layer, "value") else {}
    return _padding(code(layer), batched(x, len(widths)), widths, mode, own, functional(layer, ()))


def pad_function(x: Tensor, options: Options) -> Bound:
    """`cnnatomy.pad` of the last axes."""
    own = ("constant_values", "end_values", "stat_length", "reflect_type")
    given = taken(options, {"widths": None, "mode": "constant", **dict.fromkeys(own)}, "pad")
    widths = needed(given, "widths")
    several = isinstance(widths, Sequence) and any(isinstance(one, Sequence) for one in widths)
    rank = len(widths) if several else x.dim()
    if not 1 <= rank <= 3:
        raise ArgumentError(
            "one to three axes are explained",
            expected="as many pairs",
            got=f"{rank} axes",
            hint="widths=((1, 1), (1, 1))",
        )
    known = {name: given[name] for name in own if given[name] is not None}
    every = pairs(widths, rank, "widths", least=None)
    more = "".join(f", {name}={value!r}" for name, value in known.items())
    text = f"cnnatomy.pad(x, {every!r}, {given['mode']!r}{more})"

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        return pad(inputs["x"], every, given["mode"], axes=tuple(range(2, rank + 2)), **known)

    return _padding(text, batched(x, rank), every, given["mode"], known, run)


def _padding(text: str, x: Tensor, widths: Any, mode: Any, own: Options, run: Any) -> Bound:
    rank = x.dim() - 2
    params = {"widths": str(widths), "mode": str(mode), **{name: str(value) for name, value in own.items()}}
    call = called(text, "pad", params, {"x": x}, run)
    family = Padding(call, pairs(widths, rank, "widths", least=None, each=True), mode, own)
    return Bound(family, rank, call)


def resample_module(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """This package's resizing modules."""
    taken(options, {}, type(module).__name__)
    layer: Any = module
    own = {"antialias": False, "coordinates": None, "coefficient": None, **layer.options}
    return _resized(
        code(layer), batched(x, layer.rank), layer.method, own, layer.scale_factor, functional(layer, ())
    )


def upsample(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """torch's `Upsample`, and this package's."""
    taken(options, {}, type(module).__name__)
    layer, rank = twin, x.dim() - 2 if x.dim() > 2 else x.dim()
    names = ("antialias", "coordinates", "coefficient", "_own")
    for name, usual in zip(names, (False, None, None, False), strict=True):
        if not hasattr(layer, name):
            setattr(layer, name, usual)
    own = {"antialias": layer.antialias, "coordinates": layer._lie, "coefficient": layer.coefficient}
    scale = None if layer.recompute_scale_factor else layer.scale_factor
    return _resized(code(module), batched(x, rank), layer._method, own, scale, functional(module, ()))


def resample_function(x: Tensor, options: Options) -> Bound:
    """`cnnatomy.resample`."""
    own = {"antialias": False, "coordinates": None, "coefficient": None}
    given = taken(
        options,
        {"output_size": None, "scale_factor": None, "method": "linear", "rank": None, **own},
        "resample",
    )
    rank = spatial(
        x, given["rank"], given["output_size"] if given["scale_factor"] is None else given["scale_factor"]
    )
    how = {name: given[name] for name in own}

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        return resample(
            inputs["x"], given["output_size"], given["scale_factor"], given["method"], rank=rank, **how
        )

    size = (
        f"output_size={given['output_size']!r}"
        if given["scale_factor"] is None
        else f"scale_factor={given['scale_factor']!r}"
    )
    more = "".join(f", {name}={value!r}" for name, value in how.items() if value != own[name])
    text = f"cnnatomy.resample(x, {size}, method={given['method']!r}{more})"
    return _resized(text, batched(x, rank), given["method"], how, given["scale_factor"], run)


def _resized(text: str, x: Tensor, method: str, own: Options, scale: Any, run: Any) -> Bound:
    rank = x.dim() - 2
    scales = None
    if scale is not None:
        each = tuple(scale) if isinstance(scale, Sequence) else (scale,) * rank
        scales = tuple(float(one) for one in each)
    how = Resampling(method, own["coordinates"], own["antialias"], own["coefficient"], scales)
    size = fitting("resample", run, {"x": x})[2:]
    call = called(text, "resample", {"how": how.text, "size": str(size)}, {"x": x}, run)
    return Bound(Resized(call, how, size), rank)


def unpool_module(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """This package's unpooling by indices."""
    given = taken(options, {"indices": None, "output_size": None}, type(module).__name__)
    layer: Any = module
    return _placed(
        code(layer),
        batched(x, layer.rank),
        needed(given, "indices"),
        lambda y, i: layer(y, i, given["output_size"]),
    )


def max_unpool(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """torch's unpooling by indices."""
    given = taken(options, {"indices": None, "output_size": None}, type(module).__name__)
    layer: Any = module
    rank = int(type(layer).__name__[-2])
    return _placed(
        code(layer),
        batched(x, rank),
        needed(given, "indices"),
        lambda y, i: layer(y, i, given["output_size"]),
    )


def unpool_function(x: Tensor, options: Options) -> Bound:
    """`cnnatomy.unpool`."""
    given = taken(options, {"indices": None, "output_size": None, "region": None, "rank": None}, "unpool")
    size, region = given["output_size"], given["region"]
    rank = spatial(x, given["rank"], size, region)
    text = f"cnnatomy.unpool(x, indices, output_size={size!r}, region={region!r})"
    return _placed(
        text,
        batched(x, rank),
        needed(given, "indices"),
        lambda y, i: unpool(y, i, size, region=region, rank=rank),
    )


def _placed(text: str, y: Tensor, indices: Any, place: Any) -> Bound:
    rank = y.dim() - 2
    where = torch.as_tensor(indices, dtype=torch.int64)
    if where.numel() != y.numel():
        raise ArgumentError(
            "indices do not fit the values", expected=f"{y.numel()} of them", got=str(where.numel())
        )
    where = where.reshape(y.shape)
    call = called(text, "unpool", {}, {"x": y}, lambda inputs: place(inputs["x"], where))
    size = tuple(place(y.to("meta"), where.to("meta")).shape[2:])
    return Bound(Placing(call, where, size), rank)


def mean_unpool(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """The adjoint of mean pooling, as a module."""
    given = taken(options, {"output_size": None}, type(module).__name__)
    layer: Any = module
    return _spread(code(layer), batched(x, layer.rank), layer.region, given["output_size"], layer.normalize)


def unpool_mean_function(x: Tensor, options: Options) -> Bound:
    """`cnnatomy.unpool_mean`."""
    given = taken(
        options, {"region": None, "output_size": None, "normalize": False, "rank": None}, "unpool_mean"
    )
    region, size = needed(given, "region"), given["output_size"]
    rank = spatial(x, given["rank"], size, region)
    text = f"cnnatomy.unpool_mean(x, {region!r}, {size!r}, normalize={given['normalize']!r})"
    return _spread(text, batched(x, rank), region, size, given["normalize"])


def _spread(text: str, y: Tensor, region: Any, size: Any, normalize: bool) -> Bound:
    cells = input_size(tuple(y.shape[2:]), size, region)

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        return unpool_mean(inputs["x"], region, cells, normalize=normalize, rank=len(cells))

    params = {"region": repr(region), "normalize": normalize}
    return Bound(
        Spreading(called(text, "unpool_mean", params, {"x": y}, run), region, cells, normalize), len(cells)
    )


def shuffle(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """Channels that become cells, or cells that become channels."""
    taken(options, {}, type(module).__name__)
    call = called(
        code(module),
        "rearrange",
        settings(module, ("upscale_factor", "downscale_factor")),
        {"x": batched(x, 2)},
        functional(module, ()),
    )
    return Bound(Rearranging(replace(call)), 2)
