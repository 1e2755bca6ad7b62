"""Records hold against arithmetic done anew, the operator run apart, and differences of it."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from explain import arithmetic
from explain.cases import OPERATORS, Case, operator, pooling
from torch import Tensor

import cnnatomy as ca
from cnnatomy.explain.explanation import text_of
from cnnatomy.reducers import REGISTRY

STEP = 1e-6
FULL = 200


def held(case: Case) -> Counter[str]:
    """Hold a case's record, read back from its JSON, to everything there is; count what was held."""
    explanation = ca.explain(case.what, case.x, case.at, **case.options)
    record: dict[str, Any] = json.loads(text_of(explanation.record))
    counts: Counter[str] = Counter(records=1)
    y = [float(value) for value in record["tensors"]["y"]["values"]]
    apart = plane(case, case.run(case.x), record)
    for o, again in enumerate(arithmetic.outputs(record)):
        assert arithmetic.same(y[o], apart[o], 1e-11), (o, y[o], apart[o])
        if again is not None:
            assert arithmetic.same(y[o], again, 1e-11), (o, y[o], again)
            counts["lines"] += 1
    grads = [float(value) for value in record["tensors"]["grad_x"]["values"]]
    for said, found in zip(grads, arithmetic.gathered(record), strict=True):
        assert arithmetic.same(said, found, 1e-11)
    if case.kind == "normal" and "parts" not in record:
        counts["partials"] += differences(case, record)
    return counts


def plane(case: Case, whole: Tensor, record: dict[str, Any]) -> list[float]:
    """The operator's own outputs on the record's plane."""
    of = record["plane"]
    if whole.dim() == 2 and record["operator"]["family"] == "pool":
        return [float(v) for v in pyramid(case, whole, record)]
    found = whole[of["image"], of["channel"]].reshape(-1)
    return [float(v) for v in found]


def pyramid(case: Case, whole: Tensor, record: dict[str, Any]) -> Tensor:
    """A channel's outputs among those of a pyramid, level by level."""
    of, sizes = record["plane"], [side * side for side in (1, 2)]
    channels = whole.shape[1] // sum(sizes)
    parts, start = [], 0
    for bins in sizes:
        level = whole[of["image"], start : start + channels * bins].view(channels, bins)
        parts.append(level[of["channel"]])
        start += channels * bins
    return torch.cat(parts)


