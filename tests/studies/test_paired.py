"""How sure a difference is, against SciPy, plain loops, and what simulated studies hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from cnnatomy.errors import ArgumentError
from cnnatomy.studies.paired import Spread, difference, holm, pictures_needed, seeds_needed

Effects = tuple[float, float, float]
MIXTURES: list[tuple[int, int, Effects]] = [
    (5, 400, (0.01, 0.15, 0.4)),
    (5, 400, (0.005, 0.3, 0.3)),
    (5, 400, (0.02, 0.05, 0.3)),
    (3, 100, (0.02, 0.2, 0.4)),
    (10, 1000, (0.01, 0.2, 0.3)),
    (5, 10_000, (0.003, 0.1, 0.3)),
]
"""Seeds, pictures, and the standard deviations of the seed's, the picture's and the remaining effect."""


def study(
    rng: np.random.Generator, seeds: int, pictures: int, effects: Effects, mean: float, hits: bool
) -> NDArray[np.float64]:
    """Differences of a simulated study; as hits they are -1, 0 or 1 with the same expectation."""
    by_seed, by_picture, rest = effects
    expected = mean + by_seed * rng.normal(size=(seeds, 1)) + by_picture * rng.normal(size=(1, pictures))
    if not hits:
        return expected + rest * rng.normal(size=(seeds, pictures))
    expected = np.clip(expected, -0.95, 0.95)
    differ = np.maximum(np.abs(expected), rest)
    drawn = rng.random((seeds, pictures))
    up = (differ + expected) / 2
    return np.where(drawn < up, 1.0, np.where(drawn < differ, -1.0, 0.0))


def coverage(number: int, mixture: tuple[int, int, Effects], hits: bool, mean: float) -> tuple[float, float]:
    """The shares of simulated studies whose intervals hold the truth: over seeds, and two-way."""
    rng = np.random.default_rng(7)
    found = [difference(study(rng, *mixture, mean, hits)) for _ in range(number)]
    held = [[i.low <= mean <= i.high for i in (d.here, d.alike) if i is not None] for d in found]
    here, alike = np.mean(held, axis=0)
    return float(here), float(alike)


@pytest.mark.parametrize("hits", [False, True], ids=["losses", "hits"])
@pytest.mark.parametrize("mixture", MIXTURES[:3], ids=str)
def test_the_two_way_interval_holds_the_truth(mixture: tuple[int, int, Effects], hits: bool) -> None:
    """300 studies: a share of 95% has a standard error of 1.3 points."""
    assert 0.91 < coverage(300, mixture, hits, 0.01)[1] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("mean", [0.0, 0.02])
@pytest.mark.parametrize("mixture", MIXTURES, ids=str)
@pytest.mark.parametrize("hits", [False, True], ids=["losses", "hits"])
def test_the_two_way_interval_holds_the_truth_in_95_of_100(
    mixture: tuple[int, int, Effects], mean: float, hits: bool
) -> None:
    """A little more often in the smallest studies, where three seeds tell their own chance badly."""
    assert 0.935 <= coverage(2000, mixture, hits, mean)[1] <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("mixture", MIXTURES[:5], ids=str)
def test_of_six_equal_arms_one_in_twenty_studies_shows_a_difference(
    mixture: tuple[int, int, Effects],
) -> None:
    """The arms share what they are compared with, as in a study; 6% allows for 2,000 studies' own chance."""
    rng = np.random.default_rng(9)
    seeds, pictures, effects = mixture
    wrong = 0
    for _ in range(2000):
        arms = [study(rng, seeds, pictures, effects, 0.0, False) / math.sqrt(2) for _ in range(6)]
        wrong += min(holm([difference(arm - arms[0]).alike.p for arm in arms[1:]])) < 0.05
    assert wrong / 2000 <= 0.06


def test_an_interval_over_seeds_alone_says_nothing_of_other_pictures() -> None:
    assert coverage(300, (5, 400, (0.005, 0.3, 0.3)), False, 0.0)[0] < 0.8


