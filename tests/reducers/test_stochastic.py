"""Stochastic pooling: its draws against their distribution, and what it settles to."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from lanes import Lanes
from support import close, random
from taps import Window, scanned
from torch import Tensor

from cnnatomy.backends import reference
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import Output, State, Windows
from cnnatomy.reducers.expected import Expected
from cnnatomy.reducers.shared.noise import noise
from cnnatomy.reducers.soft import Soft
from cnnatomy.reducers.stochastic import Stochastic
from cnnatomy.regions import Sliding

BOTH = [Stochastic(), Stochastic("exp")]
ODD = [math.inf, -math.inf, math.nan, 0.0, -0.0, 1.0, -2.0, 3.0]


def probabilities(values: list[float], what: Stochastic) -> list[float]:
    """p_k = w_k / sum w."""
    weights = [math.exp(v - max(values)) if what.weights == "exp" else max(v, 0.0) for v in values]
    total = sum(weights)
    return [w / total if total else 1 / len(values) for w in weights]


def drawn(what: Stochastic, x: Tensor, inside: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
    """y and winners of the definition, for windows (lanes, T)."""
    count = inside.sum(-1).to(x.dtype)
    y, winner = what.define(Windows(x[None, None], inside, count, (), draw[None, None]))
    assert winner is not None
    return y[0, 0], winner[0, 0]


def steps(lanes: int) -> Tensor:
    """Draws that are spread evenly over [0, 1)."""
    return (torch.arange(lanes, dtype=torch.float64) + 0.5) / lanes


@pytest.mark.parametrize("what", BOTH, ids=str)
@pytest.mark.parametrize("values", [[1.0, 2.0, -1.0, 0.5], [-1.0, -2.0, -3.0, 0.0], [3.0], [1e-3, 2e3]])
def test_even_noise_draws_every_tap_in_its_share(what: Stochastic, values: list[float]) -> None:
    lanes = 10_000
    x = torch.tensor(values, dtype=torch.float64).expand(lanes, -1)
    y, winner = drawn(what, x, torch.ones_like(x, dtype=torch.bool), steps(lanes))
    assert torch.equal(winner, winner.sort().values)  # the first taps for the lowest draws
    assert torch.equal(y, torch.tensor(values, dtype=torch.float64)[winner])
    shares = torch.bincount(winner, minlength=len(values)) / lanes
    expected = torch.tensor(probabilities(values, what))
    torch.testing.assert_close(shares, expected, rtol=0, atol=1.5 / lanes)


@pytest.mark.parametrize("what", BOTH, ids=str)
def test_draws_follow_their_distribution(what: Stochastic) -> None:
    values = [0.3, -0.2, 1.1, 0.7]
    x = torch.tensor(values).repeat(2500).view(1, 1, -1).repeat(2, 3, 1)
    _, winner = reference.forward([x], Sliding(4), what, torch.tensor(5))
    assert winner is not None
    counts = torch.bincount(winner.flatten(), minlength=4)
    kept = [i for i, p in enumerate(probabilities(values, what)) if p > 0]
    expected = [p * counts.sum().item() for p in probabilities(values, what)]
    assert all(int(counts[i]) == 0 for i in range(4) if i not in kept)
    test = scipy.stats.chisquare([int(counts[i]) for i in kept], [expected[i] for i in kept])
    assert test.pvalue > 1e-4


@pytest.mark.parametrize("what", BOTH, ids=str)
@pytest.mark.parametrize("held", [True, False], ids=["held", "looped"])
@pytest.mark.parametrize("tracks", [True, False])
@pytest.mark.parametrize("taps", [1, 2, 9, 16])
def test_scans_draw_as_defined(what: Stochastic, held: bool, tracks: bool, taps: int) -> None:
    lanes = 300
    draw = noise(3, (1, 1, lanes))[0, 0].double()
    odd = torch.tensor(ODD, dtype=torch.float64)[torch.randint(0, len(ODD), (lanes, taps))]
    cases = [random((lanes, taps), torch.float64), random((lanes, taps), torch.float64, ties=True), odd]
    for x in (*cases, cases[0] * 1e300, cases[0].abs() * 1e-310):
        for share in (1.1, 0.5):
            inside = torch.rand(lanes, taps) < share
            poisoned = torch.where(inside, x, math.nan)
            y, winner = drawn(what, poisoned, inside, draw)
            found, *saved = scanned(what, Window(poisoned, inside, tracks, held, draw))
            assert torch.equal(found.nan_to_num(nan=7), y.nan_to_num(nan=7))
            assert torch.equal(found.isnan(), y.isnan())
            if tracks:
                assert torch.equal(torch.where(saved[0] >= taps, -1, saved[0]), winner)


@pytest.mark.parametrize("what", BOTH, ids=str)
def test_corners(what: Stochastic) -> None:
    cases: list[tuple[list[float], set[int]]] = [
        ([1.0, math.inf, 2.0, math.inf], {1, 3}),
        ([-math.inf, 1.0, -math.inf, 2.0], {1, 3}),
        ([-math.inf, -math.inf], {0, 1}),
        ([math.nan, 1.0, math.nan, math.inf], {2}),
        ([0.0, 0.0, 0.0], {0, 1, 2}),
        ([3e38, 3e38, 3e38], {0, 1, 2}),
    ]
    for values, allowed in cases:
        x = torch.tensor(values).expand(64, -1)
        everywhere = torch.ones_like(x, dtype=torch.bool)
        for draw in (steps(64).float(), torch.zeros(64), torch.full((64,), 1 - 2.0**-24)):
            _, winner = drawn(what, x, everywhere, draw)
            _, tap = scanned(what, Window(x, everywhere, True, True, draw))
            assert torch.equal(winner, tap.to(winner.dtype))
            assert set(winner.tolist()) <= allowed
        assert set(drawn(what, x, everywhere, steps(64).float())[1].tolist()) == allowed
    nothing = torch.zeros(3, 4, dtype=torch.bool)
    y, winner = drawn(what, torch.rand(3, 4), nothing, torch.rand(3))
    assert y.isnan().all()
    assert winner.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("what", BOTH, ids=str)
def test_the_winner_takes_the_gradient(what: Stochastic) -> None:
    x = random((3, 5), torch.float64).requires_grad_()
    everywhere, draw = torch.ones(3, 5, dtype=torch.bool), torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    y, winner = drawn(what, x, everywhere, draw)
    (grad,) = torch.autograd.grad(y, x, torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64))
    truth = torch.zeros(3, 5, dtype=torch.float64)
    truth[torch.arange(3), winner] = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)
    close(grad, truth)


def test_what_it_settles_to_is_what_is_expected() -> None:
    assert Stochastic().settled() == Expected()
    assert Stochastic("exp").settled() == Soft()
    lanes = 50_000
    for what, values in [(BOTH[0], [1.0, 2.0, -1.0, 0.5]), (BOTH[1], [1.0, 2.0, -1.0, 0.5])]:
        x = torch.tensor(values, dtype=torch.float64).expand(lanes, -1)
        everywhere = torch.ones_like(x, dtype=torch.bool)
        mean = drawn(what, x, everywhere, steps(lanes))[0].mean()
        settled, _ = what.settled().define(
            Windows(x[None, None, :1], everywhere[:1], torch.tensor([4.0], dtype=x.dtype))
        )
        torch.testing.assert_close(mean, settled[0, 0, 0], rtol=0, atol=1e-3)


def expected(x: Tensor, inside: Tensor) -> Tensor:
    """The definition of `Expected` for windows (lanes, T)."""
    return Expected().define(Windows(x[None, None], inside, inside.sum(-1).to(x.dtype)))[0][0, 0]


def brute(values: list[float]) -> float:
    weights = [max(v, 0.0) for v in values]
    if any(w > 0 for w in weights):
        return sum(w * w for w in weights) / sum(weights)
    return sum(values) / len(values)


def state_of(x: Tensor) -> State:
    """`Expected` folded from both ends of windows (lanes, T)."""
    fold, (first, *rest) = Expected(), [(Lanes(column),) for column in x.unbind(-1)]
    state = fold.merge(fold.lift(first, None), tuple(Lanes(x.new_full((len(x),), v)) for v in fold.identity))
    for values in reversed(rest):
        state = fold.merge(fold.lift(values, None), state)
    return state


@pytest.mark.parametrize("taps", [1, 2, 9])
def test_expected_by_brute_force(taps: int) -> None:
    fold = Expected()
    for shift, ties in ((0.0, False), (0.0, True), (-2.0, False)):
        x = random((40, taps), torch.float64, ties=ties) + shift
        x[0, 0], x[1, 0], x[2, 0] = -math.inf, math.nan, math.inf
        truth = torch.tensor([brute(row.tolist()) for row in x], dtype=x.dtype)
        truth[1] = math.nan
        leaf = x.clone().requires_grad_()
        y = expected(leaf, torch.ones_like(x, dtype=torch.bool))
        close(y.detach(), truth)
        grad = random((40,), torch.float64, 3)
        (exact,) = torch.autograd.grad(y, leaf, grad)
        count, state = Lanes(x.new_full((40,), taps)), state_of(x)
        found = fold.finish(state, count)
        assert isinstance(found, Lanes)
        close(found.value, truth)
        given = fold.output_terms(Lanes(grad), Output(found, fold.keep(state, found, count), count))
        finite = x.isfinite().all(-1)
        for tap in range(taps):
            (pulled,) = fold.grad_terms(
                fold.input_terms((Lanes(x[:, tap]),)), given, Lanes(torch.full((40,), tap))
            )
            assert isinstance(pulled, Lanes)
            close(pulled.value[finite], exact[finite, tap])


def test_expected_differentiates_twice_and_skips_padding() -> None:
    x = random((3, 5), torch.float64).requires_grad_()
    inside = torch.tensor([[True] * 5, [False, True, True, False, True], [True] + [False] * 4])

    def run(x: Tensor) -> Tensor:
        return expected(torch.where(inside, x, math.nan), inside)

    assert torch.autograd.gradcheck(run, x)
    assert torch.autograd.gradgradcheck(run, x)
    assert expected(x, torch.zeros(3, 5, dtype=torch.bool)).isnan().all()


def test_unknown_weights_are_refused() -> None:
    with pytest.raises(ArgumentError, match="'value' or 'exp'"):
        Stochastic("square")  # type: ignore[arg-type]
