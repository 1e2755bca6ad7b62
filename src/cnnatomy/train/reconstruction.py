"""How well an encoder-decoder gives its input back, and the choice between this and classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnatomy.data import Pictures
from cnnatomy.files.transfer_progress import Progress, silent
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.batch_evaluation import BATCH, EVALUATING, count_parameters, evaluating, judge, measure
from cnnatomy.train.evaluation import Evaluation


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


def judged(
    model: Classifier,
    pictures: Pictures,
    data: str,
    *,
    training_commonest: str | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a model for what it is for: telling classes, or giving pictures back.

    `training_commonest` and `progress` are those of `judge`.
    """
    if model.goal == "classify":
        return judge(model, pictures, data, training_commonest=training_commonest, progress=progress)
    loss, explained, squared = _sums(model, pictures.images, progress)
    return Reconstruction(
        data,
        classes=(),
        loss=loss,
        confusion=torch.zeros(0, 0, dtype=torch.int64),
        mistakes=(),
        parameters=count_parameters(model),
        count=len(pictures),
        explained=explained,
        squared=squared,
    )


def measured(model: Classifier, pictures: Pictures, progress: Progress = silent) -> tuple[float, float]:
    """Give loss and accuracy, or loss and explained share, only."""
    if model.goal == "classify":
        return measure(model, pictures, progress)
    return _sums(model, pictures.images, progress)[:2]


def redrawn(model: Classifier, images: Tensor) -> Tensor:
    """What the model makes of uint8 pictures (N, C, H, W), as such pictures."""
    with evaluating(model) as device:
        parts = torch.split(images, BATCH)
        return torch.cat([model.restored(model(model.preprocess(x.to(device)))) for x in parts]).cpu()


def _sums(model: Classifier, images: Tensor, progress: Progress) -> tuple[float, float, float]:
    """Loss, explained share and squared error of bytes, batch by batch."""
    totals, done = torch.zeros(3, dtype=torch.float64), 0
    with evaluating(model) as device:
        for part in torch.split(images, BATCH):
            x = model.preprocess(part.to(device))
            y = model(x)
            error = (model.restored(y).double() - part.to(device).double()).square().mean()
            figures = (model.loss(y, x).item() * len(x), model.hits(y, x).item(), error.item() * len(x))
            totals += torch.tensor(figures, dtype=torch.float64)
            done += len(part)
            progress(EVALUATING, done, len(images), "pictures")
    loss, explained, squared = (totals / len(images)).tolist()
    return loss, explained, squared
