"""What a training run tells while it goes on, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from cnnatomy.train.config import FitConfig
    from cnnatomy.train.evaluation import Evaluation


@dataclass(frozen=True)
class Plan:
    """What is about to be done: said once, before the first step."""

    run: Path
    config: FitConfig
    """With every automatic value settled."""
    data: str
    """One sentence on the pictures: how many, of what classes, and how they were made to fit."""
    parameters: int
    steps: int
    """Steps of the whole run."""
    first_step: int
    """Steps already made: above 0 for a resumed run."""
    device: str
    processes: int
    weights: str = ""
    """What loading the weights to begin with reported; empty where none were loaded."""


@dataclass(frozen=True)
class Tick:
    """Where the run stands, some ten times a second at most."""

    step: int
    epoch: int
    loss: float
    """Mean over the epoch so far."""
    accuracy: float
    """On the training pictures of the epoch so far, 0..1, each as it was seen."""
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Epoch:
    """One finished pass, a row of log.csv. Accuracies are 0..1; the test pictures choose nothing."""

    epoch: int
    step: int
    lr: float
    """Of the epoch's last step."""
    loss: float
    accuracy: float
    """On the training pictures, each as it was seen during the pass."""
    validation_accuracy: float | None
    test_loss: float
    test_accuracy: float
    images_per_second: float
    seconds: float
    """Since the run began, evaluation included, time between an interruption and its resumption left out."""


@runtime_checkable
class Reporter(Protocol):
    """Somebody who wants to know. Only the first of several processes reports."""

    def reading(self, what: str, done: int, total: int | None, unit: str, /) -> object:
        """Hear how far reading the pictures has come (`cnnatomy.data.Progress`)."""

    def start(self, plan: Plan) -> None:
        """Hear what is about to be done."""

    def tick(self, tick: Tick) -> None:
        """Hear where the run stands."""

    def epoch(self, epoch: Epoch) -> None:
        """Hear how a pass ended."""

    def finish(self, evaluation: Evaluation) -> None:
        """Hear the result."""


class Silent:
    """A reporter that says nothing."""

    def reading(self, what: str, done: int, total: int | None, unit: str, /) -> object:
        """Say nothing."""

    def start(self, plan: Plan) -> None:
        """Say nothing."""

    def tick(self, tick: Tick) -> None:
        """Say nothing."""

    def epoch(self, epoch: Epoch) -> None:
        """Say nothing."""

    def finish(self, evaluation: Evaluation) -> None:
        """Say nothing."""
