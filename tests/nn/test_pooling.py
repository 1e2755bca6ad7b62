"""The pooling modules: every region kind and rank, with every reducer, against `pool`."""

from __future__ import annotations

import pickle
from typing import Any, cast

import pytest
import torch
from support import random

import cnnatomy
import cnnatomy.nn as nn
from cnnatomy import Adaptive, Sliding, Whole
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import REGISTRY, Mean

SHAPES = {1: (2, 3, 12), 2: (2, 3, 12, 10), 3: (2, 3, 6, 8, 7)}


@pytest.mark.costly(3)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_modules_are_the_function(rank: int, name: str) -> None:
    x = random(SHAPES[rank])
    region = Sliding((3,) * rank, (2,) * rank, cast(Any, ("same",) * rank), (1,) * rank)
    inputs: dict[str, Any] = {other: random(SHAPES[rank], seed=1) for other in REGISTRY[name].companions}
    one = {other: tensor[0] for other, tensor in inputs.items()}
    sliding = getattr(nn, f"Pool{rank}d")(name, 3, stride=2, padding="same")
    adaptive = getattr(nn, f"AdaptivePool{rank}d")(name, 2)
    whole = getattr(nn, f"GlobalPool{rank}d")(name)
    for module, where in ((sliding, region), (adaptive, Adaptive(2)), (whole, Whole())):
        module.eval()
        y = cnnatomy.pool(x, name, where, rank=rank, **inputs)
        assert torch.equal(module(x, **inputs), y)
        torch.testing.assert_close(module(x[0], **one), y[0])
        assert torch.equal(pickle.loads(pickle.dumps(module))(x, **inputs), y)
        assert name in repr(module).lower()


def test_indices_on_request() -> None:
    x = random((1, 2, 6, 6))
    y, indices = nn.Pool2d("min", 2, return_indices=True)(x)
    assert torch.equal(-y, torch.nn.functional.max_pool2d(-x, 2, return_indices=True)[0])
    assert torch.equal(indices, torch.nn.functional.max_pool2d(-x, 2, return_indices=True)[1])


def test_a_reducer_with_parameters() -> None:
    x = random((1, 2, 6, 6))
    total = nn.Pool2d(Mean(divisor=1), 2)(x)
    torch.testing.assert_close(total, 4 * torch.nn.functional.avg_pool2d(x, 2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Pool2d("median-ish", 2),
        lambda: nn.Pool2d("max", 0),
        lambda: nn.Pool2d("max", (2, 2, 2)),
        lambda: nn.Pool2d("max", 2, stride=-1),
        lambda: nn.Pool2d("max", 2, padding=cast(Any, "sume")),
        lambda: nn.AdaptivePool2d("max", 0),
    ],
)
def test_bad_arguments_are_refused_when_made(make: object) -> None:
    assert callable(make)
    with pytest.raises(ArgumentError):
        make()
