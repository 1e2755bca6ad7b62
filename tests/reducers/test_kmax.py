"""The mean of the k largest values, against torch.topk and sorted lists."""

from __future__ import annotations

import itertools
import math
import random as chance

import pytest
import torch
from lanes import Lanes
from support import close, random
from torch import Tensor

from cnnatomy.backends import reference
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import Output, Reducer, State, Windows
from cnnatomy.reducers.kmax import KMax
from cnnatomy.regions import Sliding

pytestmark = pytest.mark.costly(2)  # each compiles kernels

KS = [1, 2, 3, 4, 5, 8, 16]


def defined(what: KMax, x: Tensor, inside: Tensor) -> Tensor:
    """The definition for windows (lanes, T)."""
    return what.define(Windows(x[None, None], inside, inside.sum(-1).to(x.dtype)))[0][0, 0]


def everywhere(x: Tensor) -> Tensor:
    return torch.ones_like(x, dtype=torch.bool)


def folded(what: KMax, x: Tensor, track: bool, seed: int) -> State:
    """The state of windows (lanes, T), from random runs of taps merged in random order."""
    rng, (lanes, taps) = chance.Random(seed), x.shape
    number = [Lanes(torch.full((lanes,), tap)) if track else None for tap in range(taps)]
    kinds = [x.dtype if field == "value" else torch.int64 for field in what.fields(track)]
    pairs = zip(what.identity, kinds, strict=False)
    parts: list[State] = [tuple(Lanes(torch.full((lanes,), v, dtype=kind)) for v, kind in pairs)]
    cuts = sorted(rng.sample(range(1, taps), rng.randint(0, taps - 1)))
    for start, stop in itertools.pairwise([0, *cuts, taps]):
        state = what.lift((Lanes(x[:, start]),), number[start])
        for tap in range(start + 1, stop):
            state = what.step(state, (Lanes(x[:, tap]),), number[tap])
        parts.append(state)
    while len(parts) > 1:
        rng.shuffle(parts)
        parts.append(what.merge(parts.pop(), parts.pop()))
    assert len(parts[0]) == len(kinds)
    return parts[0]


def special(taps: int) -> Tensor:
    pool = torch.tensor([math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 2.0, math.nan], dtype=torch.float64)
    chosen = torch.randint(0, 8, (200, taps), generator=torch.Generator().manual_seed(taps))
    return torch.where(torch.arange(200)[:, None] < 150, pool[chosen % 7], pool[chosen])


@pytest.mark.parametrize("k", KS)
def test_definition_is_topk(k: int) -> None:
    for taps in (1, 2, 5, 20):
        x = random((30, taps), torch.float64, ties=taps == 5)
        close(defined(KMax(k), x, everywhere(x)), x.topk(min(k, taps)).values.mean(-1))


@pytest.mark.parametrize("k", KS)
def test_padding_and_nan(k: int) -> None:
    x, inside = special(7), torch.rand(200, 7) < torch.linspace(0, 1, 200)[:, None]
    y = defined(KMax(k), torch.where(inside, x, math.nan), inside)
    for row, there, found in zip(x.tolist(), inside.tolist(), y.tolist(), strict=True):
        values = [value for value, here in zip(row, there, strict=True) if here]
        truth = math.nan
        if values and not any(map(math.isnan, values)):
            best = sorted(values, reverse=True)[:k]
            truth = sum(best) / len(best)
        assert found == pytest.approx(truth, nan_ok=True)


@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize("taps", [1, 2, 3, 9, 20])
@pytest.mark.parametrize("track", [True, False])
def test_any_order_of_merging_gives_the_definition(k: int, taps: int, track: bool) -> None:
    what = KMax(k)
    cases = [random((20, taps), torch.float64), random((20, taps), torch.float64, 1, True), special(taps)]
    for x, seed in itertools.product(cases, range(4)):
        y = what.finish(folded(what, x, track, seed), Lanes(x.new_full((len(x),), taps)))
        assert isinstance(y, Lanes)
        close(y.value, defined(what, x, everywhere(x)))


@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize("taps", [1, 2, 3, 9, 20])
def test_gradients_are_those_of_the_definition(k: int, taps: int) -> None:
    what = KMax(k)
    cases = [random((20, taps), torch.float64), random((20, taps), torch.float64, 1, True), special(taps)]
    for x, seed in itertools.product(cases, range(4)):
        leaf, grad = x.clone().requires_grad_(), random((len(x),), torch.float64, 5)
        (exact,) = torch.autograd.grad(defined(what, leaf, everywhere(x)), leaf, grad)
        assert torch.equal((exact != 0).sum(-1), torch.where(x.isnan().any(-1), 0, min(k, taps)))
        count, state = Lanes(x.new_full((len(x),), taps)), folded(what, x, True, seed)
        y = what.finish(state, count)
        given = what.output_terms(Lanes(grad), Output(y, what.keep(state, y, count), count))
        for tap in range(taps):
            (pulled,) = what.grad_terms(
                what.input_terms((Lanes(x[:, tap]),)), given, Lanes(torch.full((len(x),), tap))
            )
            assert isinstance(pulled, Lanes)
            close(pulled.value, exact[:, tap])


def test_a_window_without_taps_is_nan() -> None:
    what = KMax(3)
    none = tuple(Lanes(torch.tensor([value])) for value in what.identity[:3])
    y = what.finish(what.merge(none, none), Lanes(torch.zeros(1)))
    assert isinstance(y, Lanes)
    assert y.value.isnan().all()
    assert defined(what, torch.rand(2, 3), torch.zeros(2, 3, dtype=torch.bool)).isnan().all()


@pytest.mark.parametrize("k", [1, 2, 4])
def test_definitions_differentiate_twice(k: int) -> None:
    x = random((3, 6), torch.float64).requires_grad_()
    inside = torch.tensor([[True] * 6, [False, True] * 3, [True] + [False] * 5])
    assert torch.autograd.gradcheck(lambda x: defined(KMax(k), x, inside), x)
    assert torch.autograd.gradgradcheck(lambda x: defined(KMax(k), x, inside), x)


def test_each_value_becomes_a_channel() -> None:
    x, region = random((2, 3, 6, 6), torch.float64), Sliding(3)

    def pool(x: Tensor, what: Reducer) -> Tensor:
        return reference.forward([x], region, what)[0]

    y = KMax(4, each=True).blend(x, pool, {})
    windows = x.unfold(2, 3, 3).unfold(3, 3, 3).flatten(4)
    truth = windows.topk(4).values.permute(0, 4, 1, 2, 3).flatten(1, 2)
    close(y, truth)
    assert KMax(4, each=True).blended
    assert not KMax(4).blended


def test_memory_speed_needs_few_instructions() -> None:
    """Untracked, one more value costs two instructions for each held one, and NaN two."""
    counted: list[str] = []

    class Counting(Lanes):
        def larger(self, other: object) -> Counting:
            counted.append("most")
            return Counting(super().larger(other).value)

        def smaller(self, other: object) -> Counting:
            counted.append("least")
            return Counting(super().smaller(other).value)

    one, two = (Counting(random((5,), seed=seed)) for seed in (0, 1))
    KMax(2).step((one, two), (one,), None)
    assert len(counted) == 3
    KMax(2).merge((one, two), (two, one))
    assert len(counted) == 7


@pytest.mark.parametrize(("k", "said"), [(0, "k >= 1"), (True, "k >= 1"), (17, "each=True"), (-1, "k >= 1")])
def test_bad_parameters_are_refused(k: int, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        KMax(k)
    if k == 17:
        assert KMax(k, each=True).k == k
