"""torch.nn's pooling names against torch: result, gradient, ties, NaN, dtype, memory format, exception."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from typing import Any

import pytest
import torch
from support import TOLERANCE, last, random
from torch import Tensor

import cnnatomy.nn as nn
from cnnatomy.backends.cpu.pooling import pooling_launch

LEGAL: list[tuple[str, dict[str, Any]]] = [
    ("MaxPool", {"kernel_size": 2}),
    ("MaxPool", {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("MaxPool", {"kernel_size": 3, "stride": 1, "padding": 1, "return_indices": True}),
    ("MaxPool", {"kernel_size": 2, "stride": 3, "ceil_mode": True, "return_indices": True}),
    ("MaxPool", {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True}),
    ("AvgPool", {"kernel_size": 2}),
    ("AvgPool", {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("AvgPool", {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    ("AvgPool", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ("AvgPool", {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True, "count_include_pad": False}),
    ("AdaptiveAvgPool", {"output_size": 3}),
    ("AdaptiveAvgPool", {"output_size": 1}),
    ("AdaptiveMaxPool", {"output_size": 4}),
    ("AdaptiveMaxPool", {"output_size": 5, "return_indices": True}),
]
SHAPES = {1: (2, 3, 13), 2: (2, 3, 11, 14), 3: (2, 3, 9, 7, 8)}
LOW = (torch.float16, torch.bfloat16)


def pair(name: str, rank: int, options: dict[str, Any]) -> tuple[Any, Any]:
    return tuple(getattr(home, f"{name}{rank}d")(**options) for home in (nn, torch.nn))


def same(ours: Any, theirs: Any, strides: bool = True) -> None:
    """Equal values, dtype and strides; indices to the last."""
    if isinstance(theirs, tuple):
        assert torch.equal(ours[1], theirs[1])
        ours, theirs = ours[0], theirs[0]
    assert ours.dtype == theirs.dtype
    torch.testing.assert_close(ours, theirs, equal_nan=True, check_stride=strides, **TOLERANCE[ours.dtype])


@pytest.mark.costly(8)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("case", LEGAL, ids=str)
@pytest.mark.parametrize("kind", ["batch", "single", "channels_last", "ties", "nan", "infinite"])
def test_result_and_gradient(rank: int, case: tuple[str, dict[str, Any]], kind: str) -> None:
    x = random(SHAPES[rank], ties=kind == "ties")
    if kind == "single":
        x = x[0]
    elif kind == "channels_last" and rank > 1:
        x = last(x)
    elif kind in ("nan", "infinite"):
        values = [math.nan] if kind == "nan" else [math.inf, -math.inf]
        for i, value in zip(itertools.count(3, 7), (values * 5)[:10], strict=False):
            x.view(-1)[i] = value
    ours, theirs = pair(case[0], rank, case[1])
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    mine, wanted = ours(a), theirs(b)
    same(mine, wanted, strides=rank < 3)  # in 3-D torch drops channels_last for some, these keep it for all
    y, z = (out[0] if isinstance(out, tuple) else out for out in (mine, wanted))
    grad = random(tuple(y.shape), seed=2)
    torch.autograd.backward(y, grad)
    torch.autograd.backward(z, grad)
    assert a.grad is not None
    assert b.grad is not None
    torch.testing.assert_close(a.grad, b.grad, equal_nan=True, **TOLERANCE[torch.float32])


@pytest.mark.parametrize("case", LEGAL, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_other_dtypes(case: tuple[str, dict[str, Any]], dtype: torch.dtype) -> None:
    ours, theirs = pair(case[0], 2, case[1])
    x = random(SHAPES[2], dtype)
    same(ours(x), theirs(x))


WRONG: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("MaxPool", {"kernel_size": 2, "padding": 2}, (1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": 3, "dilation": 3, "padding": 2}, (1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": 0}, (1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": 2, "stride": 0}, (1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": 2, "stride": -1}, (1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": 2, "padding": -1}, (1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": 2, "dilation": 0}, (1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": 9}, (1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": (2, 2, 2)}, (1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": 2.0}, (1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": 2}, (8, 8)),
    ("MaxPool", {"kernel_size": 2}, (1, 1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": 2}, (1, 0, 8, 8)),
    ("MaxPool", {"kernel_size": 2}, (1, 1, 0, 8)),
    ("MaxPool", {"kernel_size": 2}, (0, 1, 8, 8)),
    ("AvgPool", {"kernel_size": 2, "padding": 2}, (1, 1, 8, 8)),
    ("AvgPool", {"kernel_size": 2, "divisor_override": 0}, (1, 1, 8, 8)),
    ("AvgPool", {"kernel_size": 2, "divisor_override": -3}, (1, 1, 8, 8)),
    ("AvgPool", {"kernel_size": 9}, (1, 1, 8, 8)),
    ("AvgPool", {"kernel_size": 2}, (8, 8)),
    ("AvgPool", {"kernel_size": 2}, (0, 1, 8, 8)),
    ("AdaptiveAvgPool", {"output_size": -1}, (1, 1, 8, 8)),
    ("AdaptiveAvgPool", {"output_size": 0}, (1, 1, 8, 8)),
    ("AdaptiveAvgPool", {"output_size": (2, 2, 2)}, (1, 1, 8, 8)),
    ("AdaptiveMaxPool", {"output_size": 2.5}, (1, 1, 8, 8)),
    ("AdaptiveMaxPool", {"output_size": 2}, (1, 1, 0, 8)),
    ("AdaptiveMaxPool", {"output_size": 2}, (8, 8)),
    ("AdaptiveAvgPool", {"output_size": (2, True)}, (1, 1, 8, 8)),
    ("AdaptiveAvgPool", {"output_size": True}, (1, 1, 8, 8)),
    ("AdaptiveMaxPool", {"output_size": None}, (1, 1, 8, 8)),
    ("MaxPool", {"kernel_size": 2, "ceil_mode": None}, (1, 1, 8, 8)),
    ("AvgPool", {"kernel_size": 2, "count_include_pad": 0}, (1, 1, 8, 8)),
    ("AvgPool", {"kernel_size": 2, "divisor_override": 2.5}, (1, 1, 8, 8)),
]


def outcome(module: Any, x: Tensor) -> tuple[type | None, str, Any]:
    try:
        y = module(x)
    except Exception as error:
        return type(error), str(error), None
    return None, "", y


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_same_exception_or_same_result(case: tuple[str, dict[str, Any], tuple[int, ...]]) -> None:
    name, options, shape = case
    ours, theirs = pair(name, 2, options)
    mine, wanted = outcome(ours, random(shape)), outcome(theirs, random(shape))
    assert mine[:2] == wanted[:2]
    if wanted[2] is not None:
        same(mine[2], wanted[2])


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool, torch.complex64], ids=str)
@pytest.mark.parametrize("name", ["MaxPool", "AvgPool"])
def test_other_types_are_torchs_affair(dtype: torch.dtype, name: str) -> None:
    ours, theirs = pair(name, 2, {"kernel_size": 2})
    x = torch.ones(1, 1, 4, 4).to(dtype)
    mine, wanted = outcome(ours, x), outcome(theirs, x)
    assert mine[:2] == wanted[:2]
    if wanted[2] is not None:
        assert torch.equal(mine[2], wanted[2])


def test_the_kernels_are_what_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    real = pooling_launch.forward

    def counted(*arguments: Any) -> Any:
        ran.append(str(arguments[2]))
        return real(*arguments)

    monkeypatch.setattr(pooling_launch, "forward", counted)
    for name, options in LEGAL:
        for rank in (1, 2, 3):
            getattr(nn, f"{name}{rank}d")(**options)(random(SHAPES[rank]))
    assert len(ran) == 3 * len(LEGAL)


def test_a_network_moves_over_by_its_import() -> None:
    def build(home: Any) -> Any:
        torch.manual_seed(0)
        return home.Sequential(
            home.Conv2d(1, 4, 3), home.ReLU(), home.MaxPool2d(2), home.AdaptiveAvgPool2d(1), home.Flatten()
        )

    ours, theirs = build(nn), build(torch.nn)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert isinstance(ours[2], torch.nn.MaxPool2d)
    x = random((2, 1, 12, 12))
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(pickle.loads(pickle.dumps(ours))(x), theirs(x))
    torch.testing.assert_close(copy.deepcopy(ours)(x), theirs(x))
    traced = torch.fx.symbolic_trace(ours)
    torch.testing.assert_close(traced(x), theirs(x))
    compiled: Any = torch.compile(ours, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), theirs(x))


def test_recording_and_autocast_are_torchs_affair() -> None:
    x = random((1, 1, 4, 4))
    with pytest.warns((DeprecationWarning, FutureWarning), match=r"torch\.jit\.trace"):  # from torch 2.14 on
        traced = torch.jit.trace(nn.MaxPool2d(2), x)  # type: ignore[no-untyped-call]
    assert torch.equal(traced(2 * x), torch.nn.MaxPool2d(2)(2 * x))
    deep = random((1, 2, 4, 4, 4), torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for name in ("MaxPool3d", "AvgPool3d"):
            ours, theirs = (getattr(home, name)(2)(deep) for home in (nn, torch.nn))
            assert ours.dtype == theirs.dtype


def test_every_name_of_torch_nn_is_there() -> None:
    public = [name for name in dir(torch.nn) if not name.startswith("_") and name[0].isupper()]
    assert len(public) > 100
    assert [name for name in public if not hasattr(nn, name)] == []
