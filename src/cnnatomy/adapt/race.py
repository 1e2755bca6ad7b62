"""Two ways of computing the same thing, compared: results first, then times, side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Run = Callable[[], Any]


def difference(found: Any, truth: Any) -> float:
    """The largest difference of two results, relative to the largest value; infinite if unlike.

    Example:
        >>> difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        0.5
    """
    ours, theirs = (
        [t for t in torch.utils._pytree.tree_leaves(x) if isinstance(t, Tensor)] for x in (found, truth)
    )
    if len(ours) != len(theirs):
        return float("inf")
    most = 0.0
    for one, other in zip(ours, theirs, strict=True):
        if one.shape != other.shape or one.dtype != other.dtype:
            return float("inf")
        a, b = one.detach().double(), other.detach().double()
        same = (a == b) | (a.isnan() & b.isnan())
        gap = torch.where(same, 0, (a - b).abs())
        finite = b[b.isfinite()].abs()
        scale = max(float(finite.max()), 1e-30) if finite.numel() else 1.0
        largest = float(gap.max()) / scale if gap.numel() else 0.0
        most = max(most, float("inf") if largest != largest else largest)
    return most


def race(
    runs: Sequence[Run], device: torch.device, *, seconds: float, least: int = 5, most: int = 51
) -> list[float]:
    """The median milliseconds of each run; they take turns, every second turn in the opposite order."""
    first = [
        _timed(run, device) for run in runs for _ in range(2)
    ]  # both warm up, and tell how long one takes
    rounds = int(seconds * 1e3 / max(sum(first[1::2]), 1e-3))
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(min(max(rounds, least), most)):
        for i in range(len(runs)) if turn % 2 else reversed(range(len(runs))):
            times[i].append(_timed(runs[i], device))
    return [statistics.median(each) for each in times]


def _timed(run: Run, device: torch.device) -> float:
    _settled(device)
    start = time.perf_counter_ns()
    run()
    _settled(device)
    return (time.perf_counter_ns() - start) / 1e6


def _settled(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
