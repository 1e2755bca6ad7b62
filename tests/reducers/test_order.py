"""Median, quantile, k-th value and trimmed mean, against sorted lists, torch and SciPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
from lanes import Lanes
from support import close, random
from taps import Window, scanned
from torch import Tensor

from cnnatomy.backends import reference
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import Output, Scan, Windows
from cnnatomy.reducers.kth import Kth
from cnnatomy.reducers.median import Median
from cnnatomy.reducers.quantile import Quantile
from cnnatomy.reducers.trimmed import Trimmed
from cnnatomy.regions import Adaptive, Region, Sliding, Whole

pytestmark = pytest.mark.costly(2)  # each compiles kernels

RANKS = [
    *(Median(), Kth(), Kth(2), Kth(3, largest=False), Kth(1, largest=False), Kth(40), Kth(40, largest=False)),
    *(Quantile(q) for q in (0, 0.1, 0.3, 0.5, 0.75, 1)),
]
MEANS = [Trimmed(share) for share in (0, 0.1, 0.25, 0.4, 0.499)]
ALL: list[Scan] = [*RANKS, *MEANS]
WAYS = [*((True, taps) for taps in (1, 2, 3, 4, 9, 12, 25)), *((False, taps) for taps in (1, 4, 9))]
REGIONS = [Sliding(2), Sliding(3, 2, 1), Sliding(2, 1, 0, 2), Sliding(2, 2, 3), Adaptive(3), Whole()]


def truth(values: list[float], what: Scan) -> tuple[float, int]:
    """The value of a list without NaN, and its first place; the kept mean of a trimmed one."""
    n, ordered = len(values), sorted(values)
    if isinstance(what, Trimmed):
        g = math.floor(what.share * n + 1e-6)
        return sum(ordered[g : n - g]) / (n - 2 * g), -1
    if isinstance(what, Median):
        value = ordered[(n - 1) // 2]
    elif isinstance(what, Kth):
        value = ordered[::-1][min(what.k, n) - 1] if what.largest else ordered[min(what.k, n) - 1]
    else:
        assert isinstance(what, Quantile)
        value = ordered[math.floor(what.q * (n - 1) + 0.5 + 1e-6)]
    return value, values.index(value)


def brute(values: list[float], what: Scan) -> tuple[float, int]:
    """The value and the winner's tap (or -1) of any list."""
    nan = [tap for tap, value in enumerate(values) if math.isnan(value)]
    if nan or not values:
        return math.nan, nan[-1] if nan and what.selects else -1
    return truth(values, what)


def padded(lanes: int, taps: int, seed: int, ties: bool = False) -> tuple[Tensor, Tensor]:
    """Windows with padding that holds NaN, and where they have none."""
    x = random((lanes, taps), torch.float64, seed, ties)
    generator = torch.Generator().manual_seed(seed)
    inside = torch.rand((lanes, taps), generator=generator) < torch.linspace(0, 1, lanes)[:, None]
    return torch.where(inside, x, math.nan), inside


def special(taps: int, seed: int = 0) -> Tensor:
    """Windows of a few values, infinities, both zeros and NaN among them."""
    pool = torch.tensor([math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 1e-310, 3.5, math.nan])
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(0, len(pool), (200, taps), generator=generator)
    return torch.where(torch.arange(200)[:, None] < 150, pool[chosen % 8], pool[chosen]).double()


def defined(what: Scan, x: Tensor, inside: Tensor) -> tuple[Tensor, Tensor | None]:
    """The definition for windows (lanes, T)."""
    divisor = inside.sum(-1).to(x.dtype)
    y, winner = what.define(Windows(x[None, None], inside, divisor))
    return y[0, 0], None if winner is None else winner[0, 0]


@pytest.mark.parametrize("what", ALL, ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_definition_is_brute_force(what: Scan, rank: int, region: Region) -> None:
    x = random((1, 2, 6, 5, 4)[: 2 + rank], torch.float64, ties=True)
    x[0, 0].view(-1)[3] = math.nan
    x[0, 1].view(-1)[2] = math.inf
    y, winner = reference.forward([x], region, what)
    axes = region.axes(tuple(x.shape[2:]))
    for o in itertools.product(*(range(axis.outputs) for axis in axes)):
        cells = list(itertools.product(*(axis.table.taps(i) for axis, i in zip(axes, o, strict=True))))
        for c in range(2):
            values = [float(x[(0, c, *cell)]) for cell in cells]
            value, place = brute(values, what)
            close(y[(0, c, *o)], torch.tensor(value, dtype=y.dtype))
            if winner is not None:
                found = reference.cells(winner, region, tuple(x.shape[2:]))[(0, c, *o)]
                flat = torch.arange(x[0, 0].numel()).view(x.shape[2:])
                assert int(found) == (-1 if place < 0 else int(flat[cells[place]]))


def test_median_and_kth_are_those_of_torch() -> None:
    x = random((50, 8), torch.float64, ties=True)
    everywhere = torch.ones_like(x, dtype=torch.bool)
    close(defined(Median(), x, everywhere)[0], x.median(-1).values)
    for k in range(1, 9):
        close(defined(Kth(k), x, everywhere)[0], x.topk(k).values[:, -1])
        close(defined(Kth(k, largest=False), x, everywhere)[0], x.kthvalue(k).values)


def test_ranks_are_those_of_scipy_filters() -> None:
    x = random((1, 1, 12, 14), torch.float64)
    inner = (slice(1, -1), slice(1, -1))
    pictures = {
        Median(): scipy.ndimage.median_filter(x[0, 0].numpy(), 3),
        Kth(2): scipy.ndimage.rank_filter(x[0, 0].numpy(), -2, 3),
        Kth(3, largest=False): scipy.ndimage.rank_filter(x[0, 0].numpy(), 2, 3),
        Quantile(0.25): scipy.ndimage.percentile_filter(x[0, 0].numpy(), 25, 3),
    }
    for what, picture in pictures.items():
        y, _ = reference.forward([x], Sliding(3, 1), what)
        close(y[0, 0], torch.from_numpy(picture[inner].copy()))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.25, 0.45])
