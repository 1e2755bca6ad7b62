"""What a report says: an evaluation and what surrounds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnatomy.anatomy import Anatomy
    from cnnatomy.data import Skipped
    from cnnatomy.report.class_pictures import Pair, Samples
    from cnnatomy.report.label_doubts import Doubt
    from cnnatomy.train.calibration import Calibration
    from cnnatomy.train.evaluation import Evaluation, Mistake
    from cnnatomy.train.reporter import Choice


@dataclass(frozen=True)
class Curve:
    """One measured quantity over the epochs, the first value after the first epoch."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Doubted:
    """Training pictures whose labels are doubted."""

    looked: int
    """How many pictures were looked at."""
    share: float
    """The share of them whose labels are clearly doubted."""
    drawn: Sequence[tuple[Doubt, bytes]] = ()
    names: Sequence[tuple[str, str, str]] = ()
    """File, label and likelier class of each."""


@dataclass(frozen=True)
class Figured:
    """What is computed of a run's answers and its pictures."""

    yardsticks: Sequence[tuple[str, float]] = ()
    """What the accuracy is to be compared with."""
    calibration: Calibration | None = None
    temperature: float | None = None
    """What scores are divided by so that the labels are likeliest."""
    doubted: Doubted | None = None
    samples: Sequence[Samples] = ()
    changes: str = "none"
    """How pictures were changed in training."""
    pairs: Sequence[Pair] = ()
    steps: Sequence[str] = ()
    """What to try next."""


@dataclass(frozen=True)
class Page:
    """All that the page shows."""

    title: str
    evaluation: Evaluation
    summary: str = ""
    notes: Sequence[str] = ()
    """What a reader of the figures must know."""
    choices: Sequence[Choice] = ()
    """What was settled from the data, and why."""
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Groups of facts by heading: what it is called, what it is."""
    left_out: Sequence[Skipped] = ()
    """Pictures that cannot be read."""
    losses: Sequence[Curve] = ()
    accuracies: Sequence[Curve] = ()
    rates: Sequence[Curve] = ()
    """The learning rate."""
    figured: Figured = field(default_factory=Figured)
    look: str = ""
    """The page on what the network looks for, if it lies beside this one."""
    mistakes: Sequence[tuple[Mistake, bytes]] = ()
    """The mistakes to show, each with its picture as PNG."""
    anatomy: Anatomy | None = None
