"""The lines of every pooling come to its results, and their printed numbers add up."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from explain.cases import REGIONS, numbers, variants

import cnnatomy as ca
from cnnatomy.explain import output_lines
from cnnatomy.explain.binding import bind
from cnnatomy.explain.expression_reading import value_of
from cnnatomy.explain.record import recorded
from cnnatomy.reducers import REGISTRY, Reducer


def described(reducer: Reducer, x: torch.Tensor, region: Any, seed: int = 0) -> dict[str, Any]:
    """The record by the definition alone: no kernel is compiled for it."""
    inputs: dict[str, Any] = {one: torch.tensor(start) for one, start in reducer.learns.items()}
    inputs |= {one: numbers(1, x.shape, "normal").to(x.dtype) for one in reducer.companions}
    options = {"region": region, "reducer": reducer, "training": True, "seed": seed, **inputs}
    return recorded(bind(ca.pool, x, options).family.laid((0, 0, None)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_the_lines_of_a_pooling_come_to_its_results(name: str, dtype: torch.dtype) -> None:
    for i, reducer in enumerate(variants(name)):
        for region in (REGIONS[0], REGIONS[3], REGIONS[-1]):
            x = numbers(i, (1, 2, 5, 6), "ties" if i % 2 else "normal", reducer.positive).to(dtype)
            record = described(reducer, x, region, i)
            for o, y in enumerate(map(float, record["tensors"]["y"]["values"])):
                line = output_lines.line(record, o)
                left, _, right = re.split(" (=|≈) ", line)
                value, said = value_of(left), float(right)
                assert said == pytest.approx(y, rel=5.1e-4, abs=1e-9, nan_ok=True), line
                if left == output_lines.NOTHING or reducer.mixes:
                    continue
                assert value is not None, line
                assert value == pytest.approx(said, rel=1e-3, abs=1e-6), line


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_record_of_a_new_window_costs_little(name: str) -> None:
    """The bound is 20 ms of a processor's time; here it is twice that, for machines that are shared."""
    import time

    reducer, x = variants(name)[0], numbers(0, (1, 2, 7, 7), "normal", True)
    spent = []
    for kernel in (2, 3, 4):
        start = time.process_time()
        described(reducer, x, ca.Sliding(kernel, 1, 1))
        spent.append(time.process_time() - start)
    assert min(spent) < 0.04


def test_rounded_numbers_have_as_many_digits_as_it_takes() -> None:
    layer = torch.nn.Conv1d(1, 1, 3, bias=False)
    layer.weight.data = torch.tensor([[[1.0, -1.0, 1e-4]]])
    line = ca.explain(layer, torch.tensor([0.123456789, 0.123456, 2.0])).line()
    left, sign, right = re.split(" (=|≈) ", line)
    assert sign == "≈"
    assert f"{value_of(left):.4g}" == right


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(1 + 2·3)/2", 3.5),
        ("√(3^2 + (-4)^2)", 5.0),
        ("(2 + ln(e^(0)))/1", 2.0),
        ("max(1, nan, 3)", math.nan),
        ("x_(2) of 1, 2, inf", math.inf),
        ("at 0.5 in 0.25: 7, 1: -8", -8.0),
        ("-2^2 - -1", -3.0),
        ("1/0", math.inf),
        ("entry (0, 1) of [[1]]", None),
        ("1 + ", None),
        ("far(1)", None),
    ],
)
def test_expressions_are_read(text: str, value: float | None) -> None:
    found = value_of(text)
    assert found == value or (
        found is not None and value is not None and math.isnan(found) and math.isnan(value)
    )


def test_a_pooling_without_a_line_has_its_name_and_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY["mean"], "line", Reducer.line)
    record = described(ca.Mean(), torch.tensor([[[[1.0, 2.0]]]]), ca.Whole())
    assert output_lines.line(record, 0) == "mean(1, 2) = 1.5"
