"""Training pictures whose labels are most probably wrong."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cnnatomy.data import Pictures
from cnnatomy.models.classifier import Classifier
from cnnatomy.models.embedding import embedded
from cnnatomy.train.linear_model import FOLDS, held_out

LISTED = 0.05
"""The share of the pictures that is listed at most."""
CLEAR = -0.5
"""A margin below which a label is clearly doubted."""
FEWEST = 10
"""Pictures of a class, below which nothing can be said of its labels."""


class Doubt(NamedTuple):
    """A picture that other pictures say is something else."""

    place: int
    """In the training pictures."""
    name: str
    label: str
    likely: str
    margin: float
    """What the label got less the most of another class; below 0."""


def doubts(model: Classifier, pictures: Pictures, most: int) -> list[Doubt]:
    """Pictures whose label is not what is foretold of them, the least likely labels first.

    The network's last features are given to five linear models; each foretells the fifth of the pictures
    that it did not learn from. What counts is the margin: what the label gets less the most of another class.

    Args:
        model: a trained network, which may have learned the wrong labels too.
        pictures: its training pictures.
        most: how many of them are looked at, at even steps.

    Returns:
        At most a twentieth of those that were looked at, each with a margin below 0.

    Source: C. Northcutt, L. Jiang, I. Chuang, Confident learning, 2021 (held-out probabilities of labels).
    """
    step = -(-len(pictures) // max(most, 1))
    labels = pictures.labels[::step]
    counts = labels.bincount(minlength=len(pictures.classes))
    if int(counts[counts > 0].min()) < FEWEST or len(labels) < FOLDS * len(pictures.classes):
        return []
    margins, likely = judged_labels(embedded(model, pictures.images[::step]), labels, len(pictures.classes))
    order = margins.argsort(stable=True)[: int(LISTED * len(labels))].tolist()
    return [
        Doubt(
            i * step,
            pictures.names[i * step],
            pictures.classes[int(labels[i])],
            pictures.classes[int(likely[i])],
            float(margins[i]),
        )
        for i in order
        if margins[i] < 0
    ]


def judged_labels(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The margin of every label (N,) under held-out prediction, and the likeliest other class (N,)."""
    said = held_out(features, labels, classes)
    own = said.gather(1, labels[:, None]).squeeze(1)
    other, likely = said.scatter(1, labels[:, None], -torch.inf).max(1)
    return own - other, likely
