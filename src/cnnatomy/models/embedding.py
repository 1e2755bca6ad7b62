"""What a classifier makes of pictures before it tells classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.models.classifier import Classifier
from cnnatomy.nn.modes import evaluating

BATCH = 256


def embedded(model: Classifier, images: Tensor) -> Tensor:
    """The input of the last layer that has weights, one row for each picture; of maps the mean over the map.

    Args:
        model: any classifier; it runs where it lies.
        images: bytes (N, C, H, W) of its input size.

    Returns:
        (N, D), on the CPU.

    Raises:
        ArgumentError: no layer with weights is called on a batch.

    Example:
        >>> from cnnatomy.models import build
        >>> embedded(build("lenet5", classes=4), torch.zeros(2, 1, 32, 32, dtype=torch.uint8)).shape
        torch.Size([2, 84])
    """
    last: list[Tensor] = []

    def listen(_module: nn.Module, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], Tensor):
            last[:] = [args[0]]

    weighty = [one for one in model.modules() if any(p.dim() > 1 for p in one.parameters(recurse=False))]
    handles = [one.register_forward_pre_hook(listen) for one in weighty]
    rows = []
    try:
        with evaluating(model), torch.no_grad():
            device = next(model.parameters()).device
            for part in torch.split(images, BATCH):
                model(model.preprocess(part.to(device)))
                if not last or len(last[0]) != len(part):
                    raise ArgumentError("the network has no last layer with weights")
                found = last.pop()
                rows.append((found.flatten(2).mean(2) if found.dim() > 2 else found).float().cpu())
    finally:
        for handle in handles:
            handle.remove()
    return torch.cat(rows)
