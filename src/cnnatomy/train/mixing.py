"""Targets as probabilities of the classes, pictures mixed by the batch, and classes of uneven size."""

from __future__ import annotations

import math
import random

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cnnatomy import checks
from cnnatomy.data.augment.draws import splitmix64
from cnnatomy.errors import ArgumentError
from cnnatomy.train.picture_order import derive, permutation


def targets(labels: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    """Turn labels (N,) into probabilities (N, classes), a share of which all classes divide.

    The cross-entropy against them is that of `torch.nn.functional.cross_entropy` with its `label_smoothing`.

    Source: Szegedy et al. (2016), "Rethinking the Inception architecture", section 7, arXiv:1512.00567.

    Raises:
        ArgumentError: the share is none.

    Example:
        >>> targets(torch.tensor([1]), classes=4, smoothing=0.2)
        tensor([[0.0500, 0.8500, 0.0500, 0.0500]])
    """
    checks.real("smoothing", smoothing, "a number from 0 to 1", lambda n: 0 <= n <= 1)
    return F.one_hot(labels, classes).to(torch.get_default_dtype()) * (1 - smoothing) + smoothing / classes


def mix(
    images: Tensor,
    probabilities: Tensor,
    *,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    seed: int,
    step: int,
    rank: int = 0,
) -> tuple[Tensor, Tensor]:
    """Mix each picture of a batch with another one, and their targets in the same proportion.

    Mixup blends whole pictures; cutmix pastes a rectangle of the other one. The proportion, one for the
    batch, has the distribution Beta(a, a); with both on, a fair coin decides for each batch. What is drawn is
    a function of (seed, step, rank) and of nothing else.

    Source: Zhang et al. (2018), "mixup", arXiv:1710.09412; Yun et al. (2019), "CutMix", arXiv:1905.04899.

    Args:
        images: float (N, C, H, W); left as they are.
        probabilities: (N, K), as of `targets`.
        mixup: the parameter a of its distribution, often 0.2; 0 for none.
        cutmix: the same, often 1; 0 for none.
        rank: this process's among those that share the batch, each of which mixes its own part.

    Raises:
        ArgumentError: a parameter is out of range, or there is not one target for each picture.

    Example:
        >>> labels = targets(torch.tensor([0, 1]), classes=2)
        >>> images, mixed = mix(torch.rand(2, 3, 8, 8), labels, cutmix=1.0, seed=0, step=5)
        >>> images.shape, bool((mixed.sum(1) == 1).all())
        (torch.Size([2, 3, 8, 8]), True)
    """
    for name, value in (("mixup", mixup), ("cutmix", cutmix)):
        checks.real(name, value, "a number >= 0", lambda n: 0 <= n < math.inf)
    floats = images.is_floating_point() and probabilities.is_floating_point()
    if not floats or len(images) != len(probabilities):
        expected = "float pictures, and a row of probabilities for each"
        got = " and ".join(f"{t.dtype} {tuple(t.shape)}" for t in (images, probabilities))
        raise ArgumentError("what to mix", expected=expected, got=got)
    if not (mixup or cutmix):
        return images, probabilities
    draw = random.Random(derive(seed, "mix", step, rank))
    paste = bool(cutmix) and (not mixup or draw.random() < 0.5)
    keep = draw.betavariate(cutmix, cutmix) if paste else draw.betavariate(mixup, mixup)
    generator = torch.Generator().manual_seed(derive(seed, "partners", step, rank))
    partner = torch.randperm(len(images), generator=generator).to(images.device)
    if paste:
        top, bottom, left, right = _rectangle(draw, 1 - keep, *images.shape[-2:])
        mixed = images.clone()
        mixed[..., top:bottom, left:right] = images[partner, ..., top:bottom, left:right]
        keep = 1 - (bottom - top) * (right - left) / images[0, 0].numel()
    else:
        mixed = torch.lerp(images[partner], images, keep)
    return mixed, torch.lerp(probabilities[partner], probabilities, keep)


def _rectangle(draw: random.Random, area: float, height: int, width: int) -> tuple[int, int, int, int]:
    """Rows and columns of a rectangle with so large a part of the picture, where its edges do not cut it."""
    rows, columns = (round(side * math.sqrt(area)) for side in (height, width))
    top, left = (int(draw.random() * side) - cells // 2 for side, cells in ((height, rows), (width, columns)))
    return max(0, top), min(height, top + rows), max(0, left), min(width, left + columns)


def class_weights(counts: Tensor) -> Tensor:
    """Weigh each class by the inverse of its pictures (K,), so that the mean over all pictures is 1.

    A class without pictures has the weight 0.

    Example:
        >>> class_weights(torch.tensor([30, 10, 0]))
        tensor([0.6667, 2.0000, 0.0000])
    """
    present = counts > 0
    weights = counts.sum() / (present.sum() * counts.clamp(min=1).to(torch.get_default_dtype()))
    return torch.where(present, weights, torch.zeros_like(weights))


def balanced_permutation(seed: int, epoch: int, labels: Tensor) -> Tensor:
    """Draw as many pictures as there are labels (N,), every class equally often, to within one.

    Over the epochs each class goes through its pictures again and again, every time in a new order, and none
    comes a second time before all of its class have come: a large class is seen whole after some epochs, a
    small one several times in each. The draw is a function of seed, epoch and labels alone.

    Example:
        >>> labels = torch.tensor([0] * 90 + [1] * 10)
        >>> labels[balanced_permutation(0, 0, labels)].bincount().tolist()
        [50, 50]
    """
    total = len(labels)
    classes = torch.unique(labels).tolist()
    drawn = []
    for number, label in enumerate(classes):
        members = (labels == label).nonzero().squeeze(1)
        # Over all epochs, the draws go to the classes in turn: this one has every len(classes)-th.
        start, end = (-((number - total * e) // len(classes)) for e in (epoch, epoch + 1))
        first, last = start // len(members), -(-end // len(members))  # passes through the class
        order = _passes(derive(seed, "balanced", label), first, last, len(members))
        drawn.append(members[order[start - first * len(members) : end - first * len(members)]])
    return torch.cat(drawn)[permutation(seed, epoch, total)]


def _passes(seed: int, first: int, last: int, size: int) -> Tensor:
    """The orders of the passes from `first` to before `last` through `size` pictures, one after another."""
    places = np.arange(first * size, last * size, dtype=np.uint64)
    keys = splitmix64(splitmix64(np.array([seed], np.uint64)) + places).reshape(-1, size)
    return torch.from_numpy(keys.argsort(axis=1, kind="stable").ravel())
