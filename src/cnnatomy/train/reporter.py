"""What a training run tells while it goes on, and to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from cnnatomy import checks
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from cnnatomy.data import Skipped
    from cnnatomy.models.classifier import Classifier
    from cnnatomy.train.evaluation import Evaluation
    from cnnatomy.train.settings import Settings


class Choice(NamedTuple):
    """One line of a plan: what was settled, why, and the flags that settle it otherwise."""

    what: str
    said: str
    why: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is about to be done: said once, before the first step."""

    run: Path | None
    """The run's folder; None where nothing will be done."""
    settings: Settings
    """With every automatic value settled."""
    choices: Sequence[Choice]
    """What was settled from the data, line by line."""
    parameters: int
    steps: int | None
    """Steps of the whole run; None where it goes by time."""
    first_step: int
    """Steps already made: above 0 for a resumed run."""
    device: str
    processes: int
    notes: Sequence[str] = ()
    """What a reader should know of the pictures and the weights."""
    skipped: Sequence[Skipped] = ()
    """Pictures that cannot be read and are left out."""
    model: Classifier | None = field(default=None, repr=False, compare=False)
    """The network in training, for callbacks that look at it."""
    seconds: float | None = None
    """How long it will take; None where that is not measured beforehand."""


@dataclass(frozen=True)
class Tick:
    """Where the run stands, every few steps."""

    step: int
    epoch: int
    loss: float
    """Mean over the epoch so far."""
    accuracy: float
    """On the training pictures of the epoch so far, 0..1, each as it was seen."""
    images_per_second: float
    seconds_left: float
    done: float = 0.0
    """The share of the run that is done, 0..1."""


@dataclass(frozen=True)
class Epoch:
    """One finished pass, a row of log.csv. Accuracies are 0..1; None is what was not measured."""

    epoch: int
    step: int
    lr: float
    """Of the epoch's last step."""
    loss: float
    accuracy: float
    """On the training pictures, each as it was seen during the pass."""
    validation_loss: float | None
    validation_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    images_per_second: float
    seconds: float
    """Since the run began, measuring included, time between an interruption and its resumption left out."""


class StopTraining(Exception):
    """Raised by a callback to end the training here, as if the budget had run out: the result is judged."""


@runtime_checkable
class Reporter(Protocol):
    """A callback: somebody who wants to know, at five points. Only the first of several processes reports.

    Raise `StopTraining` from `tick` or `epoch` to end the training in good order.
    """

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
    """A callback that says nothing; the base of others, which override the points that matter to them.

    Example:
        >>> class Patient(Silent):
        ...     def epoch(self, epoch):
        ...         if epoch.accuracy > 0.99:
        ...             raise StopTraining
        >>> isinstance(Patient(), Reporter)
        True
    """

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


class Several(Silent):
    """Tells several callbacks, in their order."""

    def __init__(self, members: Sequence[Reporter]) -> None:
        self.members = members

    def reading(self, what: str, done: int, total: int | None, unit: str, /) -> object:
        """Tell all."""
        for one in self.members:
            one.reading(what, done, total, unit)
        return None

    def start(self, plan: Plan) -> None:
        """Tell all."""
        for one in self.members:
            one.start(plan)

    def tick(self, tick: Tick) -> None:
        """Tell all."""
        for one in self.members:
            one.tick(tick)

    def epoch(self, epoch: Epoch) -> None:
        """Tell all."""
        for one in self.members:
            one.epoch(epoch)

    def finish(self, evaluation: Evaluation) -> None:
        """Tell all."""
        for one in self.members:
            one.finish(evaluation)


def together(callbacks: Sequence[Reporter]) -> Reporter:
    """Several callbacks as one.

    Raises:
        ArgumentError: one of them is nobody that can be told.
    """
    for one in checks.of_kind("callbacks", callbacks, (list, tuple), "a list of callbacks"):
        if not isinstance(one, Reporter):
            raise ArgumentError("whom to tell", expected="a callback", got=checks.shown(one))
    return Several(list(callbacks))
