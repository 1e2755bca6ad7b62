"""Learning rates over a run, as shares of the peak; standard library only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cnnatomy import checks
from cnnatomy.data.data_catalog import one_of

START = 0.04
"""Where one-cycle begins, as a share of the peak."""


@dataclass(frozen=True)
class Schedule:
    """How the rate falls after the warm-up, which it does over the rest of the budget."""

    summary: str
    source: str
    warmup: float
    """Share of the budget in which the rate rises, unless something else is said."""
    rise: Callable[[float, float], float]
    """The share of the peak where so much of the budget is done, less than the warm-up."""
    fall: Callable[[float, float], float]
    """The share of the peak where so much of the budget is done, the warm-up or more."""


def _straight(done: float, warmup: float) -> float:
    return done / warmup


def _one_cycle(done: float, warmup: float) -> float:
    return START + (1 - START) * (1 - math.cos(math.pi * done / warmup)) / 2


def _cosine(done: float, warmup: float) -> float:
    return (1 + math.cos(math.pi * (done - warmup) / (1 - warmup))) / 2


def _steps(done: float, _: float) -> float:
    return 1.0 if done <= 0.5 else 0.1 if done <= 0.75 else 0.01


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        "one-cycle": Schedule(
            "up from 4% of the peak along half a cosine, then down to 0 along another",
            "Smith and Topin (2017), arXiv:1708.07120; cosines for its straight lines",
            0.15,
            _one_cycle,
            _cosine,
        ),
        "cosine": Schedule(
            "up from 0 in a straight line, then down to 0 along half a cosine",
            "Loshchilov and Hutter (2017), arXiv:1608.03983; warm-up of Goyal et al. (2017)",
            0.2,
            _straight,
            _cosine,
        ),
        "linear": Schedule(
            "up from 0 and down to 0 in straight lines",
            "Goyal et al. (2017), arXiv:1706.02677, for the warm-up",
            0.2,
            _straight,
            lambda done, warmup: (1 - done) / (1 - warmup),
        ),
        "step": Schedule(
            "a tenth of the rate after half of the budget, and again after three quarters",
            "He et al. (2015), arXiv:1512.03385, section 4.2",
            0.0,
            _straight,
            _steps,
        ),
        "constant": Schedule(
            "the peak throughout",
            "Robbins and Monro (1951), doi:10.1214/aoms/1177729586, without the decrease",
            0.0,
            _straight,
            lambda _, __: 1.0,
        ),
    }
)
"""Every schedule by name, the default first."""


def rate(name: str, done: float, *, warmup: float | None = None) -> float:
    """Give the learning rate as a share of the peak, from 0 to 1.

    Args:
        name: one of `SCHEDULES`.
        done: the share of the budget, of steps or of time, that is done with this step: (step + 1) / steps.
            More than 1 counts as 1: a budget of time may be overrun.
        warmup: the share of the budget in which the rate rises. None: the schedule's own.

    Raises:
        ArgumentError: there is no such schedule, or the shares are none.

    Example:
        >>> [round(rate("one-cycle", done), 3) for done in (0.025, 0.15, 0.575, 1)]
        [0.104, 1.0, 0.5, 0.0]
        >>> [rate("step", done) for done in (0.5, 0.75, 1)]
        [1.0, 0.1, 0.01]
    """
    schedule = SCHEDULES[one_of("schedule", name, SCHEDULES)]
    checks.real("the share of the budget done", done, "a number >= 0", lambda n: 0 <= n < math.inf)
    warm = schedule.warmup if warmup is None else warmup
    checks.real("warmup", warm, "a share of the budget, from 0 to below 1", lambda n: 0 <= n < 1)
    done = min(done, 1.0)
    if done < warm:
        return schedule.rise(done, warm)
    return schedule.fall(done, warm)
