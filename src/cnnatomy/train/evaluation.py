"""How well a classifier does on labelled pictures: the record of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnatomy.files.printable import counted
from cnnatomy.train.statistics import (
    ClassScore,
    Confusion,
    Constant,
    class_scores,
    confusions,
    entries,
    mean,
    wilson,
)

if TYPE_CHECKING:
    from torch import Tensor

FEW = 32
"""Up to so many classes each is shown, and the confusion matrix as a whole; of more, the worst."""


SINGLE = 0.99
"""The share of answers from which on one class is said to be always answered."""


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


class Answers(NamedTuple):
    """Picture by picture: its name, what it is, what it was called, and the probabilities of both."""

    names: Sequence[str]
    labels: Tensor
    predicted: Tensor
    probability: Tensor
    """That the model gave the class it predicted."""
    of_label: Tensor
    """That the model gave the label."""


@dataclass(frozen=True, repr=False)
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
    part: str = "test"
    """Which pictures of the data were judged; empty: all."""
    training_commonest: str | None = None
    """The class that most training pictures have, if that is known."""
    top5_accuracy: float | None = None
    """The share of pictures whose label is among the 5 likeliest. None: there are no more than 5 classes."""
    averaged: float | None = None
    """The accuracy with answers averaged over changed copies of each picture, if that was measured too."""
    notes: tuple[str, ...] = ()
    """What was done to the pictures, and which were left out."""
    answers: Answers | None = None

    def __repr__(self) -> str:
        from cnnatomy.train.evaluation_view import headline

        return headline(self)

    def _repr_markdown_(self) -> str:
        from cnnatomy.train.evaluation_view import markdown

        return markdown(self)

    @property
    def pictures(self) -> int:
        """How many pictures were evaluated."""
        return int(self.confusion.sum())

    @property
    def judged(self) -> str:
        """Which pictures were evaluated, in words: "the 359 test pictures of digits"."""
        what = f"the {counted(self.pictures, f'{self.part} picture')}"
        return f"{what if self.part else f'all {self.pictures:,} pictures'} of {self.data}"

    @property
    def hits(self) -> int:
        """How many pictures got their label."""
        return int(self.confusion.diagonal().sum())

    @property
    def accuracy(self) -> float:
        """The share of pictures that got their label, 0..1."""
        return self.hits / self.pictures

    @property
    def error(self) -> float:
        """The share of pictures that did not, 0..1."""
        return len(self.mistakes) / self.pictures

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the accuracy (Wilson), given this one set of pictures."""
        return wilson(self.hits, self.pictures)

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have pictures."""
        return mean([score.recall for score in self.per_class])

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have pictures or were answered."""
        return mean([score.f1 for score in self.per_class])

    @property
    def commonest(self) -> Constant:
        """The commonest class of these pictures, and what always answering it scores."""
        support = self.confusion.sum(1)
        label = int(support.argmax())
        return Constant(self.classes[label], int(support[label]) / self.pictures)

    @property
    def yardstick(self) -> Constant:
        """What always answering the commonest class of the training pictures scores on these.

        Where the training pictures are not known, their commonest class is taken to be that of these.
        """
        if self.training_commonest is None:
            return self.commonest
        support = int(self.confusion[self.classes.index(self.training_commonest)].sum())
        return Constant(self.training_commonest, support / self.pictures)

    @property
    def beaten(self) -> bool:
        """Whether the model scores more than the yardstick."""
        return self.accuracy > self.yardstick.accuracy

    @property
    def single_answer(self) -> str | None:
        """The class that 99% of the pictures or more were called, though fewer are of it; or None."""
        called = self.confusion.sum(0)
        if not self.pictures or not len(called):
            return None
        most = int(called.argmax())
        ours = int(self.confusion[most].sum())
        single = int(called[most]) >= SINGLE * self.pictures and ours < SINGLE * self.pictures
        return self.classes[most] if single else None

    @cached_property
    def per_class(self) -> tuple[ClassScore, ...]:
        """Precision, recall, F1 and support of every class."""
        return class_scores(self.classes, self.confusion)

    def worst(self, most: int) -> list[ClassScore]:
        """The classes of the lowest F1 among those that have pictures, the worst first."""
        supported = [score for score in self.per_class if score.support]
        return sorted(supported, key=lambda score: (score.f1 or 0.0, -score.support))[:most]

    @cached_property
    def confusions(self) -> list[Confusion]:
        """Every pair of classes that was confused, the most frequent first."""
        return confusions(self.classes, self.confusion)

    def to_json(self) -> dict[str, Any]:
        """Give everything but the single answers as JSON values.

        Up to 32 classes `confusion` is the whole matrix; of more there is `confusion_entries` in its place, a
        list of [row, column, count] without the zeros. Rows are labels, columns predictions.
        """
        few = len(self.classes) <= FEW
        table = self.confusion.tolist() if few else entries(self.confusion)
        return {
            "data": self.data,
            "part": self.part or "all",
            "notes": list(self.notes),
            "pictures": self.pictures,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "error": self.error,
            "mistakes": len(self.mistakes),
            "yardstick": {"class": self.yardstick.name, "accuracy": self.yardstick.accuracy},
            "beats_yardstick": self.beaten,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "top5_accuracy": self.top5_accuracy,
            "averaged_accuracy": self.averaged,
            "loss": self.loss if math.isfinite(self.loss) else None,
            "classes": [score._asdict() for score in self.per_class],
            "confusion" if few else "confusion_entries": table,
            "parameters": self.parameters,
        }
