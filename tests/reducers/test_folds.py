"""The scalar functions of every fold, run in plain Python, against its definition in float64.

A window is folded in random parts, merged in random order with empty parts between them. Lanes are windows.
"""

from __future__ import annotations

import itertools
import math
import random as chance

import pytest
import torch
from lanes import Lanes, Truth
from support import close
from torch import Tensor

from cnnatomy.reducers import REGISTRY
from cnnatomy.reducers.contract import Fold, Mask, Output, Reducer, State, Windows
from cnnatomy.reducers.gem import GeM
from cnnatomy.reducers.importance import Importance
from cnnatomy.reducers.l2 import L2
from cnnatomy.reducers.logsumexp import LogSumExp
from cnnatomy.reducers.lp import Lp
from cnnatomy.reducers.max import Max
from cnnatomy.reducers.mean import Mean
from cnnatomy.reducers.min import Min
from cnnatomy.reducers.mixed import Mixed
from cnnatomy.reducers.soft import Soft

pytestmark = pytest.mark.costly(2)  # each compiles kernels

FOLDS: list[Fold] = [
    *(Max(), Min(), Mean(), Mean(divisor=3.0), Mixed(), Mixed(0.2), Mixed(1.0)),
    *(Soft(), Soft(0.3), Soft(1e-3), Soft(1e6)),
    *(LogSumExp(), LogSumExp(7.0, "sum"), LogSumExp(-2.0), LogSumExp(-2.0, "sum"), LogSumExp(0.2)),
    *(Importance(), Importance("size")),
    *(L2(), L2("mean"), L2("size")),
    *(Lp(p, how) for p in (1.5, 3) for how in ("sum", "mean", "size")),
    *(Lp(4), Lp(30.5), Lp(100)),
    *(GeM(), GeM(1), GeM(2), GeM(4.5, 0.1), GeM(80)),
]
FOLDS += [
    made
    for kind in REGISTRY.values()
    if kind not in {type(fold) for fold in FOLDS} and isinstance(made := kind(), Fold)
]

VALUES: dict[str, float] = {"ordinary": 1, "small": 1e-3, "large": 50}


def window(lanes: int, taps: int, scale: float = 1.0, seed: int = 0, ties: bool = False) -> Tensor:
    """Random windows (taps, lanes)."""
    generator = torch.Generator().manual_seed(seed)
    if ties:
        return torch.randint(-1, 2, (taps, lanes), generator=generator).double() * scale
    return torch.randn(taps, lanes, generator=generator, dtype=torch.float64) * scale


def stack(x: Tensor, fold: Fold, seed: int = 9) -> list[Tensor]:
    """x, above 0 if that is meant, and a random tensor for each companion."""
    return [
        x.abs() if fold.positive else x,
        *(window(x.shape[1], x.shape[0], 2.0, seed + i).to(x) for i in range(len(fold.companions))),
    ]


def counts(fold: Fold, taps: int, lanes: int) -> Tensor:
    """What `fold` divides windows of so many taps by."""
    number = fold.divisor if isinstance(fold, Mean) and fold.divisor else float(taps)
    return torch.full((lanes,), number, dtype=torch.float64)


def folded(fold: Fold, inputs: list[Tensor], track: bool, seed: int) -> State:
    """The state of the window, from random runs of its taps merged in random order."""
    rng = chance.Random(seed)
    taps, lanes = inputs[0].shape

    def constant(value: float, like: Tensor) -> Lanes:
        return Lanes(torch.full((lanes,), value, dtype=like.dtype))

    def number(tap: int) -> Lanes | None:
        return constant(tap, torch.empty(0, dtype=torch.int64)) if track else None

    fields = fold.fields(track)
    kinds = [inputs[0] if field == "value" else torch.empty(0, dtype=torch.int64) for field in fields]
    identity = tuple(constant(v, kind) for v, kind in zip(fold.identity, kinds, strict=False))
    assert len(identity) == len(fields)
    cuts = sorted(rng.sample(range(1, taps), rng.randint(0, taps - 1))) if taps else []
    parts: list[State] = [identity] * rng.randint(0 if taps else 1, 2)
    for start, stop in itertools.pairwise([0, *cuts, taps]) if taps else ():
        state = fold.lift(tuple(Lanes(i[start]) for i in inputs), number(start))
        assert len(state) == len(fields)
        for tap in range(start + 1, stop):
            state = fold.step(state, tuple(Lanes(i[tap]) for i in inputs), number(tap))
        parts.append(state)
    rng.shuffle(parts)
    while len(parts) > 1:
        other = parts.pop(rng.randrange(len(parts)))
        at = rng.randrange(len(parts))
        parts[at] = fold.merge(*rng.sample([parts[at], other], 2))
    return parts[0]


