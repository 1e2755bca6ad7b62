"""What a report says: an evaluation and what surrounds it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnnatomy.anatomy import Anatomy
    from cnnatomy.train.evaluation import Evaluation, Mistake


@dataclass(frozen=True)
class Curve:
    """One measured quantity over the epochs, the first value after the first epoch."""

    name: str
    values: Sequence[float]


class Confusion(NamedTuple):
    """`times` of the `pictures` of class `label` were taken for `predicted`."""

    label: str
    predicted: str
    times: int
    pictures: int


@dataclass(frozen=True)
class Page:
    """All that the page shows."""

    title: str
    evaluation: Evaluation
    summary: str = ""
    notes: Sequence[str] = ()
    """What a reader of the figures must know."""
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Groups of facts by heading: what it is called, what it is."""
    losses: Sequence[Curve] = ()
    accuracies: Sequence[Curve] = ()
    mistakes: Sequence[tuple[Mistake, bytes]] = ()
    """The mistakes to show, each with its picture as PNG."""
    anatomy: Anatomy | None = None

    @property
    def wrong(self) -> int:
        """How many pictures were taken for something else."""
        return len(self.evaluation.mistakes)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% confidence interval of the error rate, given this one test set."""
        return wilson(self.wrong, self.evaluation.pictures)

    def confusions(self, most: int) -> list[Confusion]:
        """The most frequent confusions, the most frequent first."""
        return confusions(self.evaluation)[:most]


def confusions(evaluation: Evaluation) -> list[Confusion]:
    """Every pair of classes that was confused, the most frequent first."""
    names = evaluation.classes
    pairs = [
        Confusion(names[i], names[j], count, sum(row))
        for i, row in enumerate(evaluation.confusion.tolist())
        for j, count in enumerate(row)
        if count and i != j
    ]
    return sorted(pairs, key=lambda pair: -pair.times)


def wilson(count: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The score interval of a proportion, (p + z^2/2n ± z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.

    Example:
        >>> [round(bound, 4) for bound in wilson(105, 10_000)]
        [0.0087, 0.0127]
    """
    p, spread = count / total, z * z / total
    centre = p + spread / 2
    half = math.sqrt(p * (1 - p) * spread + spread * spread / 4)
    return max(0.0, (centre - half) / (1 + spread)), min(1.0, (centre + half) / (1 + spread))
