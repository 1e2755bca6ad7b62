"""A linear model in closed form: what pixels alone tell, and which labels it would not have given."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.data import Pictures

PENALTY = 0.01
"""Of the mean of the features' squares."""
SIDE = 16
"""Pictures are made smaller to so many pixels a side before their pixels are weighed."""
PICTURES = 5_000
"""So many training pictures are learned from at most."""
FOLDS = 5


def pixels(images: Tensor) -> Tensor:
    """Pictures (N, C, H, W) of bytes as features (N, D), small ones as they are.

    Example:
        >>> pixels(torch.zeros(2, 3, 64, 48, dtype=torch.uint8)).shape
        torch.Size([2, 576])
    """
    height, width = images.shape[2:]
    factor = max(1, max(height, width) // SIDE)
    parts = [F.avg_pool2d(part.float(), factor, ceil_mode=True) for part in torch.split(images, 1024)]
    return torch.cat(parts).flatten(1) / 255


def accuracy_on_pixels(train: Pictures, test: Pictures) -> float:
    """What a linear model on the pixels scores: it takes seconds, and a network should beat it.

    The classes are regressed on the pixels with a ridge penalty; the largest output is the answer.

    Args:
        train: what it learns from: 5,000 pictures at even steps, if there are more.
        test: what it is judged on, with the same classes.
    """
    step = -(-len(train) // PICTURES)
    x, y = pixels(train.images[::step]), F.one_hot(train.labels[::step], len(train.classes)).double()
    x, other = _standardised(x, pixels(test.images))
    answers = (other @ _solved(x.T @ x, x.T @ y)).argmax(1)
    return float((answers == test.labels).double().mean())


def held_out(features: Tensor, labels: Tensor, classes: int, folds: int = FOLDS) -> Tensor:
    """What linear models say of pictures that they did not learn from (N, classes).

    Every fold is answered by the model of the others; picture i is in fold i mod `folds`.

    Args:
        features: (N, D).
        labels: (N,), which may be wrong here and there.
        classes: how many there are.
        folds: models.

    Example:
        >>> x = torch.tensor([[0.0], [0.0], [0.0], [0.0], [5.0], [5.0], [5.0], [5.0]])
        >>> held_out(x, torch.tensor([0, 0, 0, 1, 1, 1, 1, 1]), 2, folds=4).argmax(1).tolist()
        [0, 0, 0, 0, 1, 1, 1, 1]
    """
    (x,), y = _standardised(features), F.one_hot(labels, classes).double()
    square, product = x.T @ x, x.T @ y
    said = torch.zeros_like(y)
    for fold in range(folds):
        own, of = x[fold::folds], y[fold::folds]
        said[fold::folds] = own @ _solved(square - own.T @ own, product - own.T @ of)
    return said


def _standardised(x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Features with the mean 0 and the deviation 1 that x has, and a last one that is always 1."""
    x = x.double()
    mean, deviation = x.mean(0), x.std(0, correction=0).clamp(min=1e-6)
    return tuple(F.pad((one.double() - mean) / deviation, (0, 1), value=1.0) for one in (x, *others))


def _solved(square: Tensor, product: Tensor) -> Tensor:
    """The weights of ridge regression (D, K)."""
    penalty = PENALTY * square.diagonal().mean()
    solved: Tensor = torch.linalg.solve(
        square + penalty * torch.eye(len(square), dtype=square.dtype), product
    )
    return solved
