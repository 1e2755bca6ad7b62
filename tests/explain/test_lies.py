"""A number that is changed after it was written down is found: `explain` raises, and says where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from explain.cases import OPERATORS, filled, numbers

import cnnatomy as ca
from cnnatomy.explain import explaining
from cnnatomy.explain.record_checks import Disagreement

Record = dict[str, Any]


def tap(record: Record) -> None:
    record["taps"]["value"][_read(record)] += 0.5


def cell(record: Record) -> None:
    """Another cell that holds another value."""
    k, values = _read(record), record["tensors"]["x"]["values"]
    own = record["taps"]["cell"][k]
    record["taps"]["cell"][k] = next(i for i, v in enumerate(values) if v != values[own])


def partial(record: Record) -> None:
    record["taps"]["partial"][_read(record)] += 0.01


def result(record: Record) -> None:
    record["tensors"]["y"]["values"][-1] += 0.25


def factor(record: Record) -> None:
    record["taps"]["factor"][_read(record)] += 0.5


def origin(record: Record) -> None:
    record["axes"][0][0]["origin"][0] += 1


def gradient(record: Record) -> None:
    record["tensors"]["grad_x"]["values"][record["taps"]["cell"][_read(record)]] += 1.0


def consistent(record: Record) -> None:
    """A cell of x and every tap that reads it, as if x were another."""
    own = record["taps"]["cell"][_read(record)]
    record["tensors"]["x"]["values"][own] += 1.0
    for k, one in enumerate(record["taps"]["cell"]):
        if one == own:
            record["taps"]["value"][k] += 1.0


def send(record: Record) -> None:
    record["cover"]["product"][0] += 0.5


def _read(record: Record) -> int:
    """A tap that reads a cell, and not the first."""
    cells: list[int] = record["taps"]["cell"]
    return next(k for k, one in reversed(list(enumerate(cells))) if one >= 0)


EVERYWHERE = (tap, cell, partial, result, gradient, consistent, send)
POOLINGS = ("max", "mean", "soft", "median", "l2", "kmax", "mixed", "logsumexp")
FAMILIES = (
    *("torch conv", "connected conv", "transposed conv", "sub-pixel conv", "dense", "rbf", "response norm"),
    *("subsampling", "bilinear", "nails", "pad reflect", "pad mean", "mean unpooling", "pixel shuffle"),
    *("torch max", "pool over edges", "separable conv"),
)


def lied(monkeypatch: pytest.MonkeyPatch, lie: Callable[[Record], None]) -> None:
    """Let what is written down be changed before it is held to the operator."""
    honest = getattr(explaining, "recorded")  # noqa: B009

    def false(*args: Any, **kwargs: Any) -> Record:
        record: Record = honest(*args, **kwargs)
        lie(record)
        return record

    monkeypatch.setattr(explaining, "recorded", false)


@pytest.mark.parametrize("name", POOLINGS)
def test_a_lie_about_a_pooling_raises(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = numbers(1, (1, 1, 5, 5), "normal")
    ca.explain(ca.pool, x, region=ca.Sliding(3, 2), reducer=name)
    for lie in (*EVERYWHERE, origin):
        with monkeypatch.context() as patch:
            lied(patch, lie)
            with pytest.raises(Disagreement):
                ca.explain(ca.pool, x, region=ca.Sliding(3, 2), reducer=name)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_lie_about_an_operator_raises(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = filled(OPERATORS[name](), 1)
    x = numbers(2, (1, 7) if name in ("dense", "rbf") else (1, 4, 5, 6), "normal")
    honest = ca.explain(module, x).record
    lies = [*EVERYWHERE]
    lies += [factor] if "factor" in honest["taps"] else []
    lies += [origin] if honest["axes"][0][0]["origin"] else []
    for lie in lies:
        with monkeypatch.context() as patch:
            lied(patch, lie)
            with pytest.raises(Disagreement):
                ca.explain(module, x)


def test_the_disagreement_names_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    lied(monkeypatch, result)
    with pytest.raises(Disagreement, match=r"y disagrees at 3: expected 4\.0, got 4\.25"):
        ca.explain(torch.nn.MaxPool2d(2), torch.tensor([[1.0, 2, 3, 4]] * 4))
