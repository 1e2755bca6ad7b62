"""What training, evaluation and prediction ask of a model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy.errors import ArgumentError
from cnnatomy.models.size_mismatch import unlike

Goal = Literal["classify", "reconstruct", "map"]


class Classifier(nn.Module):
    """A network from pictures to scores, which knows its input, its loss and what its scores mean.

    Subclasses set `input_shape`, `classes` and `output` and define `_scores`: float (N, C, H, W) -> scores
    (N, K), higher is more likely.
    """

    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    output: str
    class_weights: Tensor | None = None
    """What each class counts in training (K,), where the loss is the cross-entropy."""
    smoothing: float = 0.0
    """The share of a target that all classes divide in training, where the loss is the cross-entropy."""

    @property
    def goal(self) -> Goal:
        """What the output is: scores of classes, a picture of the input's shape, or other maps."""
        return "classify"

    def forward(self, x: Tensor) -> Tensor:
        """Score pictures: (N, *input_shape) -> (N, classes), or maps; without N in and out for a single one.

        Raises:
            ArgumentError: the pictures are of a size or kind that does not fit.
        """
        # What stands for a tensor while torch.fx traces has no shape.
        alone = isinstance(x, Tensor) and x.dim() == len(self.input_shape)
        try:
            return self._scores(x[None])[0] if alone else self._scores(x)
        except Exception as error:  # whatever an operator raises at sizes that it does not take
            said = self._misfit(x)
            if said is None:
                raise
            raise said from error

    @abstractmethod
    def _scores(self, x: Tensor) -> Tensor:
        """Score a batch."""

    def _misfit(self, x: Tensor) -> ArgumentError | None:
        """What to say of pictures, or of a single one, that could not be scored; None if they fit."""
        return unlike(x, self, self.input_shape)

    @abstractmethod
    def preprocess(self, images: Tensor) -> Tensor:
        """Turn uint8 (N, C, H, W) into what `forward` reads."""

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Average the criterion over a batch: scores (N, K), labels (N,) -> scalar; the cross-entropy."""
        if not self.training:
            return F.cross_entropy(scores, labels)
        return F.cross_entropy(scores, labels, self.class_weights, label_smoothing=self.smoothing)

    def hits(self, scores: Tensor, target: Tensor) -> Tensor:
        """How many of a batch are right: scores (N, K), labels (N,) -> scalar."""
        return (scores.argmax(1) == target).sum()

    def adapt(self, images: Tensor) -> None:
        """Let preprocessing learn from uint8 training pictures (N, C, H, W); the base class needs nothing."""

    def facts(self) -> dict[str, Any]:
        """What preprocessing has learned, as JSON values."""
        return {}

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Take back what `facts` gave."""

    def levels(self, maps: Tensor) -> Tensor:
        """Undo `preprocess` but for rounding: maps (N, C, H, W) -> levels from 0 to 255."""
        raise ArgumentError("this network gives no pictures")

    def restored(self, maps: Tensor) -> Tensor:
        """Undo `preprocess`: maps (N, C, H, W) -> uint8 pictures."""
        return self.levels(maps).round().to(torch.uint8)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Turn scores (N, K) into probabilities of the classes, each row summing to 1."""
        return torch.softmax(scores, dim=1)
