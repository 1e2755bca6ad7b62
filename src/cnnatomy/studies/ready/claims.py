"""A claim, and whether a study bears it out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnatomy.studies.metrics import METRICS
from cnnatomy.studies.paired import Difference, difference
from cnnatomy.studies.verdict import span

_ACCURACY = METRICS["accuracy"]


@dataclass(frozen=True)
class Claim:
    """That one arm's accuracy is above another's by more than a margin.

    Example:
        >>> Claim("one is no worse than two by a point", "here", "one", "two", margin=-0.01).margin
        -0.01
    """

    says: str
    source: str
    above: str
    below: str
    margin: float = 0.0
    """Of accuracy, 0.01 for a point; below zero, what may be lost."""
    shift: int | None = None
    """On test pictures that are shifted by so many pixels; None: as they are."""


@dataclass(frozen=True)
class Finding:
    """What a study says of a claim."""

    claim: Claim
    found: Difference

    @property
    def verdict(self) -> str:
        """Held where the interval on pictures like these is above the margin, refuted where it is below."""
        margin = self.claim.margin
        if self.found.alike.low > margin:
            return "held"
        return "refuted" if self.found.alike.high < margin else "not shown"

    @property
    def line(self) -> str:
        """The figures in a line."""
        far = f", shifted by {self.claim.shift}" if self.claim.shift is not None else ""
        told = _ACCURACY.change(self.found.mean)
        return (
            f"{self.claim.above} beside {self.claim.below}{far}: {told} points "
            f"({span(self.found.alike, _ACCURACY)})"
        )


def judge(claim: Claim, above: NDArray[np.float64], below: NDArray[np.float64]) -> Finding:
    """Judge a claim by what two arms scored, (seeds, pictures) each, seed by seed and picture by picture.

    Example:
        >>> claim = Claim("better", "here", "one", "two", margin=0.5)
        >>> judge(claim, np.ones((2, 9)), np.zeros((2, 9))).verdict
        'held'
        >>> judge(claim, np.zeros((2, 9)), np.zeros((2, 9))).verdict
        'refuted'
    """
    return Finding(claim, difference(above - below))