def result(fold: Fold, inputs: list[Tensor], seed: int = 0, track: bool = False) -> Tensor:
    """y by the scalar functions."""
    count = Lanes(counts(fold, *inputs[0].shape).to(inputs[0]))
    y = fold.finish(folded(fold, inputs, track, seed), count)
    assert isinstance(y, Lanes)
    return y.value


def defined(fold: Reducer, inputs: list[Tensor], padding: int = 0) -> Tensor:
    """y by the definition, with some taps of padding that hold NaN."""
    laid = [torch.cat([i.new_full((padding, i.shape[1]), math.nan), i]).t()[None, None] for i in inputs]
    taps, lanes = inputs[0].shape
    inside = torch.arange(taps + padding).expand(lanes, -1) >= padding
    divisor = counts(fold, taps, lanes) if isinstance(fold, Fold) else torch.full((lanes,), float(taps))
    y, _ = fold.define(Windows(laid[0], inside, divisor.to(inputs[0]), tuple(laid[1:])))
    return y[0, 0]


@pytest.mark.parametrize("track", [False, True])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("taps", [1, 2, 9, 20])
@pytest.mark.parametrize("fold", FOLDS, ids=str)
def test_any_order_of_merging_gives_the_definition(fold: Fold, taps: int, ties: bool, track: bool) -> None:
    for seed, scale in enumerate(VALUES.values()):
        inputs = stack(window(7, taps, scale, seed, ties), fold)
        truth = defined(fold, inputs, padding=seed)
        for order in range(3):
            close(result(fold, inputs, order, track), truth)
        single = [i.float() for i in inputs]
        close(result(fold, single, 5, track), defined(fold, [i.double() for i in single]))


@pytest.mark.parametrize("fold", FOLDS, ids=str)
def test_nan_and_infinities(fold: Fold) -> None:
    odd = [math.nan, math.inf, -math.inf]
    cases = list(itertools.product([*odd, 0.5, -2.0], repeat=3))
    for companion in ([0.3, -math.inf, 1.0], [0.3, 1.0, math.nan], [-1.0, 0.0, 2.0]):
        x = torch.tensor(cases, dtype=torch.float64).t().contiguous()
        others = [torch.tensor(companion, dtype=x.dtype)[:, None].expand(x.shape).contiguous()]
        inputs = [x, *(others * len(fold.companions))]
        for seed in range(3):
            y = result(fold, inputs, seed)
            close(y, defined(fold, inputs, padding=1))
            assert y[x.isnan().any(0)].isnan().all()


@pytest.mark.parametrize("fold", FOLDS, ids=str)
def test_no_tap_at_all(fold: Fold) -> None:
    inputs = stack(window(3, 0), fold)
    close(result(fold, inputs, 1), defined(fold, inputs, padding=4))


def gathered(fold: Fold, inputs: list[Tensor], grad: Tensor, seed: int) -> list[Tensor]:
    """The gradients of one window's inputs by the scalar functions."""
    taps, lanes = inputs[0].shape
    count = Lanes(counts(fold, taps, lanes).to(inputs[0]))
    state = folded(fold, inputs, True, seed)
    y = fold.finish(state, count)
    saved = fold.keep(state, y, count) if fold.saves else ()
    output = Output(y if "y" in fold.reads else y.like(math.nan), saved, count)
    assert len(output.saved) == len(fold.saves)
    found = []
    for tap in range(taps):
        values: State = tuple(Lanes(i[tap] if "x" in fold.reads else i[tap] * math.nan) for i in inputs)
        here = Lanes(torch.full((lanes,), tap))
        pulled: State
        if fold.gradient == "winner":
            pulled = (output.saved[0].same(here).select(Lanes(grad), 0.0),)
        elif fold.gradient == "sum":
            pulled = (fold.collect(fold.spread(Lanes(grad), output), values[0]),)
        else:
            given = fold.output_terms(Lanes(grad), output)
            pulled = fold.grad_terms(fold.input_terms(values), given, here)
            fast = fold.fast.pull
            if fast is not None:
                agree(fast.grad_terms(values, given, here), pulled, fast.trusts(given))
        found.append([lane.value for lane in pulled if isinstance(lane, Lanes)])
    return [torch.stack(rows) for rows in zip(*found, strict=True)]


