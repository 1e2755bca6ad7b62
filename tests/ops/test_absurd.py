"""Numbers that no machine has memory for are refused at once, before anything is allocated."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from support import random

import cnnatomy as ca
import cnnatomy.nn as nn
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import Lp

HUGE = 2**31
X, INDICES, WEIGHT = random((1, 1, 4, 4)), torch.arange(16).view(1, 1, 4, 4), random((1, 1, 3, 3))
LINE = X[:, :, 0]


def _padded(name: str) -> Any:
    return ca.pool(X, name, ca.Sliding(3, 1, HUGE))


CALLS: dict[str, Callable[[], Any]] = {
    **{f"pool, {name}": partial(_padded, name) for name in ca.REGISTRY},
    **{f"pad, {mode}": partial(ca.pad, X, HUGE, mode) for mode in ("edge", "wrap", "mean", "empty")},
    "pool with a stride": lambda: ca.pool(X, "max", ca.Sliding(3, HUGE, HUGE)),
    "pool with a kernel": lambda: ca.pool(X, "max", ca.Sliding(HUGE)),
    "pool of integers": lambda: ca.pool(X.int(), "mean", ca.Sliding(3, 1, HUGE)),
    "adaptive": lambda: ca.pool(X, "max", ca.Adaptive(HUGE)),
    "adaptive on a line": lambda: ca.pool(LINE, "max", ca.Adaptive(HUGE), rank=1),
    "many bins": lambda: ca.pool(X, "max", ca.Adaptive(2**24)),
    "pyramid": lambda: ca.pool(X, "max", ca.Pyramid((1, HUGE))),
    "boxes": lambda: ca.pool(X, "max", ca.Boxes([(0, 0, 0, 2, 2)], HUGE)),
    "fractional": lambda: ca.pool(X, "max", ca.Fractional(output_size=HUGE)),
    "wide padding": lambda: ca.pool(X, "max", ca.Sliding(3, 1, 2**29)),
    "wide padding of integers": lambda: ca.pool(X.int(), "max", ca.Sliding(3, 1, 2**29)),
    "padding with a mode": lambda: ca.pool(X, "max", ca.Sliding(3, 1, 2**29), padding_mode="reflect"),
    "Pool2d": lambda: nn.Pool2d(Lp(3.0), 3, 1, HUGE)(X),
    "AdaptiveAvgPool1d": lambda: nn.AdaptiveAvgPool1d(HUGE)(LINE),
    "MaxUnpool2d": lambda: nn.MaxUnpool2d(HUGE)(X, INDICES),
    "MeanUnpool2d": lambda: nn.MeanUnpool2d(HUGE)(X),
    "Upsample": lambda: nn.Upsample(scale_factor=HUGE)(X),
    "BedOfNails2d": lambda: nn.BedOfNails2d(HUGE)(X),
    "unpool": lambda: ca.unpool(X, INDICES, HUGE),
    "unpool a line": lambda: ca.unpool(LINE, INDICES[:, :, 0], HUGE, rank=1),
    "unpool to much": lambda: ca.unpool(X, INDICES, 2**29),
    "unpool_mean": lambda: ca.unpool_mean(X, ca.Sliding(2), HUGE),
    "unpool_mean to much": lambda: ca.unpool_mean(X, ca.Sliding(2**28)),
    "pad a line": lambda: ca.pad(X[0, 0, 0], HUGE),
    "pad to much": lambda: ca.pad(X, 2**29, "reflect"),
    "Pad2d": lambda: nn.Pad2d(HUGE)(X),
    "resample": lambda: ca.resample(X, HUGE),
    "resample to much": lambda: ca.resample(X.expand(1, 2**20, 4, 4), 2**10),
    "resample by": lambda: ca.resample(X, scale_factor=HUGE),
    "convolve": lambda: ca.convolve(X, WEIGHT, padding=HUGE),
    "convolve a mode": lambda: ca.convolve(X, WEIGHT, padding=2**29, padding_mode="edge"),
    "convolve to much": lambda: ca.convolve(X, WEIGHT, padding=2**29),
    "convolve dilated": lambda: ca.convolve(X, WEIGHT, dilation=2**30, padding="full"),
    "convolve_transposed": lambda: ca.convolve_transposed(X, WEIGHT, stride=HUGE),
    "convolve_transposed to much": lambda: ca.convolve_transposed(X, WEIGHT, stride=2**29),
    "Conv2d": lambda: nn.Conv2d(1, 1, HUGE),
    "SubpixelConv2d": lambda: nn.SubpixelConv2d(1, 1, 3, scale_factor=HUGE),
    "LocalResponseNorm": lambda: nn.LocalResponseNorm(HUGE),
    "depth_to_space": lambda: nn.depth_to_space(X, HUGE),
    "uniform": lambda: ca.filters.uniform(HUGE),
    "gaussian": lambda: ca.filters.gaussian(1e12),
    "binomial": lambda: ca.filters.binomial(HUGE),
}


@pytest.mark.parametrize("name", CALLS)
def test_refused_at_once(name: str) -> None:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ArgumentError, match=r"expected"):
        CALLS[name]()
    assert time.process_time() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # of kilobytes


def test_tensors_without_data_have_any_size() -> None:
    x = torch.empty(2**20, 2**10, 64, 64, device="meta")
    assert ca.pool(x, "max", ca.Sliding(2)).shape == (2**20, 2**10, 32, 32)
    assert ca.pad(x, 1).shape == (2**20 + 2, 2**10 + 2, 66, 66)
    assert ca.resample(x, scale_factor=2).shape == (2**20, 2**10, 128, 128)
