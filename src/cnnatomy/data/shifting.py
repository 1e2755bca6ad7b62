"""Pictures moved by whole pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def shifted(images: Tensor, amount: float) -> list[Tensor]:
    """Right, left, down and up by whole pixels; the pixels at the border are repeated.

    Example:
        >>> [one.flatten().tolist() for one in shifted(torch.tensor([[[[1, 2, 3]]]]), 1)[:2]]
        [[1, 1, 2], [2, 3, 3]]
    """
    n = int(amount)
    return [_taken(images, 3, -n), _taken(images, 3, n), _taken(images, 2, -n), _taken(images, 2, n)]


def _taken(images: Tensor, dim: int, by: int) -> Tensor:
    """Each cell from `by` cells further, the last one for those beyond."""
    n = images.shape[dim]
    return images.index_select(dim, (torch.arange(n, device=images.device) + by).clamp(0, n - 1))
