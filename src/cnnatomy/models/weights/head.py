"""The head of a network: the last layer, which turns features into a score for each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.nn import Conv1d, Conv2d, Conv3d

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_OURS = (Conv1d, Conv2d, Conv3d)
"""Convolutions with more rules and modes of padding than torch's."""


def find_head(model: nn.Module) -> str:
    """Give the path of the head: the last layer that holds parameters or buffers, dense or a convolution.

    Where a network says itself which layer it is, as timm's do (`get_classifier`), that one is believed.

    Raises:
        ArgumentError: the last layer is of another kind, or there is none.

    Example:
        >>> find_head(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 10)))
        '2'
    """
    checks.module(model)
    ask: Callable[[], object] | None = getattr(model, "get_classifier", None)
    said = ask() if callable(ask) else None
    if isinstance(said, LINEAR):
        return next(str(path) for path, layer in model.named_modules() if layer is said)
    own: list[tuple[str, nn.Module]] = [
        (path, layer)
        for path, layer in model.named_modules()
        if next(layer.parameters(recurse=False), None) is not None
        or next(layer.buffers(recurse=False), None) is not None
    ]
    if own and isinstance(own[-1][1], LINEAR):
        return own[-1][0]
    got = f"{own[-1][0] or 'it'} is a {type(own[-1][1]).__name__}" if own else "it has no parameters"
    raise ArgumentError(
        "the network has no head to replace", expected="a dense layer or a convolution last", got=got
    )


def fresh_head(model: nn.Module, outputs: int) -> str:
    """Put a fresh last layer with so many outputs in the place of the old one, and give its path.

    It is the same kind of layer, reads the same features and has the same dtype and device.

    Raises:
        ArgumentError: there is no such layer, or it is the whole network.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 1000))
        >>> fresh_head(network, 10), network[2]
        ('2', Linear(in_features=8, out_features=10, bias=True))
    """
    path = find_head(model)
    if not path:
        raise ArgumentError("the network is one layer and no more", hint="making another")
    fresh = _like(model.get_submodule(path), outputs)
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, fresh)
    if hasattr(model, "num_classes"):
        model.num_classes = outputs  # type: ignore[assignment]  # timm's networks say it
    return path


def _like(old: nn.Module, outputs: int) -> nn.Module:
    """A fresh layer as `old`, with so many outputs."""
    like: dict[str, Any] = {"bias": old.bias is not None}
    assert isinstance(old.weight, torch.Tensor)
    like |= {"device": old.weight.device, "dtype": old.weight.dtype}
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, outputs, **like)
    assert isinstance(old, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    kind = type(old) if type(old) in _OURS else (nn.Conv1d, nn.Conv2d, nn.Conv3d)[old.weight.dim() - 3]
    names = ("stride", "padding", "dilation", "groups", "padding_mode")
    settings = {name: getattr(old, name) for name in names}
    return kind(old.in_channels, outputs, old.kernel_size, **settings, **like)  # type: ignore[arg-type]
