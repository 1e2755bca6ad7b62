"""By what arms may be compared: each metric is the mean of what every test picture adds to it.

That is what lets pictures be paired, and their chance be told from that of the seeds. The macro F1 score is
no such mean; it is replaced by its linear part about the run's own value, which has that value as its mean:
with u = 2 TP / N and v = (predicted + labelled) / N of a class, F = u / v, a picture adds
F + (2 [it is right] - F ([it was called so] + [it is so])) / v, averaged over the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Given(NamedTuple):
    """What a run said of every test picture."""

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    of_label: Floats
    """The probability that it gave the label."""

    @property
    def hits(self) -> Floats:
        """1 for every picture that got its label, 0 for the others."""
        return np.equal(self.labels, self.predicted).astype(np.float64)


class Metric(NamedTuple):
    """A figure by which arms are compared."""

    summary: str
    scores: Callable[[Given], Floats]
    """What every test picture adds; the mean is the metric."""
    factor: float = 100.0
    unit: str = "points"
    digits: int = 2

    def value(self, value: float) -> str:
        """A value of the metric: shares in percent.

        Example:
            >>> METRICS["accuracy"].value(0.8125), METRICS["log-loss"].value(0.8125)
            ('81.25%', '0.8125')
        """
        return f"{self.factor * value:.{self.digits}f}{'%' if self.unit == 'points' else ''}"

    def change(self, value: float) -> str:
        """A difference with its sign, shares in percentage points.

        Example:
            >>> change = METRICS["accuracy"].change
            >>> change(0.0123), change(-0.004), change(-1e-9), METRICS["log-loss"].change(0.0123)
            ('+1.23', '-0.40', '0.00', '+0.0123')
        """
        told = f"{self.factor * value:+.{self.digits}f}"
        return told if float(told) else told[1:]


def _balanced(given: Given) -> Floats:
    counts = np.bincount(given.labels)
    weights = len(given.labels) / np.count_nonzero(counts) / counts[given.labels]
    return np.asarray(given.hits * weights, np.float64)


def _macro_f1(given: Given) -> Floats:
    present = np.union1d(given.labels, given.predicted)
    scores = np.zeros(len(given.labels))
    for one in present:
        labelled, called = given.labels == one, given.predicted == one
        v = (labelled.mean() + called.mean()).item()
        f1 = 2 * (labelled & called).mean().item() / v
        scores += f1 + (2.0 * (labelled & called) - f1 * (1.0 * labelled + called)) / v
    return np.asarray(scores / len(present), np.float64)


def _loss(given: Given) -> Floats:
    return np.asarray(-np.log(np.maximum(given.of_label, np.finfo(np.float32).tiny)), np.float64)


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "accuracy": Metric("the share of test pictures that got their label", lambda given: given.hits),
        "balanced": Metric("the same, every class counted alike", _balanced),
        "macro-f1": Metric("the F1 score, averaged over the classes", _macro_f1),
        "log-loss": Metric("-log of the probability of the label; less is better", _loss, 1.0, "nats", 4),
    }
)
"""Every metric by name, the default first."""