def agree(fast: State, pulled: State, trusted: Mask) -> None:
    """Assert that the fast form gives the same wherever it is trusted."""
    assert isinstance(trusted, Truth)
    for one, other in zip(fast, pulled, strict=True):
        assert isinstance(one, Lanes)
        assert isinstance(other, Lanes)
        where = trusted.value
        close(one.value[where], other.value.double()[where], sums=4)


def derived(fold: Fold, inputs: list[Tensor], grad: Tensor, padding: int = 0) -> list[Tensor]:
    """The gradients by autograd, through the definition."""
    leaves = [i.clone().requires_grad_() for i in inputs]
    return list(torch.autograd.grad(defined(fold, leaves, padding), leaves, grad))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("taps", [1, 2, 9])
@pytest.mark.parametrize("fold", FOLDS, ids=str)
def test_gathered_gradients_are_those_of_the_definition(fold: Fold, taps: int, ties: bool) -> None:
    for seed, scale in enumerate(VALUES.values()):
        inputs = stack(window(7, taps, scale, seed, ties), fold)
        inputs[0][:, 0] = 0.0
        inputs[0][:, 1] = window(1, taps, scale, 70 + seed, ties)[:, 0]  # of both signs, whatever is meant
        grad = window(7, 1, 1.0, 50 + seed)[0]
        for found, truth in zip(
            gathered(fold, inputs, grad, seed), derived(fold, inputs, grad, padding=seed), strict=True
        ):
            close(found, truth, sums=10)
        single = [i.float() for i in inputs]
        wide = [i.double() for i in single]
        for found, truth in zip(
            gathered(fold, single, grad.float(), seed),
            derived(fold, wide, grad.float().double()),
            strict=True,
        ):
            close(found, truth, sums=10)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf], ids=str)
@pytest.mark.parametrize("fold", FOLDS, ids=str)
def test_gradients_beside_nan_and_infinities(fold: Fold, odd: float) -> None:
    """They are those of the definition, though what x itself has for a gradient there is left open."""
    x, grad = window(7, 9, 1.0, 3), window(7, 1, 1.0, 50)[0]
    inputs = stack(x + 0.2 * x.sign(), fold)  # not near 0, where some clamp
    for lane in range(1, 7):
        inputs[0][[lane, 2 * lane % 9], lane] = odd
    finite = inputs[0].isfinite()
    for found, truth in zip(gathered(fold, inputs, grad, 1), derived(fold, inputs, grad, 2), strict=True):
        close(found[finite], truth[finite], sums=10)


STEEP = 0.1
"""Soft poolings below this temperature are too steep for finite differences."""


@pytest.mark.parametrize(
    "fold", [f for f in FOLDS if not isinstance(f, Soft) or f.temperature >= STEEP], ids=str
)
def test_definitions_differentiate_twice(fold: Fold) -> None:
    inputs = [i.requires_grad_() for i in stack(window(2, 4, 1.0, 3), fold)]

    def run(*leaves: Tensor) -> Tensor:
        return defined(fold, list(leaves), padding=2)

    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
@pytest.mark.parametrize("fold", [fold for fold in FOLDS if not fold.squares], ids=str)
def test_nothing_overflows_on_the_way(fold: Fold, scale: float) -> None:
    ordinary = stack(window(7, 9), fold)
    inputs = [(ordinary[0] * scale).float(), *(i.float() for i in ordinary[1:])]
    wide = [i.double() for i in inputs]
    y, truth = result(fold, inputs, 3, track=True), defined(fold, wide)
    twice = defined(fold, [ordinary[0] * 2, *ordinary[1:]])
    scales = scale > 1 or torch.allclose(twice, 2 * defined(fold, ordinary), atol=0)
    unit = scale if scales else 1.0  # else terms near 1 make a small result, which loses digits
    torch.testing.assert_close(y.double() / unit, truth / unit, rtol=1e-5, atol=1e-5)
    grad = torch.ones(7)
    found, exact = gathered(fold, inputs, grad, 3)[0], derived(fold, wide, grad.double())[0]
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-5)
