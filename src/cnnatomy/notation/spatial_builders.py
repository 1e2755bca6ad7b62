"""From a layer's record to what makes its module: poolings, upsampling, padding."""

from __future__ import annotations

from typing import Any

from torch import nn

import cnnatomy.nn as cnn
from cnnatomy import filters
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window
from cnnatomy.notation.layer_builders import Factory, Place, axes, lenet_window, rules
from cnnatomy.notation.modules import Shuffle, Spread, Weighed
from cnnatomy.notation.network_spec import Layer
from cnnatomy.notation.reducer_names import instance
from cnnatomy.reducers import Reducer


def _pooling(layer: Layer, place: Place) -> tuple[Reducer, dict[str, Any]]:
    assert layer.pooling is not None
    which = instance(layer.pooling, place.channels)
    return which, {
        "return_indices": True
    } if place.unpooled and which.selects and which.settled().selects else {}


def _weighed(made: nn.Module, which: Reducer, place: Place) -> nn.Module:
    return Weighed(made, place.channels, place.rank) if which.companions else made


def pool(layer: Layer, place: Place) -> Factory:
    """Pooling of windows: 2 wide unless told, as far apart as they are wide."""
    kind = place.of("Pool")
    which, given = _pooling(layer, place)
    taps = axes(layer.sizes, place, 2)
    given |= {
        "stride": axes(layer.option("stride"), place) if layer.option("stride") else None,
        "padding": rules(layer.option("padding"), place, 0),
        "dilation": axes(layer.option("dilation"), place),
        "ceil_mode": bool(layer.option("ceil")),
        "padding_mode": layer.option("mode", "clip"),
    }
    return lambda: _weighed(kind(which, taps, **given), which, place)


def whole(layer: Layer, place: Place) -> Factory:
    """Pooling of whole maps, to a vector: the mean unless told."""
    kind = place.of("GlobalPool")
    which, _ = _pooling(layer, place)
    return lambda: nn.Sequential(_weighed(kind(which), which, place), nn.Flatten())


def adaptive(layer: Layer, place: Place) -> Factory:
    """Pooling to a grid."""
    kind, size = place.of("AdaptivePool"), axes(layer.sizes, place)
    which, given = _pooling(layer, place)
    return lambda: _weighed(kind(which, size, **given), which, place)


def pyramid(layer: Layer, place: Place) -> Factory:
    """Spatial pyramid pooling."""
    kind, levels = place.of("PyramidPool"), dict(layer.args).get("levels", (1, 2, 4))
    which, _ = _pooling(layer, place)
    for level in levels if isinstance(levels, tuple) else ():
        axes((level,) if isinstance(level, int) else level, place)
    return lambda: _weighed(kind(which, levels), which, place)


def fractional(layer: Layer, place: Place) -> Factory:
    """Fractional pooling."""
    kind = place.of("FractionalPool")
    which, given = _pooling(layer, place)
    named = {"scale": 0.5} | dict(layer.args)
    given |= {"scale_factor" if name == "scale" else name: value for name, value in named.items()}
    return lambda: _weighed(kind(which, **given), which, place)


def subsample(layer: Layer, place: Place) -> Factory:
    """LeNet-5's trainable subsampling."""
    if place.rank != 2:
        raise ArgumentError("subsampling works on maps of two axes", got=f"{place.rank}")
    side = lenet_window(layer, place)
    stride = axes(layer.option("stride"), place)[0] if layer.option("stride") else None
    if layer.pooling is not None:  # another pooling in its place, whose window stays
        which = instance(layer.pooling, place.channels)
        return lambda: _weighed(cnn.Pool2d(which, side, stride), which, place)
    return lambda: cnn.Subsample2d(place.channels, side, stride)


def conv_pool(layer: Layer, place: Place) -> Factory:
    """A strided convolution as a pooling."""
    kind, taps = place.of("StridedConvPool"), axes(layer.sizes, place, 2)
    given: dict[str, Any] = dict(layer.args) | {
        "stride": axes(layer.option("stride"), place) if layer.option("stride") else None,
        "padding": rules(layer.option("padding"), place, 0),
        "bias": layer.option("bias", False),
    }
    return lambda: kind(place.channels, taps, **given)


def mean_unpool(layer: Layer, place: Place) -> Factory:
    """Spread every value over its window."""
    kind, taps = place.of("MeanUnpool"), axes(layer.sizes, place, 2)
    stride = axes(layer.option("stride"), place) if layer.option("stride") else None
    padding = rules(layer.option("padding"), place, (0,) * place.rank)
    if isinstance(padding, str):
        raise ArgumentError("this unpooling takes cells of padding", expected="such as p1", got=padding)
    pairs = [(one, one) if isinstance(one, int) else one for one in padding]
    windows = map(Window, taps, stride or taps, pairs)
    size = tuple(window.transposed_size(n) for window, n in zip(windows, place.size, strict=True))
    return lambda: Spread(kind(taps, stride, padding), size)


def up(layer: Layer, place: Place) -> Factory:
    """Upsampling by a scale, or resizing to a size."""
    kind, method = place.of("Resample"), layer.option("method", "nearest")
    if layer.word == "resize":
        if not layer.sizes:
            raise ArgumentError("resize to what", hint="resize14")
        size = axes(layer.sizes, place)
        return lambda: kind(output_size=size, method=method)
    scale = axes(layer.sizes, place, 2)
    return lambda: kind(scale_factor=scale, method=method)


def nails(layer: Layer, place: Place) -> Factory:
    """A bed of nails."""
    kind, scale = place.of("BedOfNails"), axes(layer.sizes, place, 2)
    return lambda: kind(scale)


def shuffle(layer: Layer, place: Place) -> Factory:
    """Channels to cells, or cells to channels."""
    place.of("Pool")
    scale = axes(layer.sizes, place, 2)
    return lambda: Shuffle(scale, layer.word == "unshuffle")


def pad(layer: Layer, place: Place) -> Factory:
    """Padding, or cropping."""
    kind, widths = place.of("Pad"), axes(layer.sizes, place)
    sign = -1 if layer.word == "crop" else 1
    mode = layer.option("mode", "constant")
    if sign < 0 and any(2 * w >= n for w, n in zip(widths, place.size, strict=True)):
        got = "x".join(map(str, place.size))
        raise ArgumentError("cropping leaves nothing", expected="maps of more than twice the width", got=got)
    mode = "constant" if mode == "zeros" else mode
    return lambda: kind(tuple(sign * w for w in widths), mode)


def fixed(layer: Layer, place: Place) -> Factory:
    """A fixed filter of every map."""
    kind, name = place.of("FixedFilter"), str(dict(layer.args).get("name", "binomial"))
    filters.named(name, rank=place.rank)
    stride, dilation = (axes(layer.option(one), place) for one in ("stride", "dilation"))
    padding = rules(layer.option("padding"), place, "same")
    return lambda: kind(name, stride, padding, dilation)


def blurred(layer: Layer, place: Place) -> Factory:
    """A blur that leaves cells out, alone or behind a maximum."""
    kind = place.of("MaxBlurPool" if layer.word == "maxblurpool" else "BlurPool")
    sizes, stride = axes(layer.sizes, place, 3), axes(layer.option("stride"), place, 2)
    if len(set(sizes)) > 1:
        got = "x".join(map(str, sizes))
        raise ArgumentError("a blur is as wide as high", expected=f"one size, as {layer.word}5", got=got)
    mode = layer.option("mode", "reflect")
    return lambda: kind(size=sizes[0], stride=stride, padding_mode=mode)