def test_trimmed_is_that_of_scipy(share: float) -> None:
    for taps in range(1, 30):
        x = random((5, taps), torch.float64, taps)
        y, _ = defined(Trimmed(share), x, torch.ones_like(x, dtype=torch.bool))
        close(y, torch.from_numpy(np.asarray(scipy.stats.trim_mean(x.numpy(), share, axis=-1))))


@pytest.mark.parametrize("what", ALL, ids=str)
@pytest.mark.parametrize(("held", "taps"), WAYS)
@pytest.mark.parametrize("tracks", [True, False])
def test_scans_give_the_definition(what: Scan, held: bool, tracks: bool, taps: int) -> None:
    cases = [padded(60, taps, 1), padded(60, taps, 2, ties=True)]
    for x in (random((40, taps), torch.float64), special(taps)):
        cases += [(x, torch.ones_like(x, dtype=torch.bool)), (x, padded(len(x), taps, 3)[1])]
    for (x, inside), dtype in itertools.product(cases, (torch.float64, torch.float32)):
        x = x.to(dtype)
        y, *saved = scanned(what, Window(x, inside, tracks, held))
        expected, winner = defined(what, x, inside)
        if what.selects:
            assert torch.equal(y.isnan(), expected.isnan())
            assert torch.equal(y.nan_to_num(nan=7.0), expected.nan_to_num(nan=7.0))
        else:
            close(y, expected)
        if winner is not None and tracks:
            (tap,) = saved
            assert torch.equal(torch.where(tap >= taps, -1, tap.to(winner.dtype)), winner)


@pytest.mark.parametrize("what", MEANS, ids=str)
@pytest.mark.parametrize("taps", [1, 4, 9, 12])
@pytest.mark.parametrize("held", [True, False], ids=["held", "looped"])
def test_gradients_of_a_trimmed_mean_are_those_of_the_definition(
    what: Trimmed, taps: int, held: bool
) -> None:
    for seed, ties in itertools.product(range(3), [False, True]):
        x, inside = padded(40, taps, seed, ties)
        x[:5] = torch.where(inside[:5], special(taps, seed)[:5], math.nan)
        leaf = x.clone().requires_grad_()
        grad = random((len(x),), torch.float64, seed + 9)
        (exact,) = torch.autograd.grad(defined(what, leaf, inside)[0], leaf, grad)
        window = Window(x, inside, True, held)
        y, *saved = (Lanes(value) for value in scanned(what, window))
        given = what.output_terms(Lanes(grad), Output(y, tuple(saved), window.count))
        for tap in range(taps):
            here = Lanes(torch.full((len(x),), tap, dtype=torch.int64))
            (pulled,) = what.grad_terms(what.input_terms((Lanes(x[:, tap]),)), given, here)
            assert isinstance(pulled, Lanes)
            close(torch.where(inside[:, tap], pulled.value, 0), exact[:, tap])


@pytest.mark.parametrize("what", ALL, ids=str)
def test_definitions_differentiate_twice(what: Scan) -> None:
    x = random((3, 6), torch.float64).requires_grad_()
    inside = torch.tensor([[True] * 6, [False, True] * 3, [True] + [False] * 5])

    def run(x: Tensor) -> Tensor:
        return defined(what, x, inside)[0]

    assert torch.autograd.gradcheck(run, x)
    assert torch.autograd.gradgradcheck(run, x)


@pytest.mark.parametrize("what", ALL, ids=str)
def test_integers(what: Scan) -> None:
    x = random((1, 2, 6, 6), torch.int64, ties=True)
    y, _ = reference.forward([x], Sliding(3, 2, 1), what)
    wide, _ = reference.forward([x.double()], Sliding(3, 2, 1), what)
    assert y.dtype == x.dtype
    assert torch.equal(y, (wide + 0.5).floor().to(x.dtype))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Kth(0), "k >= 1"),
        (lambda: Kth(True), "k >= 1"),
        (lambda: Kth(-3, largest=False), "k >= 1"),
        (lambda: Quantile(1.1), "0 to 1"),
        (lambda: Quantile(math.nan), "0 to 1"),
        (lambda: Trimmed(0.5), "below 0.5"),
        (lambda: Trimmed(-0.1), "below 0.5"),
    ],
)
def test_bad_parameters_are_refused(make: object, said: str) -> None:
    assert callable(make)
    with pytest.raises(ArgumentError, match=said):
        make()
