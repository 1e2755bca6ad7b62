"""How well an encoder-decoder gives its input back, and the choice between this and classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnatomy.data import Pictures
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.evaluation import BATCH, ClassScore, Evaluation, count_parameters, judge, measure


@dataclass(frozen=True)
class Reconstruction(Evaluation):
    """The result of an encoder-decoder: `loss` is the mean squared error of standardised pictures.

    What is called accuracy is the share of the pictures' variance that is explained, 1 - error / variance,
    the mean over the pictures. There are no classes.
    """

    count: int = 0
    explained: float = 0.0
    squared: float = 0.0
    """The mean squared error of bytes."""

    @property
    def pictures(self) -> int:
        """How many pictures were evaluated."""
        return self.count

    @property
    def accuracy(self) -> float:
        """The share of the variance that is explained."""
        return self.explained

    @property
    def error(self) -> float:
        """The share that is not."""
        return 1 - self.explained

    @property
    def per_class(self) -> tuple[ClassScore, ...]:
        """Nothing: there are no classes."""
        return ()

    @property
    def psnr(self) -> float:
        """The peak signal-to-noise ratio in decibels: 10 log10(255^2 / squared error)."""
        return 10 * math.log10(255**2 / self.squared) if self.squared else math.inf

    def to_json(self) -> dict[str, Any]:
        """Give everything as JSON values."""
        return {
            "data": self.data,
            "pictures": self.pictures,
            "explained": self.explained,
            "loss": self.loss,
            "psnr": self.psnr,
            "parameters": self.parameters,
        }


def judged(model: Classifier, pictures: Pictures, data: str) -> Evaluation:
    """Evaluate a model for what it is for: telling classes, or giving pictures back."""
    if model.goal == "classify":
        return judge(model, pictures, data)
    loss, explained, squared = _sums(model, pictures.images)
    nothing = torch.zeros(0, 0, dtype=torch.int64)
    counts = count_parameters(model)
    return Reconstruction(data, (), loss, nothing, (), counts, len(pictures), explained, squared)


def measured(model: Classifier, pictures: Pictures) -> tuple[float, float]:
    """Give loss and accuracy, or loss and explained share, only."""
    return measure(model, pictures) if model.goal == "classify" else _sums(model, pictures.images)[:2]


@torch.no_grad()
def redrawn(model: Classifier, images: Tensor) -> Tensor:
    """What the model makes of uint8 pictures (N, C, H, W), as such pictures."""
    device, training = next(model.parameters()).device, model.training
    model.eval()
    try:
        parts = [
            model.restored(model(model.preprocess(x.to(device)))).cpu() for x in torch.split(images, BATCH)
        ]
    finally:
        model.train(training)
    return torch.cat(parts)


@torch.no_grad()
def _sums(model: Classifier, images: Tensor) -> tuple[float, float, float]:
    """Loss, explained share and squared error of bytes, batch by batch."""
    device, training = next(model.parameters()).device, model.training
    model.eval()
    totals = torch.zeros(3, dtype=torch.float64)
    try:
        for part in torch.split(images, BATCH):
            x = model.preprocess(part.to(device))
            y = model(x)
            error = (model.restored(y).double() - part.to(device).double()).square().mean()
            figures = (model.loss(y, x).item() * len(x), model.hits(y, x).item(), error.item() * len(x))
            totals += torch.tensor(figures, dtype=torch.float64)
    finally:
        model.train(training)
    loss, explained, squared = (totals / len(images)).tolist()
    return loss, explained, squared
