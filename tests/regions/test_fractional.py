"""Fractional windows: what Graham's edges promise, for any size, and that seeds decide them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from support import close, random

import cnnatomy
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import Max, Mean
from cnnatomy.regions import Fractional, Region
from cnnatomy.regions.fractional_windows import draw


def windows(region: Region, n: int) -> list[range]:
    (axis,) = region.axes((n,))
    return [axis.table.taps(o) for o in range(axis.table.outputs)]


@given(
    n=st.integers(1, 80),
    out=st.integers(1, 80),
    seed=st.integers(0, 2**70),
    overlapping=st.booleans(),
    kind=st.sampled_from(["pseudo", "random"]),
)
def test_windows_tile_the_axis(n: int, out: int, seed: int, overlapping: bool, kind: Any) -> None:
    assume(out <= n - overlapping)
    found = windows(Fractional(output_size=out, seed=seed, overlapping=overlapping, kind=kind), n)
    assert len(found) == out
    assert found[0].start == 0
    assert found[-1].stop == n
    for before, after in pairwise(found):
        assert after.start == before.stop - overlapping
    alpha = Fraction(n - overlapping, out)
    assert {len(cells) - overlapping for cells in found} <= {math.floor(alpha), math.ceil(alpha)}


@given(n=st.integers(2, 60), out=st.integers(1, 60), seed=st.integers(0, 2**64))
def test_pseudo_random_edges_are_grahams_for_some_u(n: int, out: int, seed: int) -> None:
    """ceil(alpha (i + u)) for one u: the u that fit one edge are an interval, and all edges share some."""
    assume(out <= n)
    edges = [cells.start for cells in windows(Fractional(output_size=out, seed=seed), n)]
    alpha = Fraction(n, out)
    fits = []
    for first in range(1, math.ceil(alpha) + 1):  # ceil(alpha u)
        low = max((first + edge - 1) / alpha - i for i, edge in enumerate(edges))
        high = min((first + edge) / alpha - i for i, edge in enumerate(edges))
        fits.append(max(low, Fraction(0)) < min(high, Fraction(1)))
    assert any(fits)


def test_random_steps_come_in_every_order_equally_often() -> None:
    orders: dict[tuple[int, ...], int] = {}
    for seed in range(3000):
        steps = tuple(map(len, windows(Fractional(output_size=4, seed=seed, kind="random"), 6)))
        orders[steps] = orders.get(steps, 0) + 1
    assert len(orders) == math.comb(4, 2)
    chi = sum((count - 500) ** 2 / 500 for count in orders.values())
    assert chi < 20.5  # 5 degrees of freedom, p = 0.001


def test_seeds_and_axes_draw_for_themselves() -> None:
    for kind in ("pseudo", "random"):
        drawn = {
            axis.table.start
            for seed in range(8)
            for axis in Fractional(output_size=29, seed=seed, kind=kind).axes((40, 40, 40))
        }
        assert len(drawn) > 12
    assert windows(Fractional(0.7, seed=5), 40) == windows(Fractional(0.7, seed=5), 40)


@pytest.mark.parametrize(("n", "out"), [(40, 28), (41, 28), (12, 6), (13, 5)])
def test_as_many_pseudo_random_edges_as_said(n: int, out: int) -> None:
    found = {tuple(windows(Fractional(output_size=out, seed=seed), n)) for seed in range(500)}
    assert len(found) == out // math.gcd(n, out)


def splitmix(state: int) -> Iterator[int]:
    """The generator as published, which counts its state up."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ (z >> shift)) * factor % 2**64
        yield z ^ (z >> 31)


def test_the_draw_is_a_known_generator() -> None:
    assert next(splitmix(0)) == 0xE220A8397B1DCDAF  # its first number from 0, as widely quoted
    for seed in (0, 1, 2**64 - 1):
        for stream, start in zip(range(3), splitmix(seed), strict=False):
            numbers = splitmix(start)
            assert [draw(seed, stream, position) for position in range(5)] == [
                next(numbers) for _ in range(5)
            ]
    bits = [draw(3, 1, position) for position in range(2000)]
    for bit in range(0, 64, 7):
        ones = sum(number >> bit & 1 for number in bits)
        assert abs(ones - 1000) < 4 * math.sqrt(500)


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("kind", ["pseudo", "random"])
def test_pooling_is_a_loop_over_windows(overlapping: bool, kind: Any) -> None:
    region = Fractional((0.6, 0.7), seed=3, overlapping=overlapping, kind=kind)
    x = random((2, 3, 11, 13), torch.float64, ties=True).requires_grad_()
    rows, columns = (
        [axis.table.taps(o) for o in range(axis.table.outputs)] for axis in region.axes((11, 13))
    )
    for reducer, function in ((Max(), torch.Tensor.amax), (Mean(), torch.Tensor.mean)):
        y = cnnatomy.pool(x, reducer, region)
        parts = [
            [function(x[:, :, a.start : a.stop, b.start : b.stop], dim=(2, 3)) for b in columns] for a in rows
        ]
        truth = torch.stack([torch.stack(row, -1) for row in parts], -2)
        assert y.shape == (2, 3, 6, 9)
        close(y, truth)
        if reducer.linear:  # amax shares a tie's gradient
            grad = random(tuple(y.shape), torch.float64, seed=1)
            dx, expected = (torch.autograd.grad(out, x, grad)[0] for out in (y, truth))
            close(dx, expected)


def test_scale_is_the_decimal_it_prints_as() -> None:
    assert Fractional(0.29).outputs((100,)) == (29,)
    assert math.floor(0.29 * 100) == 28
    assert Fractional((0.5, 0.9)).outputs((7, 10)) == (3, 9)
    assert Fractional(1e-05).outputs((300_000,)) == (3,)


def test_reads_back() -> None:
    for region in (Fractional(0.7, seed=9), Fractional(output_size=(3, 4), overlapping=True, kind="random")):
        assert Region.parse(region.text) == region
    assert Fractional(output_size=[3, 4]) == Fractional(output_size=(3, 4))


WRONG: list[dict[str, Any]] = [
    {},
    {"scale_factor": 0.5, "output_size": 3},
    {"scale_factor": 1.0},
    {"scale_factor": 0.0},
    {"scale_factor": math.nan},
    {"scale_factor": (0.5, 2)},
    {"output_size": 0},
    {"output_size": 2.5},
    {"output_size": 3, "seed": -1},
    {"output_size": 3, "seed": 1.0},
    {"output_size": 3, "overlapping": 1},
    {"output_size": 3, "kind": "psuedo"},
]


@pytest.mark.parametrize("options", WRONG, ids=str)
def test_refuses_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        Fractional(**options)


@pytest.mark.parametrize(
    ("region", "size"),
    [
        (Fractional(0.1), (9,)),
        (Fractional(output_size=5), (4,)),
        (Fractional(output_size=4, overlapping=True), (4,)),
        (Fractional((0.5, 0.5)), (8,)),
        (Fractional(output_size=(2, 2)), (8, 8, 8)),
    ],
    ids=str,
)
def test_refuses_inputs_that_do_not_fit(region: Region, size: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError):
        region.outputs(size)
