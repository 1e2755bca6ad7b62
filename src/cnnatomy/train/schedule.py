"""The learning rate of each step."""

from __future__ import annotations

import math

WARMUP = 0.15
"""Share of the steps in which the rate rises."""
START = 0.04
"""The rate of the first step, as a share of the peak."""


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Give the learning rate of a step: up from 4% to the peak along half a cosine, then down to 0.

    Source: Smith and Topin (2017), "Super-convergence", arXiv:1708.07120; cosines for its straight lines.

    Example:
        >>> [round(one_cycle(step, 40, peak=1.0), 3) for step in (0, 5, 22, 39)]
        [0.104, 1.0, 0.5, 0.0]
    """
    done = (step + 1) / steps
    if done < WARMUP:
        return peak * (START + (1 - START) * (1 - math.cos(math.pi * done / WARMUP)) / 2)
    return peak * (1 + math.cos(math.pi * (done - WARMUP) / (1 - WARMUP))) / 2
