"""What a report says: an evaluation and what surrounds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnatomy.anatomy import Anatomy
    from cnnatomy.data import Skipped
    from cnnatomy.train.evaluation import Evaluation, Mistake
    from cnnatomy.train.reporter import Choice


@dataclass(frozen=True)
class Curve:
    """One measured quantity over the epochs, the first value after the first epoch."""

    name: str
    values: Sequence[float]


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
    mistakes: Sequence[tuple[Mistake, bytes]] = ()
    """The mistakes to show, each with its picture as PNG."""
    anatomy: Anatomy | None = None
