"""Spatial pyramids against torch's adaptive pooling, level by level."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support import close, last, random
from torch.nn import functional as F

import cnnatomy
from cnnatomy.errors import ArgumentError
from cnnatomy.regions import Pyramid, Region

pytestmark = pytest.mark.costly(2)  # each compiles kernels

SHAPES = {1: (2, 3, 13), 2: (2, 3, 9, 11), 3: (2, 3, 5, 7, 6)}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", ["max", "mean"])
def test_is_the_levels_one_after_the_other(rank: int, name: str) -> None:
    torch_name = {"max": "max", "mean": "avg"}[name]
    adaptive: Any = getattr(F, f"adaptive_{torch_name}_pool{rank}d")
    x = random(SHAPES[rank]).requires_grad_()
    y = cnnatomy.pool(x, name, Pyramid((1, 2, 4)), rank=rank)
    truth = torch.cat([adaptive(x, bins).flatten(1) for bins in (1, 2, 4)], 1)
    cells = Pyramid((1, 2, 4)).outputs(SHAPES[rank][2:])
    assert y.shape == (2, 3 * cells[0])
    close(y, truth)
    grad = random(tuple(y.shape), seed=4)
    dx, expected = (torch.autograd.grad(out, x, grad)[0] for out in (y, truth))
    close(dx, expected)


def test_channels_last_gives_the_same() -> None:
    x = random(SHAPES[2])
    assert torch.equal(*(cnnatomy.pool(v, "max", Pyramid((1, (2, 3)))) for v in (x, last(x))))


def test_indices_point_into_the_input() -> None:
    x = random(SHAPES[2], ties=True)
    y, indices = cnnatomy.pool(x, "max", Pyramid((1, 3)), return_indices=True)
    truth = [F.adaptive_max_pool2d(x, bins, return_indices=True)[1].flatten(1) for bins in (1, 3)]
    assert torch.equal(indices, torch.cat(truth, 1))
    found = x.flatten(2).gather(2, torch.cat([i.view(2, 3, -1) for i in truth], 2))
    assert torch.equal(torch.cat([found[:, :, :1].flatten(1), found[:, :, 1:].flatten(1)], 1), y)


def test_has_derivatives_of_second_order() -> None:
    x = random((1, 2, 5, 4), torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: cnnatomy.pool(t, "mean", Pyramid((1, 2))).square(), x)
    assert torch.autograd.gradgradcheck(lambda t: cnnatomy.pool(t, "mean", Pyramid((1, 2))).square(), x)


def test_one_level_per_axis_and_what_prints() -> None:
    region = Pyramid([1, [2, 3]])
    assert region.outputs((7, 9)) == (7,)
    assert Region.parse(region.text) == region
    with pytest.raises(ArgumentError, match="several regions"):
        region.axes((7, 9))
    with pytest.raises(ArgumentError, match="axes"):
        region.outputs((7,))


@pytest.mark.parametrize("levels", [(), 3, (0,), (1, None), (1, 2.0), ((2, 0),), (True,)], ids=str)
def test_refuses_other_levels(levels: Any) -> None:
    with pytest.raises(ArgumentError):
        Pyramid(levels)
