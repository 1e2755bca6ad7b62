"""What a comparison means, in words."""

from __future__ import annotations

from collections.abc import Sequence

from cnnatomy.files.printable import counted
from cnnatomy.studies.metrics import METRICS, Metric
from cnnatomy.studies.paired import Interval, pictures_needed, seeds_needed
from cnnatomy.studies.study_results import Comparison

SIZE = 0.01
"""The difference of which it is said what would show it: a percentage point, or 0.01 of a loss."""
CONFIDENCE = "95% intervals; p corrected for the number of arms (Holm)"


def span(interval: Interval | None, metric: Metric) -> str:
    """An interval of a metric's differences.

    Example:
        >>> span(Interval(-0.01, 0.025, 0.4), METRICS["accuracy"]), span(None, METRICS["accuracy"])
        ('-1.00 to +2.50', '-')
    """
    return f"{metric.change(interval.low)} to {metric.change(interval.high)}" if interval else "-"


def chance(p: float | None) -> str:
    """A p value.

    Example:
        >>> chance(0.03), chance(0.00001), chance(None)
        ('0.030', '<0.001', '-')
    """
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def verdict(one: Comparison, size: float = SIZE) -> str:
    """What may be said of one arm beside the baseline, in a sentence or two.

    Args:
        one: the comparison.
        size: the difference for which to say what would show it.
    """
    names = f"{one.arm} {'above' if one.found.mean > 0 else 'below'} {one.baseline}"
    if one.found.seeds == 1:
        sure = "these two trained networks differ" if one.shown_alike else "no difference shown"
        return f"{one.arm}: {sure}; one seed says nothing of other seeds"
    if one.shown_alike:
        return f"{names}, on these test pictures and on pictures like these"
    if one.shown_here:
        here = f"{names} on these test pictures; no difference shown for pictures like these"
        return f"{here}; {_would(one, size)}"
    return f"{one.arm}: no difference shown; {_would(one, size)}"


def _would(one: Comparison, size: float) -> str:
    """How many seeds or pictures would show a difference of some size."""
    spread, seeds, pictures = one.found.spread, one.found.seeds, one.found.pictures
    assert spread is not None
    more_seeds, more_pictures = seeds_needed(spread, size, pictures), pictures_needed(spread, size, seeds)
    metric = METRICS[one.metric]
    told = f"a difference of {metric.factor * size:g} {metric.unit}".replace(" 1 points", " 1 point")
    if more_seeds is not None and more_seeds <= seeds:
        return f"{told} would have been shown four times in five"
    ways = []
    if more_seeds is not None:
        ways.append(f"{counted(more_seeds, 'seed')}")
    if more_pictures is not None:
        ways.append(f"{counted(more_pictures, 'test picture')}")
    if not ways:
        return f"{told} takes more seeds and more test pictures"
    lacking = (
        ""
        if len(ways) == 2
        else f"; more {'seeds' if more_seeds is None else 'test pictures'} alone will not"
    )
    return f"{told} would take {' or '.join(ways)}{lacking}"


def headline(results: Sequence[Comparison]) -> str:
    """What the study shows, in a line."""
    shown = [one for one in results if one.shown_alike]
    if not results:
        return "one arm: nothing to compare"
    if not shown:
        return f"no arm differs from {results[0].baseline} as far as these runs show"
    metric = METRICS[results[0].metric]
    return "; ".join(
        f"{one.arm} {metric.change(one.found.mean)} {metric.unit} beside {one.baseline}" for one in shown
    )
