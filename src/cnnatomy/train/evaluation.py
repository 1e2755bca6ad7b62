"""How well a classifier does on labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.data import Pictures
from cnnatomy.models.classifier import Classifier

BATCH = 256


@dataclass(frozen=True)
class ClassScore:
    """How well one class is told from the others."""

    name: str
    precision: float | None
    """Of the pictures called so, the share that is so. None: no picture was called so."""
    recall: float | None
    """Of the pictures that are so, the share called so. None: there was no such picture."""
    support: int
    """Pictures of the class."""


@dataclass(frozen=True)
class Mistake:
    """A picture that was taken for something else."""

    index: int
    """In the pictures that were evaluated."""
    name: str
    """Where the picture came from."""
    label: str
    predicted: str
    probability: float
    """What the model gave the wrong class."""


@dataclass(frozen=True)
class Evaluation:
    """The result of `judge`.

    `confusion[label, predicted]` counts pictures; `mistakes` begins with the ones the model was surest of;
    `parameters` counts trainable parameters by layer.
    """

    data: str
    classes: tuple[str, ...]
    loss: float
    confusion: Tensor
    mistakes: tuple[Mistake, ...]
    parameters: dict[str, int]

    @property
    def pictures(self) -> int:
        """How many pictures were evaluated."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share of pictures that got their label, 0..1."""
        return int(self.confusion.diagonal().sum()) / self.pictures

    @property
    def error(self) -> float:
        """The share of pictures that did not, 0..1."""
        return len(self.mistakes) / self.pictures

    @property
    def per_class(self) -> tuple[ClassScore, ...]:
        """Precision, recall and support of every class."""
        hits = self.confusion.diagonal().tolist()
        called, support = self.confusion.sum(0).tolist(), self.confusion.sum(1).tolist()
        return tuple(
            ClassScore(name, hit / said if said else None, hit / there if there else None, there)
            for name, hit, said, there in zip(self.classes, hits, called, support, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """Give everything but the list of mistakes as JSON values."""
        return {
            "data": self.data,
            "pictures": self.pictures,
            "accuracy": self.accuracy,
            "error": self.error,
            "mistakes": len(self.mistakes),
            "loss": self.loss,
            "classes": [vars(score) for score in self.per_class],
            "confusion": self.confusion.tolist(),
            "parameters": self.parameters,
        }


@torch.no_grad()
def scores_of(model: Classifier, images: Tensor) -> Tensor:
    """Score uint8 pictures (N, C, H, W) in evaluation mode, batch by batch: (N, classes), on the CPU."""
    device, training = next(model.parameters()).device, model.training
    model.eval()
    try:
        parts = [model(model.preprocess(part.to(device))).cpu() for part in torch.split(images, BATCH)]
    finally:
        model.train(training)
    return torch.cat(parts)


def measure(model: Classifier, pictures: Pictures) -> tuple[float, float]:
    """Give loss and accuracy only."""
    scores = scores_of(model, pictures.images)
    hits = scores.argmax(1) == pictures.labels
    return model.loss(scores, pictures.labels).item(), hits.double().mean().item()


def judge(model: Classifier, pictures: Pictures, data: str) -> Evaluation:
    """Evaluate a model on pictures whose labels index its classes.

    Raises:
        ArgumentError: this is no model with classes, or these are no pictures.
    """
    checks.of_kind("the model", model, Classifier, "one of cnnatomy.models.build")
    checks.of_kind("what to judge on", pictures, Pictures, "cnnatomy.data.Pictures")
    scores = scores_of(model, pictures.images)
    predicted, labels = scores.argmax(1), pictures.labels
    count = len(model.classes)
    confusion = torch.bincount(labels * count + predicted, minlength=count * count).view(count, count)
    sure = model.probabilities(scores).gather(1, predicted[:, None]).squeeze(1)
    wrong = (predicted != labels).nonzero().squeeze(1)
    wrong = wrong[sure[wrong].argsort(descending=True, stable=True)]
    mistakes = tuple(
        Mistake(i, pictures.names[i], model.classes[labels[i]], model.classes[predicted[i]], sure[i].item())
        for i in wrong.tolist()
    )
    loss = model.loss(scores, labels).item()
    return Evaluation(data, model.classes, loss, confusion, mistakes, count_parameters(model))


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Count the trainable parameters of every layer that has any.

    Example:
        >>> count_parameters(nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)))
        {'0': 8, '2': 3}
    """
    counts = {
        name or "model": sum(p.numel() for p in layer.parameters(recurse=False) if p.requires_grad)
        for name, layer in model.named_modules()
    }
    return {name: count for name, count in counts.items() if count}
