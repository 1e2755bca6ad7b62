"""Convolutions, their transposes, and modules that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    taken,
    tensor_of,
)
from cnnatomy.explain.families.convolution_family import Convolving, Transposing, Wiring
from cnnatomy.explain.families.padding_family import REPEATS, Padding
from cnnatomy.explain.families.staged import Staged
from cnnatomy.geometry import Window, paddings, per_axis, resolve
from cnnatomy.nn.wiring import scattered
from cnnatomy.ops import convolve, convolve_transposed
from cnnatomy.ops.padding import checked_mode

_SETTINGS = ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode", "output_padding")


def convolution(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """A convolution of torch or of this package."""
    taken(options, {}, type(module).__name__)
    layer: Any = module
    rank = len(layer.kernel_size)
    names = ("weight", "bias") if layer.bias is not None else ("weight",)
    inputs = {"x": batched(x, rank), **{name: getattr(layer, name) for name in names}}
    rules = getattr(layer, "rules", None) or paddings(layer.padding, rank)
    mode = getattr(layer, "mode", None) or checked_mode(layer.padding_mode)
    params = settings(layer, _SETTINGS)
    call = called(code(layer), "convolve", params, inputs, functional(layer, names))
    axes = layer.stride, rules, layer.dilation
    return _bound(call, layer.out_channels, layer.groups, getattr(layer, "places", None), axes, mode)


def convolve_function(x: Tensor, options: Options) -> Bound:
    """`cnnatomy.convolve`."""
    known = {"weight": None, "bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    given = taken(options, {**known, "padding_mode": "zeros"}, "convolve")
    weight = tensor_of(needed(given, "weight"), "weight")
    rank = weight.dim() - 2
    inputs = {"x": batched(x, rank), "weight": weight}
    if given["bias"] is not None:
        inputs["bias"] = tensor_of(given["bias"], "bias")
    rest = {name: given[name] for name in ("stride", "padding", "dilation", "groups", "padding_mode")}

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        return convolve(inputs["x"], inputs["weight"], inputs.get("bias"), **rest)

    text = "cnnatomy.convolve(x, weight, bias" + "".join(f", {k}={v!r}" for k, v in rest.items()) + ")"
    call = called(text, "convolve", {k: str(v) for k, v in rest.items()}, inputs, run)
    axes = (
        per_axis(rest["stride"], rank, "stride"),
        paddings(rest["padding"], rank),
        per_axis(rest["dilation"], rank, "dilation"),
    )
    return _bound(call, len(weight), rest["groups"], None, axes, checked_mode(rest["padding_mode"]))


def fixed_filter(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """A filter that is not learned, on every channel by itself."""
    taken(options, {}, type(module).__name__)
    layer: Any = module
    batch = batched(x, layer.kernel.dim())
    channels = batch.shape[1]
    weight = layer.kernel.to(batch.dtype).expand(channels, 1, *layer.kernel.shape)
    axes = layer.stride, layer.padding, layer.dilation

    call = called(
        code(layer),
        "filter",
        settings(layer, ("stride", "padding", "dilation", "padding_mode")),
        {"x": batch, "weight": weight},
        functional(layer, ()),
    )
    return _bound(call, channels, channels, None, axes, layer.padding_mode, fixed=True)


def _bound(
    call: Any, outputs: int, groups: int, places: Tensor | None, axes: Any, mode: Any, fixed: bool = False
) -> Bound:
    x, weight = call.inputs["x"], call.inputs["weight"]
    if places is not None and not bool(x.isfinite().all()):
        what = "absent connections are weights of 0, which a NaN or an infinity passes"
        raise ArgumentError(what, expected="finite numbers in x")
    stride, rules, dilation = axes
    size, kernel = tuple(x.shape[2:]), tuple(weight.shape[2 if places is None else 1 :])
    windows = tuple(
        Window(k, s, resolve(rule, n, k, s, d), d)
        for n, k, s, rule, d in zip(size, kernel, stride, rules, dilation, strict=True)
    )
    wired = wiring(x.shape[1], outputs, groups, places)
    if not any(sum(window.padding) for window in windows):
        mode = "constant"
    if mode == "constant" or mode in REPEATS:
        return Bound(Convolving(call, wired, outputs, windows, mode, fixed=fixed), len(size))
    widths = tuple(window.padding for window in windows)
    step = Padding(replace(call, name="pad", inputs={"x": x}), widths, mode)
    step = replace(step, call=replace(step.call, run=lambda inputs: step.padded(inputs["x"])))

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        dense = inputs["weight"]
        if places is not None:
            dense = scattered(dense, places, (outputs, x.shape[1]))
        return convolve(inputs["x"], dense, inputs.get("bias"), stride, 0, dilation, groups)

    bare = tuple(replace(window, padding=(0, 0)) for window in windows)
    inner = replace(call, inputs={**call.inputs, "x": step.padded(x)}, run=run)
    return Bound(Staged(Convolving(inner, wired, outputs, bare, fixed=fixed), step), len(size), call)


def wiring(
    inputs: int, outputs: int, groups: int, places: Tensor | None, back: bool = False
) -> Callable[[int], Wiring]:
    """Which input channels each output channel reads."""
    if places is None:
        return lambda channel: Wiring.grouped(inputs, outputs, groups, channel, back)
    return lambda channel: Wiring.connected(places, inputs, outputs, channel, back)


def transposed(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """A transposed convolution of torch or of this package."""
    given = taken(options, {"output_size": None}, type(module).__name__)
    layer: Any = module
    rank = len(layer.kernel_size)
    names = ("weight", "bias") if layer.bias is not None else ("weight",)
    inputs = {"x": batched(x, rank), **{name: getattr(layer, name) for name in names}}
    more = () if given["output_size"] is None else (given["output_size"],)
    run = functional(layer, names, *more)
    call = called(code(layer), "transpose", settings(layer, _SETTINGS), inputs, run)
    rules = getattr(layer, "rules", None) or paddings(layer.padding, rank)
    places = getattr(layer, "places", None)
    wired = wiring(inputs["x"].shape[1], layer.out_channels, layer.groups, places, True)
    return _transposing(
        call, layer.out_channels, wired, layer.kernel_size, layer.stride, rules, layer.dilation, bool(more)
    )


def transposed_function(x: Tensor, options: Options) -> Bound:
    """`cnnatomy.convolve_transposed`."""
    known = {"weight": None, "bias": None, "stride": 1, "padding": 0, "output_padding": 0, "groups": 1}
    given = taken(options, {**known, "dilation": 1, "output_size": None}, "convolve_transposed")
    weight = tensor_of(needed(given, "weight"), "weight")
    rank = weight.dim() - 2
    inputs = {"x": batched(x, rank), "weight": weight}
    if given["bias"] is not None:
        inputs["bias"] = tensor_of(given["bias"], "bias")
    rest = {name: value for name, value in given.items() if name not in ("weight", "bias")}

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        return convolve_transposed(inputs["x"], inputs["weight"], inputs.get("bias"), **rest)

    text = (
        "cnnatomy.convolve_transposed(x, weight, bias"
        + "".join(f", {k}={v!r}" for k, v in rest.items())
        + ")"
    )
    call = called(text, "transpose", {k: str(v) for k, v in rest.items()}, inputs, run)
    outputs = weight.shape[1] * rest["groups"]
    wired = wiring(inputs["x"].shape[1], outputs, rest["groups"], None, True)
    stride, dilation = (per_axis(rest[name], rank, name) for name in ("stride", "dilation"))
    rules, wanted = paddings(rest["padding"], rank), rest["output_size"] is not None
    return _transposing(call, outputs, wired, weight.shape[2:], stride, rules, dilation, wanted)


def _transposing(
    call: Any, outputs: int, wired: Any, kernel: Any, stride: Any, rules: Any, dilation: Any, wanted: bool
) -> Bound:
    inner = tuple(call.inputs["x"].shape[2:])
    size = fitting(call.name, call.run, call.inputs)[2:]
    windows = []
    for n, m, k, s, rule, d in zip(inner, size, kernel, stride, rules, dilation, strict=True):
        windows.append(
            Window(k, s, resolve(rule, m if wanted or rule in ("same", "keep") else n, k, s, d), d)
        )
    return Bound(Transposing(call, wired, outputs, tuple(windows), size), len(inner))


def subpixel(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """A convolution whose channels become cells."""
    layer: Any = module
    inner = convolution(layer.conv, layer.conv, x, options)
    family = inner.family
    if not isinstance(family, Convolving):
        raise ArgumentError(
            "there is no explanation of this sub-pixel convolution",
            expected="zeros or repeated cells in its padding",
        )
    names = ("conv.weight", "conv.bias") if layer.conv.bias is not None else ("conv.weight",)

    def whole(inputs: Mapping[str, Tensor]) -> Tensor:
        own = {name: inputs[name.removeprefix("conv.")] for name in names}
        y: Tensor = torch.func.functional_call(layer, own, (inputs["x"],))
        return y

    call = replace(family.call, text=code(layer), name="subpixel", run=whole)
    made = replace(family, call=call, block=tuple(layer.scale_factor))
    return Bound(made, inner.axes)


def in_steps(
    twin: Any, module: nn.Module, x: Tensor, options: Options, first: nn.Module, last: nn.Module
) -> Bound:
    """Two modules one after the other."""
    from cnnatomy.explain.binding import bind

    taken(options, {}, type(module).__name__)
    begun = bind(first, x, {})
    between = first(begun.family.laid((0, 0, None)).call.inputs["x"])
    ended = bind(last, between.detach(), {})
    for one in (begun.family, ended.family):
        if isinstance(one, Staged):
            raise ArgumentError(
                "there is no explanation of so many steps", hint="explain each layer by itself"
            )
    batch = batched(tensor_of(x), begun.axes)
    whole = called(code(module), type(module).__name__, {}, {"x": batch}, functional(module, ()))
    return Bound(Staged(ended.family, begun.family), ended.axes, whole)


def separable(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """A depthwise and a pointwise convolution."""
    layer: Any = module
    if len(layer) != 2:
        raise ArgumentError(
            "there is no explanation of what lies between the parts", hint="explain each part by itself"
        )
    return in_steps(twin, module, x, options, layer.depthwise, layer.pointwise)


def resized(twin: Any, module: nn.Module, x: Tensor, options: Options) -> Bound:
    """A resizing and then a convolution."""
    import cnnatomy.nn as ours

    layer: Any = module
    resize = (ours.Resample1d, ours.Resample2d, ours.Resample3d)[layer.rank - 1]
    return in_steps(
        twin, module, x, options, resize(scale_factor=layer.scale_factor, method=layer.method), layer.conv
    )
