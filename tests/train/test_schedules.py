from __future__ import annotations

import itertools
import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.train.schedules import SCHEDULES, START, rate

NAMES = st.sampled_from(list(SCHEDULES))
SHARES = st.floats(0, 1)
WARMUPS = st.none() | st.floats(0, 0.9)


def test_is_read_without_torch() -> None:
    code = "import sys, cnnatomy.train.schedules; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(NAMES, SHARES, WARMUPS)
def test_a_rate_is_a_share_of_the_peak(name: str, done: float, warmup: float | None) -> None:
    assert 0 <= rate(name, done, warmup=warmup) <= 1


@given(NAMES, SHARES, SHARES, WARMUPS)
def test_it_rises_in_the_warm_up_and_never_after(
    name: str, one: float, other: float, warmup: float | None
) -> None:
    warm = SCHEDULES[name].warmup if warmup is None else warmup
    early, late = sorted((one, other))
    before, after = (rate(name, done, warmup=warmup) for done in (early, late))
    if late < warm:
        assert before <= after + 1e-12
    if early >= warm:
        assert before >= after - 1e-12


@given(NAMES, st.floats(0.01, 0.5))
def test_the_warm_up_is_continuous_and_reaches_the_peak(name: str, warmup: float) -> None:
    grid = [rate(name, warmup * i / 200, warmup=warmup) for i in range(201)]
    assert max(abs(b - a) for a, b in itertools.pairwise(grid)) < 1e-2
    assert grid[0] == pytest.approx(START if name == "one-cycle" else 0)
    assert grid[-1] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("name", "end"), [
    ("one-cycle", 0), ("cosine", 0), ("linear", 0), ("step", 0.01), ("constant", 1),
])  # fmt: skip
@pytest.mark.parametrize("over", [1.0, 1.0001, 5.0])
def test_it_ends_where_it_should(name: str, end: float, over: float) -> None:
    assert rate(name, over) == pytest.approx(end, abs=1e-15)


@pytest.mark.parametrize(("step", "value"), [
    (0, 0.10430780618346946), (3, 0.7600000000000001), (5, 1.0),
    (22, 0.5000000000000001), (33, 0.07489143213519289), (38, 0.0021329118524827106), (39, 0.0),
])  # fmt: skip
def test_one_cycle_keeps_its_values(step: int, value: float) -> None:
    assert rate("one-cycle", (step + 1) / 40) == pytest.approx(value, rel=1e-14, abs=1e-16)


@given(st.integers(20, 5_000))
def test_one_cycle_rises_to_the_peak_once_and_falls_to_nothing(steps: int) -> None:
    rates = [rate("one-cycle", (step + 1) / steps) for step in range(steps)]
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert 0.9 < rates[top] <= 1
    assert abs(top + 1 - SCHEDULES["one-cycle"].warmup * steps) <= 1
    assert 0 < rates[0] < rates[top]


def _torchs(scheduler: type, steps: int, **options: object) -> list[float]:
    """The rates that a scheduler of torch gives the steps 0, 1, .. of an optimizer of rate 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    made = scheduler(optimizer, **options)
    rates = []
    for _ in range(steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    return rates


def test_falls_are_torchs() -> None:
    steps, kinds = 64, torch.optim.lr_scheduler
    grid = [step / steps for step in range(steps + 1)]
    cosine = _torchs(kinds.CosineAnnealingLR, steps, T_max=steps)
    assert [rate("cosine", done, warmup=0) for done in grid] == pytest.approx(cosine, abs=1e-6)
    linear = _torchs(kinds.LinearLR, steps, start_factor=1.0, end_factor=0.0, total_iters=steps)
    assert [rate("linear", done, warmup=0) for done in grid] == pytest.approx(linear, abs=1e-6)
    marks = [steps // 2, steps * 3 // 4]
    falls = _torchs(kinds.MultiStepLR, steps - 1, milestones=marks, gamma=0.1)
    assert [rate("step", done) for done in grid[1:]] == pytest.approx(falls)


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_means_nothing_is_told(name: str) -> None:
    for done, warmup in ((-0.1, 0.1), (math.nan, 0.1), (math.inf, 0.1), (0.5, 1.0), (0.5, -0.1)):
        with pytest.raises(ArgumentError):
            rate(name, done, warmup=warmup)
    with pytest.raises(ArgumentError, match=r"unknown schedule.*try 'cosine'"):
        rate("cosin", 0.5)
