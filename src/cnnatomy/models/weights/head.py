"""The head of a network: the last layer, which turns features into a score for each class."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from cnnatomy import checks
from cnnatomy.errors import ArgumentError

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


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
