"""From a layer's record to what makes its module: convolutions, dense layers, norms, activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import cnnatomy.nn as cnn
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Window
from cnnatomy.nn.response_norm import LocalResponseNorm
from cnnatomy.notation.connection_tables import TABLE_I
from cnnatomy.notation.modules import LayerNorm, Negated, ScaledTanh
from cnnatomy.notation.network_spec import Layer, Value

Factory = Callable[[], nn.Module]


@dataclass(frozen=True)
class Place:
    """Where a layer stands: what comes in, and what the classes are."""

    channels: int
    size: tuple[int, ...]
    codes: Callable[[int], Sequence[Sequence[int]]] | None = None
    unpooled: bool = False
    """Whether an unpooling will ask for the indices."""

    @property
    def rank(self) -> int:
        """How many spatial axes there are; 0 for a vector."""
        return len(self.size)

    def of(self, name: str) -> Any:
        """The module of that name for so many axes."""
        if not 1 <= self.rank <= 3:
            expected, got = "maps", f"a vector of {self.channels}"
            raise ArgumentError(f"{name} works on maps", expected=expected, got=got)
        return getattr(cnn, f"{name}{self.rank}d")


def axes(value: Value, place: Place, default: int = 1) -> tuple[int, ...]:
    """Numbers per axis."""
    sizes = value if isinstance(value, tuple) and value else (default,)
    if len(sizes) not in (1, place.rank):
        raise ArgumentError("too many numbers", expected=f"1 or {place.rank}", got="x".join(map(str, sizes)))
    return tuple(int(n) for n in sizes) * (place.rank if len(sizes) == 1 else 1)  # type: ignore[arg-type]


def rules(value: Value, place: Place, default: Any) -> Any:
    """The padding of every axis."""
    if value is None:
        return default
    if isinstance(value, str):
        return value
    assert isinstance(value, tuple)
    if len(value) not in (1, place.rank):
        raise ArgumentError(
            "padding of other axes", expected=f"1 or {place.rank} entries", got=str(len(value))
        )
    return tuple(value) * (place.rank if len(value) == 1 else 1)


def kernel(layer: Layer, place: Place, default: int = 3) -> tuple[int, ...]:
    """The kernel: behind the word, or as an option."""
    return axes(layer.sizes or layer.option("kernel"), place, default)


def options(layer: Layer, place: Place, *names: str) -> dict[str, Any]:
    """A convolution's arguments, those named and given."""
    read: dict[str, Callable[[], Any]] = {
        "stride": lambda: axes(layer.option("stride"), place),
        "padding": lambda: rules(layer.option("padding"), place, "same"),
        "padding_mode": lambda: layer.option("mode", "zeros"),
        "dilation": lambda: axes(layer.option("dilation"), place),
        "groups": lambda: layer.option("groups", 1),
        "bias": lambda: layer.option("bias", True),
        "multiplier": lambda: layer.option("multiplier", 1),
    }
    return {name: read[name]() for name in names}


_CONV = ("stride", "padding", "padding_mode", "dilation", "bias")


def conv(layer: Layer, place: Place) -> Factory:
    """A convolution, with a table of connections if there is one."""
    kind, given = place.of("Conv"), options(layer, place, *_CONV, "groups")
    return _tabled(kind, layer, place, kernel(layer, place), given)


def lenet_conv(layer: Layer, place: Place) -> Factory:
    """LeNet-5's: no padding; the kernel follows from the size of the maps, or is as large as they are."""
    kind, size = place.of("Conv"), layer.option("size")
    taps = axes(layer.option("kernel"), place) if layer.option("kernel") else place.size
    if size is not None:
        taps = tuple(n - out + 1 for n, out in zip(place.size, axes(size, place), strict=True))
        if min(taps) < 1 or layer.option("kernel") not in (None, taps, taps[:1]):
            raise _other_size(layer, place, size)
    return _tabled(kind, layer, place, taps, {"bias": layer.option("bias", True)})


def _other_size(layer: Layer, place: Place, size: Value) -> ArgumentError:
    shown = "x".join(map(str, size)) if isinstance(size, tuple) else str(size)
    got = "x".join(map(str, place.size))
    return ArgumentError(
        f"{layer.name} cannot make maps of {shown} of maps of {got}", hint="another size, or k5"
    )


def _tabled(kind: Any, layer: Layer, place: Place, taps: Sequence[int], given: dict[str, Any]) -> Factory:
    table = layer.option("table")
    if table is not None:
        rows = TABLE_I if table == "I" else [[int(cell) for cell in str(row)] for row in table]  # type: ignore[union-attr]
        given["connections"] = rows
    return lambda: kind(place.channels, layer.maps, tuple(taps), **given)


def depthwise(layer: Layer, place: Place) -> Factory:
    """Each map alone."""
    kind, taps = place.of("DepthwiseConv"), kernel(layer, place)
    given = options(layer, place, *_CONV, "multiplier")
    return lambda: kind(place.channels, taps, **given)


def separable(layer: Layer, place: Place) -> Factory:
    """Each map alone, then across."""
    kind, taps = place.of("SeparableConv"), kernel(layer, place)
    given = options(layer, place, *_CONV, "multiplier")
    return lambda: kind(place.channels, layer.maps, taps, **given)


def pointwise(layer: Layer, place: Place) -> Factory:
    """Across the maps."""
    kind, given = place.of("PointwiseConv"), options(layer, place, "stride", "groups", "bias")
    return lambda: kind(place.channels, layer.maps, **given)


