"""The plain-torch definitions against brute force: Python loops over every window."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from support import close, inputs_for, random
from torch import Tensor

from cnnatomy.backends import reference
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import REGISTRY, Max, Mean, Min, Reducer, reducer
from cnnatomy.reducers.contract import Fold
from cnnatomy.regions import Adaptive, Region, Sliding, Whole

REGIONS = [
    Sliding(2),
    Sliding(3, 2, 1),
    Sliding(2, 1, 0, 2),
    Sliding(2, 2, 3),
    Sliding(2, 3, 0, 1, True),
    Adaptive(3),
    Whole(),
]


def brute(x: Tensor, region: Region, what: Reducer) -> Tensor:
    """Visit every tap of every window of a float64 (N, C, *spatial) in row-major order."""
    axes = region.axes(tuple(x.shape[2:]))
    y = torch.empty((*x.shape[:2], *(axis.table.outputs for axis in axes)), dtype=x.dtype)
    for o in itertools.product(*(range(axis.table.outputs) for axis in axes)):
        cells = list(itertools.product(*(axis.table.taps(i) for axis, i in zip(axes, o, strict=True))))
        padded = math.prod(axis.divisors[i] for axis, i in zip(axes, o, strict=True))
        for n, c in itertools.product(range(x.shape[0]), range(x.shape[1])):
            y[(n, c, *o)] = _value([float(x[(n, c, *cell)]) for cell in cells], padded, what)
    return y


def _value(values: list[float], padded: int, what: Reducer) -> float:
    if isinstance(what, Mean):
        count = what.divisor or (padded if what.count_include_pad else len(values))
        return sum(values) / count if count else math.nan
    if any(math.isnan(value) for value in values):
        return math.nan
    best = max if isinstance(what, Max) else min
    return best(values, default=-math.inf if best is max else math.inf)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("region", REGIONS, ids=str)
@pytest.mark.parametrize(
    "what", [Max(), Min(), Mean(), Mean(count_include_pad=True), Mean(divisor=3.0)], ids=str
)
def test_definition_is_brute_force(rank: int, region: Region, what: Fold) -> None:
    x = random((1, 2, 6, 5, 4)[: 2 + rank], torch.float64, ties=True)
    x[0, 0].view(-1)[3] = math.nan
    x[0, 1].view(-1)[2] = math.inf
    y, winner = reference.forward([x], region, what)
    close(y, brute(x, region, what))
    assert (winner is not None) == what.selects
    if winner is not None:
        cells = reference.cells(winner, region, tuple(x.shape[2:]))
        picked = x.flatten(2).gather(2, cells.clamp(min=0).flatten(2)).view(cells.shape)
        close(torch.where(cells < 0, what.identity[0], picked), y)


def test_registry_knows_every_reducer_by_its_name() -> None:
    assert set(REGISTRY) >= {"max", "min", "mean"}
    for name, kind in REGISTRY.items():
        made = reducer(name)
        assert type(made) is kind
        assert Reducer.parse(made.text) == made
        assert all((kind.summary, kind.formula, kind.source, kind.__doc__))


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(ArgumentError, match="divisor"):
        Mean(divisor=0)
    with pytest.raises(ArgumentError, match="try 'max'"):
        reducer("mux")
    with pytest.raises(ArgumentError, match="reducer"):
        Reducer.parse("Max(size=2)")


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_declared_linearity_is_true(name: str) -> None:
    what = reducer(name)
    if what.draws or what.mixes:
        assert not what.linear
        return
    count = 1 + len(what.companions)
    a, b = (inputs_for(what, (1, 1, 6, 6), torch.float64, seed)[:count] for seed in (1, 7))
    sums = [one + 2 * two for one, two in zip(a, b, strict=True)]
    both, apart = (
        reference.forward(sums, Sliding(3), what)[0],
        reference.forward(a, Sliding(3), what)[0] + 2 * reference.forward(b, Sliding(3), what)[0],
    )
    assert torch.allclose(both, apart) == what.linear


def test_names_are_taken_once() -> None:
    body = {"name": "max", "__module__": "elsewhere"}
    with pytest.raises(TypeError, match="already"):
        type("Largest", (Reducer,), dict(body))
    with pytest.raises(TypeError, match="already"):
        type("Max", (Reducer,), body | {"name": "largest"})
    assert REGISTRY["max"] is Max


@pytest.mark.parametrize("divisor", [True, "2", math.inf, math.nan])
def test_a_divisor_is_a_finite_number(divisor: object) -> None:
    with pytest.raises(ArgumentError, match="divisor"):
        Mean(divisor=divisor)  # type: ignore[arg-type]
