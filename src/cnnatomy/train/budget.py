"""How long a run is, in steps or in seconds; the schedule follows the share that is used."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """So much of a unit, in one cycle of the schedule or, with restarts, in several.

    A budget of steps makes a run that can be repeated to the bit. One of seconds ends when the time is used
    up, so that two runs differ by as many steps as the machine was busy with other things.

    Source of restarts: Loshchilov and Hutter (2017), "SGDR", arXiv:1608.03983.

    Args:
        total: steps, or seconds.
        timed: whether these are seconds.
        restarts: where a cycle of the schedule ends and the next begins.

    Example:
        >>> budget = Budget(100, restarts=(60,))
        >>> budget.share(30), budget.share(60), budget.share(80)
        (0.5, 1.0, 0.5)
        >>> budget.ended(99), budget.ended(100)
        (False, True)
    """

    total: float
    timed: bool = False
    restarts: tuple[float, ...] = ()

    def share(self, used: float) -> float:
        """The share of the cycle that has been used when so much has: above 0 and at most 1."""
        ends = (*(mark for mark in self.restarts if mark < self.total), self.total)
        cycle = min(bisect_right(ends, used - 1e-9), len(ends) - 1)
        start = ends[cycle - 1] if cycle else 0.0
        return min(1.0, max(1e-9, (used - start) / (ends[cycle] - start)))

    def ended(self, used: float) -> bool:
        """Whether nothing is left."""
        return used >= self.total

    def left(self, used: float) -> float:
        """The part of the whole that is left, 0..1."""
        return max(0.0, 1 - used / self.total)