@given(st.integers(2, 6), st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_over_seeds_it_is_scipys_t_test(seeds: int, pictures: int, seed: int) -> None:
    d = np.random.default_rng(seed).normal(0.1, 1, (seeds, pictures))
    found = difference(d)
    theirs = stats.ttest_1samp(d.mean(1), 0)
    low, high = theirs.confidence_interval()
    assert found.here is not None
    assert found.here.p == pytest.approx(theirs.pvalue)
    assert (found.here.low, found.here.high) == pytest.approx((low, high))


@given(st.integers(2, 5), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_mean_squares_are_those_of_a_table_of_two_factors(seeds: int, pictures: int, seed: int) -> None:
    """Sums of squares as in a textbook, cell by cell; the variance and the degrees follow from them."""
    d = np.random.default_rng(seed).normal(0, 1, (seeds, pictures))
    mean = sum(d[s, i] for s in range(seeds) for i in range(pictures)) / (seeds * pictures)
    by_seed = [sum(d[s]) / pictures for s in range(seeds)]
    by_picture = [sum(d[:, i]) / seeds for i in range(pictures)]
    ms = pictures * sum((one - mean) ** 2 for one in by_seed) / (seeds - 1)
    mi = seeds * sum((one - mean) ** 2 for one in by_picture) / (pictures - 1)
    mr = sum(
        (d[s, i] - by_seed[s] - by_picture[i] + mean) ** 2 for s in range(seeds) for i in range(pictures)
    ) / ((seeds - 1) * (pictures - 1))
    found = difference(d)
    assert found.mean == pytest.approx(mean)
    assert found.spread is not None
    told = (max(0.0, ms - mr) / pictures, max(0.0, mi - mr) / seeds, mr)
    assert tuple(found.spread) == pytest.approx(told)
    v = max(ms, mi, ms + mi - mr)
    below = ms**2 / (seeds - 1) + mi**2 / (pictures - 1) + mr**2 / ((seeds - 1) * (pictures - 1))
    half = stats.t.ppf(0.975, max(1.0, v * v / below)) * math.sqrt(v / (seeds * pictures))
    assert found.alike.high - found.mean == pytest.approx(half)


def test_with_one_seed_pictures_alone_are_judged() -> None:
    d = np.random.default_rng(3).integers(-1, 2, (1, 50)).astype(float)
    found = difference(d)
    theirs = stats.ttest_1samp(d[0], 0)
    assert found.here is None
    assert found.spread is None
    assert found.alike.p == pytest.approx(theirs.pvalue)


def test_equal_arms_differ_by_nothing() -> None:
    found = difference(np.zeros((3, 20)))
    assert found.here is not None
    assert (found.mean, found.here.p, found.alike.p) == (0, 1, 1)
    assert not found.here.shows
    assert not found.alike.shows


@pytest.mark.parametrize("shape", [(0, 5), (3, 1), (3,), (3, 4, 5)])
def test_what_cannot_be_judged_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match="two pictures"):
        difference(np.zeros(shape))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_its_definition(values: list[float]) -> None:
    corrected = holm(values)
    for place, p in enumerate(values):
        before = [other for other in values if other <= p]
        wanted = max((len(values) - sum(o < other for o in values)) * other for other in before)
        least = min(1.0, wanted)
        assert corrected[place] <= least + 1e-12  # of equal values one stands before the other
        assert corrected[place] >= min(1.0, p)
    order = sorted(range(len(values)), key=lambda place: values[place])
    ordered = [corrected[place] for place in order]
    assert ordered == sorted(ordered)
    assert ordered[0] == min(1.0, len(values) * values[order[0]])


def shown(number: int, seeds: int, pictures: int, effects: Effects, mean: float) -> float:
    """The share of simulated studies that show a difference."""
    rng = np.random.default_rng(11)
    found = [difference(study(rng, seeds, pictures, effects, mean, False)) for _ in range(number)]
    return float(np.mean([one.alike.shows for one in found]))


@pytest.mark.parametrize(
    ("effects", "size", "pictures"), [((0.02, 0.1, 0.3), 0.02, 2000), ((0.01, 0.1, 0.4), 0.02, 1000)]
)
def test_so_many_seeds_show_a_difference_four_times_in_five(
    effects: Effects, size: float, pictures: int
) -> None:
    spread = Spread(*(one * one for one in effects))
    seeds = seeds_needed(spread, size, pictures)
    assert seeds is not None
    assert shown(300, seeds, pictures, effects, size) > 0.72
    fewer = max(2, round(0.7 * seeds))
    assert shown(300, fewer, pictures, effects, size) < 0.8


def test_so_many_pictures_show_a_difference_four_times_in_five() -> None:
    effects, size = (0.002, 0.2, 0.3), 0.03
    pictures = pictures_needed(Spread(*(one * one for one in effects)), size, 4)
    assert pictures is not None
    assert 0.7 < shown(300, 4, pictures, effects, size) < 0.9


def test_what_more_of_one_kind_cannot_show() -> None:
    assert seeds_needed(Spread(0.0, 0.04, 0.1), 0.01, 100) is None
    assert pictures_needed(Spread(0.01, 0.0, 0.1), 0.01, 3) is None
