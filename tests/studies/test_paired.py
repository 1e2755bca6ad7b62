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
    (2, 400, (0.02, 0.1, 0.3)),
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
    """More often where a source of chance is small: one that comes out below zero counts as none."""
    assert 0.935 <= coverage(2000, mixture, hits, mean)[1] <= 0.99


def erring(number: int, mixture: tuple[int, int, Effects], arms: int = 6) -> float:
    """The share of simulated studies of equal arms that show a difference from the first arm."""
    rng, wrong = np.random.default_rng(9), 0
    for _ in range(number):
        made = [study(rng, *mixture, 0.0, False) / math.sqrt(2) for _ in range(arms)]
        wrong += min(holm([difference(arm - made[0]).alike.p for arm in made[1:]])) < 0.05
    return wrong / number


def test_of_equal_arms_few_studies_show_a_difference() -> None:
    """150 studies: a share of 5% has a standard error of 1.8 points."""
    assert erring(150, MIXTURES[3]) <= 0.10


@pytest.mark.slow
@pytest.mark.parametrize("mixture", MIXTURES, ids=str)
def test_of_six_equal_arms_one_in_twenty_studies_shows_a_difference(
    mixture: tuple[int, int, Effects],
) -> None:
    """The arms share what they are compared with, as in a study; 6% allows for 2,000 studies' own chance."""
    assert erring(2000, mixture) <= 0.06


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
    over_seeds = stats.t.ppf(0.975, seeds - 1) * math.sqrt(ms / (seeds * pictures))
    assert found.alike.high - found.mean == pytest.approx(max(half, over_seeds))


@given(st.integers(2, 4), st.integers(2, 60), st.integers(0, 2**32 - 1))
def test_other_pictures_only_add_chance(seeds: int, pictures: int, seed: int) -> None:
    """What these test pictures do not show, pictures like these do not show either."""
    found = difference(np.random.default_rng(seed).integers(-1, 2, (seeds, pictures)))
    assert found.here is not None
    assert found.alike.low <= found.here.low <= found.here.high <= found.alike.high
    assert found.alike.p >= found.here.p
    assert found.here.shows or not found.alike.shows


@pytest.mark.parametrize("shape", [(4, 12), (6, 20)])
def test_the_components_are_those_of_a_mixed_model(shape: tuple[int, int]) -> None:
    """Crossed random effects fitted by statsmodels' REML, which balanced mean squares solve exactly."""
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    rng = np.random.default_rng(5)
    d = 0.2 + rng.normal(0, 0.5, (shape[0], 1)) + rng.normal(0, 0.4, shape[1]) + rng.normal(0, 0.3, shape)
    belong = [np.eye(n)[of.ravel()] for n, of in zip(shape, np.indices(shape), strict=True)]
    columns = [[[str(k) for k in range(n)]] for n in shape]
    crossed = VCSpec(["seed", "picture"], columns, [[matrix] for matrix in belong])
    fit = MixedLM(d.ravel(), np.ones(d.size), np.ones(d.size), exog_vc=crossed).fit(reml=True)
    found = difference(d)
    assert found.spread is not None
    assert found.mean == pytest.approx(fit.fe_params[0])
    assert tuple(found.spread) == pytest.approx((*fit.vcomp, fit.scale), rel=1e-3)
    assert found.spread.of_mean(*shape) == pytest.approx(fit.bse_fe[0] ** 2, rel=1e-3)


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


FORECASTS: list[tuple[Effects, float, int | None, int | None]] = [
    ((0.02, 0.1, 0.3), 0.02, None, 2000),
    ((0.01, 0.1, 0.4), 0.02, None, 1000),
    ((0.005, 0.1, 0.3), 0.01, None, 2000),
    ((0.002, 0.2, 0.3), 0.03, 4, None),
    ((0.001, 0.1, 0.3), 0.01, 10, None),
    ((0.002, 0.2, 0.4), 0.02, 3, None),
]
"""Effects, the size of a difference, and the seeds or the pictures; the other number is forecast."""


def beside(
    number: int, effects: Effects, size: float, seeds: int | None, pictures: int | None
) -> tuple[float, float]:
    """The shares of studies that show it with a quarter less than is forecast, and with a quarter more."""
    spread = Spread(*(one * one for one in effects))
    if seeds is None:
        assert pictures is not None
        needed = seeds_needed(spread, size, pictures)
        assert needed is not None
        less, more = (math.floor(0.75 * needed), pictures), (math.ceil(1.25 * needed), pictures)
    else:
        needed = pictures_needed(spread, size, seeds)
        assert needed is not None
        less, more = (seeds, math.floor(0.75 * needed)), (seeds, math.ceil(1.25 * needed))
    return shown(number, *less, effects, size), shown(number, *more, effects, size)


@pytest.mark.parametrize("case", [FORECASTS[1], FORECASTS[4]], ids=str)
def test_a_forecast_is_near(case: tuple[Effects, float, int | None, int | None]) -> None:
    """200 studies: a share of 80% has a standard error of 2.8 points."""
    less, more = beside(200, *case)
    assert less < 0.86
    assert more > 0.74


@pytest.mark.slow
@pytest.mark.parametrize("case", FORECASTS, ids=str)
def test_a_forecast_is_right_within_a_quarter(case: tuple[Effects, float, int | None, int | None]) -> None:
    """The number with which four in five show it lies between; a point for the chance of 2,000 studies."""
    less, more = beside(2000, *case)
    assert less < 0.81
    assert more > 0.79


def test_what_more_of_one_kind_cannot_show() -> None:
    assert seeds_needed(Spread(0.0, 0.04, 0.1), 0.01, 100) is None
    assert pictures_needed(Spread(0.01, 0.0, 0.1), 0.01, 3) is None