def differences(case: Case, record: dict[str, Any]) -> int:
    """Hold the partial derivatives of two outputs to central differences of the operator."""
    count, shape = 0, record["tensors"]["x"]["shape"]
    start, channels = record["tensors"]["x"]["start"], record["tensors"]["x"]["channels"]
    total = len(record["tensors"]["y"]["values"])
    for o in {0, total // 2}:
        partials: dict[int, float] = {}
        for k in arithmetic.span(record, o):
            cell = record["taps"]["cell"][k]
            partials[cell] = partials.get(cell, 0.0) + float(record["taps"]["partial"][k])
        for cell in sorted(partials)[:12]:
            if cell < 0:
                continue
            channel, *inner = np.unravel_index(cell, shape)
            image = read_image(case, record)
            place = (image, channels[channel], *(int(i) + s for i, s in zip(inner, start, strict=True)))
            place = place if case.x.dim() > 2 else (image, place[-1])
            ends = []
            for step in (STEP, -STEP):
                moved = case.x.clone()
                moved[place] += step
                ends.append(plane(case, case.run(moved), record)[o])
            slope = (ends[0] - ends[1]) / (2 * STEP)
            assert arithmetic.same(partials[cell], slope, 2e-5, 1.0), (o, cell, partials[cell], slope)
            count += 1
    return count


def read_image(case: Case, record: dict[str, Any]) -> int:
    """The image of x that an output reads: a box names its own."""
    region = case.options.get("region")
    image = record["plane"]["image"]
    return region.rows[image][0] if isinstance(region, ca.Boxes) else int(image)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_pooling_is_computed_anew_from_its_record(name: str) -> None:
    assert held(pooling(name, sorted(REGISTRY).index(name) % 8))["records"] == 1


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_computed_anew_from_its_record(name: str) -> None:
    for i in (0, 1, 3):
        assert held(operator(name, i))["records"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [*sorted(REGISTRY), *OPERATORS])
def test_two_hundred_random_cases_are_computed_anew(name: str) -> None:
    case = pooling if name in REGISTRY else operator
    counts: Counter[str] = Counter()
    for i in range(FULL):
        counts += held(case(name, i))
    assert counts["records"] == FULL
    print(name, dict(counts))


def test_every_place_of_k_max_is_a_channel_of_its_own() -> None:
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    for channel in range(4):
        each = ca.explain(
            ca.pool, x, (channel, 0, 0), region=ca.Whole(), reducer=ca.KMax(2, each=True)
        ).record
        place = ca.Kth(1 + channel // 2)
        kth = ca.explain(ca.pool, x, (channel % 2, 0, 0), region=ca.Whole(), reducer=place).record
        assert each["tensors"]["y"] == kth["tensors"]["y"]
        assert each["tensors"]["grad_x"] == kth["tensors"]["grad_x"]


def test_moments_are_those_of_numpy() -> None:
    x = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    wanted = np.cov(x[0].flatten(1).numpy(), bias=True)
    for d, (i, j) in enumerate(zip(*np.triu_indices(3), strict=True)):
        options: dict[str, Any] = {"region": ca.Whole(), "reducer": ca.Covariance("none")}
        record = ca.explain(ca.pool, x, (d, 0, 0), **options).record
        assert record["tensors"]["y"]["values"][0] == pytest.approx(wanted[i, j], rel=1e-12)


def test_the_winner_is_found_in_the_operator_s_own_dtype() -> None:
    x = torch.tensor([1.0, 1.0 + 1e-9], dtype=torch.float64)
    double = ca.explain(torch.nn.MaxPool1d(2), x).record["taps"]["flag"]
    single = ca.explain(torch.nn.MaxPool1d(2), x.float()).record["taps"]["flag"]
    assert (double, single) == (["", "winner"], ["winner", "tie"])


def test_half_precision_is_held_to_its_own_rounding() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        x = torch.randn(1, 2, 5, 5).to(dtype)
        made = ca.explain(ca.pool, x, (1, 0, 0), region=ca.Sliding(3), reducer="soft")
        assert (made.record["dtype"], made.record["computed_in"]) == (str(dtype)[6:], "float32")


def test_weights_and_learned_parameters_have_autograd_s_gradients() -> None:
    layer, x = torch.nn.Conv2d(2, 3, 2, groups=1).double(), torch.randn(1, 2, 4, 4, dtype=torch.float64)
    grad = torch.randn(3, 3, dtype=torch.float64)
    record = ca.explain(layer, x, (1, 0, 0), grad).record
    layer(x)[0, 1].backward(grad)
    assert layer.weight.grad is not None
    said = torch.tensor(record["tensors"]["grad_weight"]["values"], dtype=torch.float64)
    torch.testing.assert_close(said, layer.weight.grad[1].flatten())
    pool = ca.nn.Pool2d(ca.Soft(learned=1), 2).double()
    learned = ca.explain(pool, x, (1, 0, 0)).record["learned"]["temperature"]
    pool(x)[0, 1].sum().backward()
    assert learned["grad"] == pytest.approx(float(next(pool.parameters()).grad), rel=1e-10)  # type: ignore[arg-type]


def test_a_given_gradient_is_gathered() -> None:
    x = torch.tensor([[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])
    record = ca.explain(torch.nn.MaxPool2d(2), x, grad=torch.tensor([[2.0, 8.0], [4.0, 6.0]])).record
    wanted = [0, 0, 0, 0, 0, 2, 0, 8, 4, 0, 0, 0, 0, 0, 0, 6]
    assert record["tensors"]["grad_x"]["values"] == wanted
    assert math.fsum(record["cover"]["product"]) == 20