def transposed(layer: Layer, place: Place) -> Factory:
    """A transposed convolution; it has no padding unless told."""
    kind, taps = place.of("ConvTranspose"), kernel(layer, place, 2)
    given = options(layer, place, "stride", "dilation", "groups", "bias")
    given["padding"] = rules(layer.option("padding"), place, 0)
    given["output_padding"] = axes(layer.option("extra"), place, 0)
    return lambda: kind(place.channels, layer.maps, taps, **given)


def subpixel(layer: Layer, place: Place) -> Factory:
    """A convolution to more channels, then those to cells."""
    kind, scale = place.of("SubpixelConv"), axes(layer.sizes, place, 2)
    given = options(layer, place, "padding", "padding_mode", "bias")
    taps = axes(layer.option("kernel"), place, 3)
    return lambda: kind(place.channels, layer.maps, taps, scale, **given)


def resize_conv(layer: Layer, place: Place) -> Factory:
    """Resizing, then a convolution."""
    kind, scale = place.of("ResizeConv"), axes(layer.sizes, place, 2)
    given = options(layer, place, "padding", "padding_mode", "bias", "groups")
    taps, method = axes(layer.option("kernel"), place, 3), layer.option("method", "nearest")
    return lambda: kind(place.channels, layer.maps, taps, scale, method=method, **given)


def dense(layer: Layer, place: Place) -> Factory:
    """Fully connected; maps become a vector first."""
    features = place.channels
    for n in place.size:
        features *= n

    def make() -> nn.Module:
        return nn.Linear(features, layer.maps, bias=bool(layer.option("bias", True)))  # type: ignore[arg-type]

    return make if not place.size else lambda: nn.Sequential(nn.Flatten(), make())


def rbf(layer: Layer, place: Place) -> Factory:
    """Distances from codes, negated to scores."""
    if place.codes is None or place.size:
        raise ArgumentError("RBF compares vectors with codes", expected="F6:84 before it and known classes")
    codes = torch.tensor(place.codes(int(layer.maps)), dtype=torch.float32, device="cpu")  # type: ignore[arg-type]
    if codes.shape[1] != place.channels:
        raise ArgumentError(
            "codes of other length", expected=f"{codes.shape[1]} units before RBF", got=str(place.channels)
        )
    return lambda: nn.Sequential(cnn.RBF(codes.clone()), Negated())


def norm(layer: Layer, place: Place) -> Factory:
    """A normalisation."""
    channels = place.channels
    if layer.word == "bn":
        given: dict[str, Any] = dict(layer.args)
        kind = getattr(nn, f"BatchNorm{max(place.rank, 1)}d")
        return lambda: kind(channels, **given)
    if layer.word == "in":
        instance = getattr(nn, f"InstanceNorm{place.rank}d") if place.size else None
        if instance is None or all(n == 1 for n in place.size):
            raise ArgumentError("instance normalisation needs maps of several cells", hint="ln")
        return lambda: instance(channels, affine=True)
    if layer.word == "ln":
        return (lambda: LayerNorm(channels)) if place.size else (lambda: nn.LayerNorm(channels))
    groups = layer.sizes[0] if layer.sizes else 32
    if channels % groups:
        raise ArgumentError(
            "groups do not divide the maps", expected=f"a divisor of {channels}", got=str(groups)
        )
    return lambda: nn.GroupNorm(groups, channels)


def response_norm(layer: Layer, place: Place) -> Factory:
    """Local response normalisation."""
    given: dict[str, Any] = dict(layer.args)
    if not place.size:
        raise ArgumentError("LRN works on maps", got=f"a vector of {place.channels}")
    if not given:
        return LocalResponseNorm.alexnet
    return lambda: LocalResponseNorm(**({"size": 5} | given))


_ACTIVATIONS: dict[str, Factory] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "tanh": nn.Tanh,
    "stanh": ScaledTanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "selu": nn.SELU,
    "softplus": nn.Softplus,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "linear": nn.Identity,
}
_SLOPED: dict[str, Callable[[float], nn.Module]] = {
    "leakyrelu": nn.LeakyReLU,
    "elu": nn.ELU,
    "prelu": lambda start: nn.PReLU(init=start),
}
_SLOPES = {"leakyrelu": 0.01, "elu": 1.0, "prelu": 0.25}


def activation(layer: Layer, place: Place) -> Factory:
    """An activation."""
    if layer.word in _ACTIVATIONS:
        return _ACTIVATIONS[layer.word]
    slope = layer.args[0][1] if layer.args else _SLOPES[layer.word]
    if not isinstance(slope, int | float) or isinstance(slope, bool):
        raise ArgumentError(f"{layer.word} takes a number", got=repr(slope))
    return lambda: _SLOPED[layer.word](float(slope))


def dropout(layer: Layer, place: Place) -> Factory:
    """Dropout of values, or of whole maps."""
    share = layer.args[0][1] if layer.args else 0.5
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ArgumentError("dropout", expected="a share between 0 and 1", got=repr(share))
    if layer.word == "dropout":
        return lambda: nn.Dropout(share)
    kind = getattr(nn, place.of("Dropout").__name__)
    return lambda: kind(share)


def lenet_window(layer: Layer, place: Place) -> int:
    """The side of S's square window: as said, or what makes maps of the size said."""
    size = layer.option("size")
    if layer.maps is not None and layer.maps != place.channels:
        raise ArgumentError(
            f"{layer.name} keeps the maps", expected=f"{place.channels} maps", got=str(layer.maps)
        )
    if size is None:
        sides = axes(layer.sizes, place, 2)
        if len(set(sides)) > 1:
            raise ArgumentError("the window is square", expected="such as 2x2", got=str(sides))
        return sides[0]
    wanted = axes(size, place)
    for side in range(1, min(place.size) + 1):
        if tuple(Window(side, side).output_size(n) for n in place.size) == wanted:
            return side
    raise _other_size(layer, place, size)
