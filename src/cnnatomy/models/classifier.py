"""What training, evaluation and prediction ask of a model."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Classifier(nn.Module):
    """A network from pictures to scores, which knows its input, its loss and what its scores mean.

    Subclasses set `input_shape`, `classes` and `output` and define `forward`: float (N, C, H, W) -> scores
    (N, K), higher is more likely.
    """

    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    output: str

    @abstractmethod
    def preprocess(self, images: Tensor) -> Tensor:
        """Turn uint8 (N, C, H, W) into what `forward` reads."""

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Average the criterion over a batch: scores (N, K), labels (N,) -> scalar; the cross-entropy."""
        return F.cross_entropy(scores, labels)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Turn scores (N, K) into probabilities of the classes, each row summing to 1."""
        return torch.softmax(scores, dim=1)
