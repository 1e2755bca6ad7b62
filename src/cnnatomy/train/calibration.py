"""Whether a model is right as often as it is sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

BINS = 15
STEPS = 60
"""Halvings of the interval that holds the temperature: more than a double has digits."""


class Bin(NamedTuple):
    """Pictures whose predicted class got about the same probability."""

    pictures: int
    confidence: float
    """The mean probability of the predicted class."""
    accuracy: float
    """The share of them that is right."""


class Calibration(NamedTuple):
    """How sure a model is, against how often it is right."""

    bins: Sequence[Bin]
    """Those that have pictures, from the least sure to the surest."""
    error: float
    """The expected calibration error: the mean of |accuracy - confidence| over the pictures."""
    confidence: float
    accuracy: float


def calibration(confidence: Tensor, right: Tensor, bins: int = BINS) -> Calibration:
    """Sort answers into bins of equal width by their confidence, and compare it with the accuracy in each.

    Args:
        confidence: the probability of each predicted class (N,), 0..1.
        right: whether each is right (N,).
        bins: how many; a confidence on a border belongs to the lower bin.

    Source: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On calibration of modern neural networks, 2017.

    Example:
        >>> found = calibration(torch.tensor([0.9, 0.9, 0.6]), torch.tensor([True, False, True]), 10)
        >>> [one.pictures for one in found.bins], round(found.error, 4)
        ([1, 2], 0.4)
    """
    sure, hits = confidence.double(), right.double()
    place = (sure * bins).ceil().long().clamp(1, bins) - 1
    count, sums, good = (
        torch.zeros(bins, dtype=torch.float64).index_add(0, place, one)
        for one in (torch.ones_like(sure), sure, hits)
    )
    some = count > 0
    rows = zip(count[some].tolist(), sums[some].tolist(), good[some].tolist(), strict=True)
    found = [Bin(int(n), total / n, hit / n) for n, total, hit in rows]
    error = sum(one.pictures * abs(one.accuracy - one.confidence) for one in found) / len(sure)
    return Calibration(found, error, float(sure.mean()), float(hits.mean()))


def temperature(shares: Tensor, labels: Tensor) -> float:
    """The T by which log-probabilities are divided so that the labels are likeliest: softmax(log p / T).

    Above 1 the model is surer than it is right. The log-loss is convex in 1/T, whose slope is bisected
    between 1/20 and 20.

    Args:
        shares: probabilities (N, K).
        labels: (N,).

    Source: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On calibration of modern neural networks, 2017.

    Example:
        >>> odds = torch.tensor([[0.5, 0.5, 0.5, -1.5]]).expand(4, 4)
        >>> round(temperature((3 * odds).softmax(1), torch.tensor([0, 1, 2, 3])), 2) > 3
        True
    """
    scores = shares.double().clamp(min=1e-12).log()
    own = scores.gather(1, labels[:, None]).squeeze(1)
    low, high = 1 / 20, 20.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        expected = ((scores * middle).softmax(1) * scores).sum(1)
        low, high = (middle, high) if float((own - expected).mean()) > 0 else (low, middle)
    return 2 / (low + high)
