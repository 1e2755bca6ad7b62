"""Whether pictures may be mirrored: whether a class can be told from its own mirror image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 32
FEW = 8
"""Classes with fewer pictures tell nothing."""


def mirrored_share(images: Tensor, labels: Tensor) -> float:
    """Say how well pictures can be told from their mirror images: 0.5 not at all, 1 always.

    For each class, m is the mean of every other picture; of the rest, the share is counted whose product
    with m - mirror(m) is above 0, that is, which are nearer to m than their mirror images are. Photographs
    are near 0.5; digits, letters and arrows near 1. The mean over the pictures of all classes.

    Args:
        images: (N, C, H, W), of any scale.
        labels: (N,).

    Example:
        >>> images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> images[:, :, :, :4] += 1
        >>> mirrored_share(images, torch.zeros(40, dtype=torch.int64))
        1.0
    """
    nearer = pictures = 0.0
    for label in labels.bincount().nonzero()[:, 0]:
        members = (labels == label).nonzero()[:, 0]
        if len(members) < FEW:
            continue
        shown = _small(images[members])
        mean = shown[::2].mean(0)
        products = (shown[1::2] * (mean - mean.flip(-1))).sum((1, 2))
        nearer += (products > 0).sum().item() + 0.5 * (products == 0).sum().item()
        pictures += len(products)
    return nearer / pictures if pictures else 0.5


def _small(images: Tensor) -> Tensor:
    """Grey pictures (N, H, W) of at most `SIDE` cells a side."""
    parts = []
    for part in torch.split(images, 1024):
        grey = part.float().mean(1, keepdim=True)
        height, width = (min(SIDE, side) for side in grey.shape[2:])
        parts.append(F.adaptive_avg_pool2d(grey, (height, width))[:, 0])
    return torch.cat(parts)
