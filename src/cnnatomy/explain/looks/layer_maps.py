"""What the layers of a network make of a picture, and the kernels of its first one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks.layer_outputs import Network, listening, module_of, one_picture, returned
from cnnatomy.nn.modes import evaluating


@dataclass(frozen=True)
class Filters:
    """The kernels of a layer."""

    layer: str
    """Its path."""
    weights: Tensor
    """(out channels, in channels, kernel y, kernel x)."""

    def pictures(self) -> Tensor:
        """Kernels of three channels as colours, others plane by plane: 0 at 0.5, the largest at 0 or 1.

        Returns:
            (out channels, 3, kernel y, kernel x), or (out channels * in channels, 1, kernel y, kernel x).
        """
        count, channels, *size = self.weights.shape
        planes = self.weights if channels == 3 else self.weights.reshape(count * channels, 1, *size)
        largest = planes.abs().amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(planes.dtype).tiny)
        return 0.5 + planes / (2 * largest)


def first_filters(net: Network) -> Filters:
    """The kernels of the first layer of a network that has two-dimensional ones.

    Raises:
        ArgumentError: there is none.

    Example:
        >>> found = first_filters(nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 3)))
        >>> found.layer, found.weights.shape, found.pictures().shape
        ('0', torch.Size([8, 3, 5, 5]), torch.Size([8, 3, 5, 5]))
    """
    module = module_of(net)
    for path, one in module.named_modules():
        weight = getattr(one, "weight", None)
        if isinstance(weight, Tensor) and weight.dim() == 4:
            return Filters(path, weight.detach().clone())
    raise ArgumentError(
        f"{type(module).__name__} has no kernels", expected="a layer with a weight (N, C, H, W)"
    )


def feature_maps(net: Network, picture: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
    """The maps of a picture, layer by layer.

    Args:
        net: any network, or a run.
        picture: (C, H, W) as the network reads it.
        layers: paths of layers; left out, every module without children that returns maps, as they ran.

    Returns:
        (channels, h, w) for each path; `path#2` is a second call.

    Raises:
        ArgumentError: there is no such layer, or it returns no maps.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        >>> {path: tuple(one.shape) for path, one in feature_maps(net, torch.rand(1, 8, 8)).items()}
        {'0': (4, 6, 6), '1': (4, 6, 6), '2': (4, 3, 3)}
    """
    return {path: one[0] for path, one in maps_of(module_of(net), one_picture(picture), layers).items()}


def maps_of(module: nn.Module, x: Tensor, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
    """The maps (N, channels, h, w) of pictures (N, C, H, W); see `feature_maps`."""
    if layers is None:
        return _all(module, x)
    with listening(module, layers) as kept, torch.no_grad():
        returned(module, x)
    for path in layers:
        if path not in kept or kept[path].dim() != 4:
            got = f"shape {tuple(kept[path].shape)}" if path in kept else "nothing"
            raise ArgumentError(f"layer {path!r} returns no maps", expected="(N, channels, h, w)", got=got)
    return {path: kept[path] for path in layers}


def _all(module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The maps of every module without children."""
    found: dict[str, Tensor] = {}
    calls: Counter[str] = Counter()

    def keep(path: str) -> Any:
        def listen(_module: nn.Module, _args: Any, output: Any) -> None:
            calls[path] += 1
            if isinstance(output, Tensor) and output.dim() == 4 and len(output) == len(x):
                name = path if calls[path] == 1 else f"{path}#{calls[path]}"
                found[name] = output.detach().clone()  # a layer in place may write into it later

        return listen

    leaves = [(path, one) for path, one in module.named_modules() if path and not any(one.children())]
    handles = [one.register_forward_hook(keep(path)) for path, one in leaves]
    try:
        with evaluating(module), torch.no_grad():
            returned(module, x)
    finally:
        for handle in handles:
            handle.remove()
    return found
