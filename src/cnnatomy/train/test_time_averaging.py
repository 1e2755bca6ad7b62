"""Test-time averaging: the mean of a classifier's answers to a picture and to slightly moved copies of it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cnnatomy.data import Pictures
from cnnatomy.data.data_catalog import one_of
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.batch_evaluation import BATCH, scores_of

AVERAGINGS = ("flip", "flip-shift")
SHIFT = 1 / 32
"""How far pictures are shifted, as a part of their height and width."""


def views(images: Tensor, how: str) -> Iterator[Tensor]:
    """Give pictures (N, C, H, W) as they are and changed, batch by batch, of the same shape and dtype.

    "flip" gives them and their mirror images; "flip-shift" also both shifted up and left, and down and right,
    by `SHIFT`, at least one cell, with reflected edges. No order among them matters.

    Raises:
        ArgumentError: there is no such way.

    Example:
        >>> [view.flatten().tolist() for view in views(torch.tensor([[[[1, 2, 3]]]]), "flip")]
        [[1, 2, 3], [3, 2, 1]]
        >>> len(list(views(torch.zeros(1, 3, 32, 32), "flip-shift")))
        6
    """
    for sign in (0,) if one_of("test-time averaging", how, AVERAGINGS) == "flip" else (0, -1, 1):
        shifted = images
        for axis in (2, 3) if sign else ():
            side = images.shape[axis]
            shifted = shifted.index_select(
                axis, _moved(side, sign * max(1, round(side * SHIFT))).to(images.device)
            )
        yield shifted
        yield shifted.flip(3)


def _moved(side: int, by: int) -> Tensor:
    """Where each cell of a line comes from that is moved: reflected where that lies outside."""
    places = (torch.arange(side) - by).abs()
    return torch.where(places < side, places, 2 * (side - 1) - places).clamp(min=0)


def averaged_probabilities(model: Classifier, images: Tensor, how: str) -> Tensor:
    """Average probabilities over all `views` of uint8 pictures: (N, C, H, W) -> (N, classes), on the CPU."""
    means = []
    for part in torch.split(images, BATCH):
        answers = [model.probabilities(scores_of(model, view)) for view in views(part, how)]
        means.append(torch.stack(answers).mean(0))
    return torch.cat(means)


def averaged_accuracy(model: Classifier, pictures: Pictures, how: str) -> float:
    """The share of pictures, 0..1, whose label has the highest of the averaged probabilities."""
    right = averaged_probabilities(model, pictures.images, how).argmax(1) == pictures.labels
    return int(right.sum()) / len(pictures)
