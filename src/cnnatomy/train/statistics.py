"""What a table of answers tells: intervals, rates by class, and what always giving one answer scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class ClassScore(NamedTuple):
    """How well one class is told from the others."""

    name: str
    precision: float | None
    """Of the pictures called so, the share that is so. None: no picture was called so."""
    recall: float | None
    """Of the pictures that are so, the share called so. None: there was no such picture."""
    f1: float | None
    """The harmonic mean of both, 2 hits / (called + support). None: no picture is or was called so."""
    support: int
    """Pictures of the class."""
    called: int = 0
    """Pictures that were called so."""

    @property
    def intervals(self) -> tuple[tuple[float, float] | None, ...]:
        """The 95% intervals (Wilson) of recall, precision and F1; F1 is hits of (support + called) / 2."""
        rows = (
            (self.recall, self.support),
            (self.precision, self.called),
            (self.f1, (self.support + self.called) / 2),
        )
        return tuple(None if share is None else wilson(share * n, n) for share, n in rows)


class Confusion(NamedTuple):
    """`times` of the `pictures` of class `label` were taken for `predicted`."""

    label: str
    predicted: str
    times: int
    pictures: int


class Constant(NamedTuple):
    """Always answering one class, and the accuracy of that, 0..1."""

    name: str
    accuracy: float


def wilson(count: float, total: float, z: float = 1.959964) -> tuple[float, float]:
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


def commonest(labels: Tensor) -> int:
    """The label (N,) that most pictures have; the lower of two that are equally common.

    Example:
        >>> from torch import tensor
        >>> commonest(tensor([2, 1, 2, 1, 0]))
        1
    """
    return int(labels.bincount().argmax())


def class_scores(classes: tuple[str, ...], confusion: Tensor) -> tuple[ClassScore, ...]:
    """Precision, recall, F1 and support of every class from the counts `confusion[label, predicted]`.

    Example:
        >>> from torch import tensor
        >>> class_scores(("cat", "dog"), tensor([[3, 1], [0, 0]]))[0]
        ClassScore(name='cat', precision=1.0, recall=0.75, f1=0.8571428571428571, support=4, called=3)
    """
    hits = confusion.diagonal().tolist()
    called, support = confusion.sum(0).tolist(), confusion.sum(1).tolist()
    return tuple(
        ClassScore(name, share(hit, said), share(hit, there), share(2 * hit, said + there), there, said)
        for name, hit, said, there in zip(classes, hits, called, support, strict=True)
    )


def confusions(classes: tuple[str, ...], confusion: Tensor) -> list[Confusion]:
    """Every pair of classes that was confused, the most frequent first."""
    support = confusion.sum(1).tolist()
    pairs = [
        Confusion(classes[i], classes[j], count, support[i]) for i, j, count in entries(confusion) if i != j
    ]
    return sorted(pairs, key=lambda pair: -pair.times)


def entries(confusion: Tensor) -> list[list[int]]:
    """The counts that are not zero, as [label, predicted, count], row by row.

    Example:
        >>> from torch import tensor
        >>> entries(tensor([[3, 1], [0, 2]]))
        [[0, 0, 3], [0, 1, 1], [1, 1, 2]]
    """
    places = confusion.nonzero()
    counts = confusion[places[:, 0], places[:, 1]]
    return [[*place, count] for place, count in zip(places.tolist(), counts.tolist(), strict=True)]


def mean(values: list[float | None]) -> float:
    """The mean of the values that are there; not a number if there are none.

    Example:
        >>> mean([0.5, None, 1.0])
        0.75
    """
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else math.nan


def share(part: int, of: int) -> float | None:
    """A share, or None where there is nothing to share."""
    return part / of if of else None
