"""Soft, log-sum-exp, importance, power and mixed pooling against formulas written out, and against torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from lanes import Lanes
from support import close, random
from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.ops import pool
from cnnatomy.reducers import Reducer
from cnnatomy.reducers.gem import GeM
from cnnatomy.reducers.importance import Importance
from cnnatomy.reducers.l2 import L2
from cnnatomy.reducers.logsumexp import LogSumExp
from cnnatomy.reducers.lp import Lp
from cnnatomy.reducers.max import Max
from cnnatomy.reducers.mean import Mean
from cnnatomy.reducers.mixed import Mixed
from cnnatomy.reducers.shared import scaled_sums
from cnnatomy.reducers.soft import Soft
from cnnatomy.regions import Sliding, Whole

pytestmark = pytest.mark.costly(2)  # each compiles kernels

Numbers = list[float]


def _soft(x: Numbers, temperature: float) -> float:
    weights = [math.exp(v / temperature) for v in x]
    return math.fsum(w * v for w, v in zip(weights, x, strict=True)) / math.fsum(weights)


def _power(x: Numbers, p: float, under: float = 1, below: float = 1) -> float:
    return float((math.fsum(v**p for v in x) / under) ** (1 / p) / below)


FORMULAS: list[tuple[Reducer, Callable[[Numbers], float]]] = [
    (Soft(), lambda x: _soft(x, 1)),
    (Soft(2.5), lambda x: _soft(x, 2.5)),
    (LogSumExp(), lambda x: math.log(math.fsum(map(math.exp, x)) / len(x))),
    (LogSumExp(3, "sum"), lambda x: math.log(math.fsum(math.exp(3 * v) for v in x)) / 3),
    (LogSumExp(-0.5), lambda x: -2 * math.log(math.fsum(math.exp(-v / 2) for v in x) / len(x))),
    (L2(), lambda x: math.hypot(*x)),
    (L2("mean"), lambda x: math.sqrt(math.fsum(v * v for v in x) / len(x))),
    (L2("size"), lambda x: math.hypot(*x) / len(x)),
    (Lp(1), lambda x: math.fsum(map(abs, x))),
    (Lp(1, "mean"), lambda x: math.fsum(map(abs, x)) / len(x)),
    (Lp(1, "size"), lambda x: math.fsum(map(abs, x)) / len(x)),
    (Lp(2, "size"), lambda x: math.hypot(*x) / len(x)),
    (Lp(3), lambda x: _power([abs(v) for v in x], 3)),
    (Lp(2.5, "mean"), lambda x: _power([abs(v) for v in x], 2.5, under=len(x))),
    (Lp(7.25, "size"), lambda x: _power([abs(v) for v in x], 7.25, below=len(x))),
    (Lp(math.inf), lambda x: max(map(abs, x))),
    (Lp(math.inf, "mean"), lambda x: max(map(abs, x))),
    (Lp(math.inf, "size"), lambda x: max(map(abs, x)) / len(x)),
    (GeM(), lambda x: _power([max(v, 1e-6) for v in x], 3, under=len(x))),
    (GeM(5.5, 0.5), lambda x: _power([max(v, 0.5) for v in x], 5.5, under=len(x))),
    (Mixed(), lambda x: (max(x) + math.fsum(x) / len(x)) / 2),
    (Mixed(0.1), lambda x: 0.1 * max(x) + 0.9 * math.fsum(x) / len(x)),
]


@pytest.mark.parametrize(("what", "formula"), FORMULAS, ids=[str(what) for what, _ in FORMULAS])
def test_pooling_is_its_formula(what: Reducer, formula: Callable[[Numbers], float]) -> None:
    x = random((2, 3, 5, 7), torch.float64, 1)
    region = Sliding((2, 3), (1, 2), 1)
    rows, columns = (axis.table for axis in region.axes((5, 7)))
    y = pool(x, what, region)
    for o, p in np.ndindex(*y.shape[2:]):
        cells = [(i, j) for i in rows.taps(o) for j in columns.taps(p)]
        for n, c in np.ndindex(2, 3):
            truth = formula([float(x[n, c, i, j]) for i, j in cells])
            assert float(y[n, c, o, p]) == pytest.approx(truth, rel=1e-12, abs=1e-13)


OF_NOTHING: dict[float, list[Reducer]] = {
    math.nan: [
        *(Soft(), Importance(), Mixed(), GeM(), L2("mean"), L2("size"), LogSumExp()),
        *(Lp(p, how) for p in (1, 2, 3.5, math.inf) for how in ("mean", "size")),
    ],
    0.0: [L2(), Lp(1), Lp(2), Lp(2.5), Lp(math.inf)],
    -math.inf: [LogSumExp(normalize="sum")],
    math.inf: [LogSumExp(-1.0, "sum")],
}


@pytest.mark.parametrize(
    ("what", "truth"), [(what, truth) for truth, kinds in OF_NOTHING.items() for what in kinds], ids=str
)
def test_no_tap_at_all(what: Reducer, truth: float) -> None:
    x, region = random((1, 1, 4), torch.float64), Sliding(2, 2, 2)
    beside: dict[str, Any] = dict.fromkeys(what.companions, x)
    y = pool(x, what, region, rank=1, **beside)
    close(y[..., [0, -1]], torch.full((1, 1, 2), truth, dtype=torch.float64))
    assert y[..., 1:-1].isfinite().all()


@pytest.mark.parametrize("p", [2.0, 3.0, 4.0, 1.5])
def test_lp_is_torchs_on_positive_numbers(p: float) -> None:
    x = random((2, 3, 8, 9), torch.float64).abs() + 0.1
    for what in (Lp(p), L2()) if p == 2 else (Lp(p),):
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        ours, theirs = pool(a, what, Sliding(3, 2)), torch.nn.functional.lp_pool2d(b, p, 3, 2)
        close(ours.detach(), theirs.detach())
        grad = random(tuple(ours.shape), torch.float64, 3)
        close(torch.autograd.grad(ours, a, grad)[0], torch.autograd.grad(theirs, b, grad)[0])


@pytest.mark.parametrize(
    "what", [L2(), L2("size"), Lp(1), Lp(2.5), Lp(4, "mean"), Lp(math.inf), GeM(3, None)], ids=str
)
def test_the_gradient_at_zero_is_zero(what: Reducer) -> None:
    x = torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    pool(x, what, Sliding(2)).sum().backward()
    assert x.grad is not None
    assert not x.grad.any()


def test_logsumexp_is_torchs() -> None:
    x = random((2, 3, 40), torch.float64, 2) * 200
    x[0, 0, 3], x[1, 1] = -math.inf, -math.inf
    close(pool(x, LogSumExp(normalize="sum"), Whole(), rank=1)[..., 0], x.logsumexp(-1))
    x[1, 2, 5] = math.inf
    assert pool(x, LogSumExp(), Whole(), rank=1)[1, 2] == math.inf


def test_soft_approaches_max_and_mean() -> None:
    x = random((2, 3, 8, 8), torch.float64, 4)
    torch.testing.assert_close(pool(x, Soft(1e-6), Sliding(2)), pool(x, Max(), Sliding(2)))
    torch.testing.assert_close(pool(x, Soft(1e9), Sliding(2)), pool(x, Mean(), Sliding(2)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("offset", [0.0, 100.0, -3e4, 1e30])
def test_soft_gradients_sum_to_those_of_the_outputs(offset: float, dtype: torch.dtype) -> None:
    x = (random((1, 2, 8, 8), seed=5) + offset).to(dtype).requires_grad_()
    y = pool(x, Soft(), Sliding(2))
    grad = random(tuple(y.shape), dtype, 6)
    y.backward(grad)
    assert x.grad is not None
    close(pool(x.grad.float(), Mean(divisor=1.0), Sliding(2)).to(dtype), grad, sums=2)


def test_minus_infinity_weighs_nothing() -> None:
    x = torch.tensor([[[-math.inf, 1.0, 2.0, -math.inf]]], dtype=torch.float64)
    rest, some = x[..., 1:3], torch.zeros(1, 1, 4, dtype=torch.float64)
    for what in (Soft(), LogSumExp(normalize="sum")):
        close(pool(x, what, Whole(), rank=1), pool(rest, what, Whole(), rank=1))
    logits = torch.where(x.isinf(), x, some)
    close(pool(some + 3.0, Importance(), Whole(), rank=1, logits=logits), some[..., :1] + 3.0)


def test_a_weight_beyond_the_format_is_nothing_even_to_a_huge_value() -> None:
    x = torch.tensor([[[1.0, 1e35, 2.0, 1e20, 1.0, 3.0]]])
    logits = torch.tensor([[[-20.0, -1000.0, -20.0, -1e9, 0.0, 0.0]]])
    assert pool(x, "importance", Sliding(2), rank=1, logits=logits).tolist() == [[[1.0, 2.0, 2.0]]]


def test_values_below_the_clamp_take_the_quick_way() -> None:
    """After a rectifier half of all windows may be nothing but clamped values."""
    fast = GeM().fast.fold
    assert fast is not None
    trusted: Any = fast.trusts((Lanes(torch.tensor(4e-18)),))
    assert bool(trusted.value)


def test_importance_is_a_quotient_of_means() -> None:
    x, logits = (random((2, 3, 9, 9), torch.float64, seed) for seed in (1, 2))
    mean = torch.nn.functional.avg_pool2d
    weights = logits.exp()
    truth = mean(x * weights, 3, 2) / mean(weights, 3, 2)
    close(pool(x, Importance(), Sliding(3, 2), logits=logits), truth)
    close(pool(x, Importance("size"), Sliding(3, 2), logits=logits), truth / 9)
    close(pool(x, Importance(), Sliding(3, 2), logits=logits - 1e4), truth, sums=100)
    close(pool(x, Soft(), Sliding(3, 2)), pool(x, Importance(), Sliding(3, 2), logits=x))


def _named(name: str, value: Tensor) -> dict[str, Any]:
    return {name: value}


LEARNED: list[tuple[Reducer, Callable[[float], Reducer]]] = [
    (Soft(learned=3), Soft),
    (LogSumExp(normalize="sum", learned=3), lambda r: LogSumExp(r, "sum")),
    (GeM(learned=3), GeM),
    (Mixed(learned=3), Mixed),
]


@pytest.mark.parametrize(("what", "fixed"), LEARNED, ids=[str(what) for what, _ in LEARNED])
def test_learned_values_act_by_channel(what: Reducer, fixed: Callable[[float], Reducer]) -> None:
    ((name, start),) = what.learns.items()
    assert len(start) == 3
    values = [0.1, 0.6, 1.0] if name == "share" else [1.5, 2.0, 4.0]
    x = random((2, 3, 8, 8), torch.float64, 3)
    parameter = torch.tensor(values, dtype=torch.float64)
    y = pool(x, what, Sliding(3, 2, 1), **_named(name, parameter))
    for c, value in enumerate(values):
        close(y[:, c : c + 1], pool(x[:, c : c + 1], fixed(value), Sliding(3, 2, 1)), sums=10)

    def run(leaf: Tensor, learned: Tensor) -> Tensor:
        found: Tensor = pool(leaf, what, Sliding(3, 2, 1), **_named(name, learned))
        return found

    leaves = x[:1, :, :4, :4].clone().requires_grad_(), parameter.requires_grad_()
    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)


def test_random_choice_is_of_max_or_mean() -> None:
    x, region = random((1, 2, 6, 6), torch.float64), Sliding(2)
    best, mean = pool(x, Max(), region), pool(x, Mean(), region)
    torch.manual_seed(0)
    drawn = [pool(x, Mixed(0.25, random=True), region, training=True) for _ in range(400)]
    highest = [torch.equal(y, best) for y in drawn]
    assert all(torch.equal(y, best if high else mean) for y, high in zip(drawn, highest, strict=True))
    assert 60 < sum(highest) < 140
    assert torch.equal(pool(x, Mixed(0.25, random=True), region), pool(x, Mixed(0.25), region))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("exponent", [1.0, 2.0, 5.0, 64.0, 2.5, 30.7, 999.3, -1.0, -2.0, -1.5])
def test_powers_and_roots_of_any_size(exponent: float, dtype: torch.dtype) -> None:
    sizes = torch.tensor([1e-36, 3e-20, 0.3, 1.0, 1.7, 123.0, 4e18, 3e38], dtype=dtype)
    m, k = scaled_sums.power(*Lanes(sizes).split(), exponent)
    assert isinstance(m, Lanes)
    assert isinstance(k, Lanes)
    found = m.value.double().log2() + k.value.double()
    truth = sizes.double().log2() * exponent
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(found, truth, rtol=eps, atol=8 * eps * max(1.0, abs(exponent)))
    if exponent >= 1:
        root = scaled_sums.root(m, k, exponent)
        assert isinstance(root, Lanes)
        torch.testing.assert_close(root.value, sizes, rtol=20 * eps, atol=0)


BAD: list[tuple[Callable[..., Reducer], dict[str, Any]]] = [
    *((Soft, {"temperature": t}) for t in (0, -1.0, math.inf, math.nan, "1", None, True, 1e-31)),
    *((LogSumExp, {"sharpness": r}) for r in (0.0, math.inf, -math.inf, math.nan, "1")),
    *((kind, {"normalize": "max"}) for kind in (LogSumExp, L2, Lp, Importance)),
    *((L2, {"normalize": how}) for how in (None, 2)),
    *((Lp, {"p": p}) for p in (0.5, -1.0, math.nan, "2", -math.inf, 1001, False)),
    *((GeM, {"p": p}) for p in (0.5, math.inf, math.nan)),
    *((GeM, {"clamp": c}) for c in (0, -1e-6, math.inf, math.nan, "0")),
    (GeM, {"clamp": None, "learned": 1}),
    *((kind, {"learned": n}) for kind in (Soft, LogSumExp, GeM, Mixed) for n in (-1, 1.0, True, None)),
    *((Mixed, {"share": a}) for a in (-0.1, 1.1, math.nan, None, True)),
    *((Mixed, arguments) for arguments in ({"random": True, "learned": 1}, {"random": 1})),
]


@pytest.mark.parametrize(("kind", "arguments"), BAD, ids=[f"{kind.__name__}{got}" for kind, got in BAD])
def test_bad_parameters_are_refused(kind: Callable[..., Reducer], arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="expected"):
        kind(**arguments)


def test_equal_parameters_print_alike() -> None:
    for one, other in ((Soft(1), Soft(1.0)), (Lp(3), Lp(3.0)), (GeM(2, 1), GeM(np.float64(2.0), 1.0))):
        assert one.text == other.text
        assert Reducer.parse(one.text) == one == other
    assert Reducer.parse(Lp(math.inf).text) == Lp(math.inf)
