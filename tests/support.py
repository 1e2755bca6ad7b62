"""What several tests share: a table of tolerances, random tensors, and every pooling with its inputs."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

import cnnatomy
from cnnatomy.reducers import (
    L2,
    REGISTRY,
    Covariance,
    GeM,
    Importance,
    KMax,
    Kth,
    LogSumExp,
    Lp,
    Mean,
    Mixed,
    Quantile,
    Reducer,
    Soft,
    Stochastic,
    Trimmed,
    reducer,
)
from cnnatomy.regions import Adaptive, Boxes, Fractional, Pyramid, Region, Sliding, Whole

TOLERANCE: dict[torch.dtype, dict[str, Any]] = {
    torch.float64: {"rtol": 1e-12, "atol": 1e-12},
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.float16: {"rtol": 2e-3, "atol": 2e-3},
    torch.bfloat16: {"rtol": 1.6e-2, "atol": 1.6e-2},
}
"""How far a result of each dtype may lie from the float64 truth, computed from the same rounded input."""

LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
SEED = torch.tensor(1234567890123)
"""Where poolings that draw take their draws from."""

_TELLING: list[Reducer] = [
    *(Mean(count_include_pad=True), Mean(divisor=-3.0)),
    *(L2("mean"), L2("size"), Lp(1.0), Lp(1.5, "mean"), Lp(3.0, "size"), Lp(math.inf, "size")),
    *(GeM(2.5), GeM(clamp=None), GeM(learned=1), GeM(4.0, learned=3)),
    *(Soft(0.5), Soft(learned=3), LogSumExp(-2.0), LogSumExp(3.0, "sum"), LogSumExp(learned=1)),
    *(Mixed(0.3), Mixed(learned=3), Mixed(random=True), Importance("size"), Stochastic("exp")),
    *(KMax(1), KMax(3), KMax(2, each=True), Kth(2), Kth(3, largest=False), Quantile(0.9), Trimmed(0.4)),
    *(Covariance("newton-schulz"), Covariance("log"), Covariance("top", k=2), Covariance("none")),
]
"""Parameters with which a pooling takes another way through its code. A pooling needs no entry here."""

REGIONS: list[Region] = [
    *(Sliding(2), Sliding(3, 2, 1), Sliding(2, 1, 2, 2), Adaptive(3), Whole(), Fractional(0.6)),
    *(Pyramid((1, 2)), Boxes([(0, 0, 0, 2, 3), (1, 1, 1, 3, 3), (1, 1, 1, 3, 3), (0, 3, 1, 9, 9)], 2)),
]
"""Regions of every kind, for two images or more with two axes; some windows lie in padding alone."""

ORDINARY: list[Region] = [Sliding(3, 2, 1), Adaptive(5), Whole()]
"""What every pooling is tried over in both layouts: windows that overlap and are padded, bins, whole maps."""


def examples() -> list[Reducer]:
    """Every pooling of the registry as it comes, and some with telling parameters."""
    return [*map(reducer, sorted(REGISTRY)), *_TELLING]


def kernels() -> list[Reducer]:
    """The examples that have a kernel of their own."""
    return [what for what in examples() if not what.blended]


def label(record: Any) -> str:
    """A region or reducer in short: what is not as it comes."""
    told = {f.name: getattr(record, f.name) for f in fields(record) if getattr(record, f.name) != f.default}
    return f"{type(record).__name__}({', '.join(f'{name}={value}'[:24] for name, value in told.items())})"


def pairs(regions: Sequence[Region], often: int = 6, seldom: int = 24, selecting: bool = False) -> list[Any]:
    """Every example (or those that select) over every region, as parameters of a test, all but some slow.

    Of the poolings as they come every `often`-th stays, of the others every `seldom`-th, in turn.
    """
    return [
        pytest.param(
            what,
            region,
            id=f"{label(what)}-{label(region)}",
            marks=() if (i + j) % (often if i < len(REGISTRY) else seldom) == 0 else pytest.mark.slow,
        )
        for i, what in enumerate(examples())
        for j, region in enumerate(regions)
        if what.selects or not selecting
    ]


def inputs_for(
    what: Reducer,
    shape: tuple[int, ...],
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    ties: bool = False,
) -> tuple[Tensor, ...]:
    """x, above 0 if that is meant, and what the pooling `takes` beside it: companions, and learned parameters
    near their starts.
    """
    x = random(shape, dtype, seed, ties)
    beside = [random(shape, dtype, seed + 1 + i) for i in range(len(what.companions))]
    learned = [
        torch.tensor(start, dtype=dtype) + torch.linspace(0, 0.25, len(start), dtype=dtype)
        for start in what.learns.values()
    ]
    return (x.abs() + ties if what.positive else x, *beside, *learned)


def pooling(what: Reducer, region: Region) -> Callable[..., Any]:
    """`pool` as a function of the tensors of `inputs_for`; what draws does so, from one seed."""

    def run(x: Tensor, *beside: Tensor) -> Any:
        named: dict[str, Any] = dict(zip(what.takes, beside, strict=True))
        return cnnatomy.pool(x, what, region, training=what.draws, seed=SEED, **named)

    return run


def close(actual: Tensor, truth: Tensor, sums: float = 1.0) -> None:
    """Assert that a result equals the truth to its dtype's tolerance; `sums` widens it for longer sums."""
    allowed = {name: value * sums for name, value in TOLERANCE[actual.dtype].items()}
    torch.testing.assert_close(actual.double(), truth.double(), equal_nan=True, check_stride=False, **allowed)


def random(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0, ties: bool = False
) -> Tensor:
    """Random numbers, positive and negative; with `ties` from a handful of values."""
    generator = torch.Generator().manual_seed(seed)
    if ties:
        return torch.randint(-2, 3, shape, generator=generator).to(dtype)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def distinct(*shape: int) -> Tensor:
    """Random float64 values without ties, and not near 0, so that finite differences see no kink."""
    order = torch.randperm(math.prod(shape), generator=torch.Generator().manual_seed(3))
    return (order.view(shape).double() - math.prod(shape) // 2 + 0.4) / 25


def last(x: Tensor) -> Tensor:
    """The same in the channels_last format."""
    return x.contiguous(memory_format=LAST[x.dim()])


def run_apart(script: str, **environment: str) -> str:
    """Run a script in a process of its own; its output."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(script)]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
