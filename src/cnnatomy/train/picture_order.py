"""Which pictures each step sees: functions of (seed, epoch) without state, so that a run resumes exactly."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derive(seed: int, *parts: int | str) -> int:
    """Mix a seed with what it is for into a seed of its own, 63 bits.

    Example:
        >>> derive(0, "order", 1) != derive(0, "order", 2) != derive(1, "order", 2)
        True
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *parts))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def permutation(seed: int, epoch: int, pictures: int) -> Tensor:
    """Shuffle the pictures for one pass.

    Example:
        >>> torch.equal(permutation(0, 3, 100), permutation(0, 3, 100))
        True
    """
    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    return torch.randperm(pictures, generator=generator)


def share(batch: Tensor, rank: int, world: int) -> tuple[Tensor, float]:
    """Give one of `world` processes its part of a batch, and the weight of its mean in the mean over all.

    A process for which nothing is left computes the first picture with weight 0, so that it takes part in
    every exchange of gradients.

    Example:
        >>> share(torch.tensor([5, 3, 8]), rank=1, world=2)[0].tolist()
        [3]
        >>> share(torch.tensor([5]), rank=1, world=2)
        (tensor([5]), 0.0)
    """
    mine = batch[rank::world]
    return (mine, len(mine) * world / len(batch)) if len(mine) else (batch[:1], 0.0)
