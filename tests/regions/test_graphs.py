"""Regions that are composed, drawn or written out, in compiled and exported graphs and under `torch.func`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support import random
from torch import Tensor

import cnnatomy
from cnnatomy.regions import Bins, Boxes, Fractional, Pyramid, Region

pytestmark = pytest.mark.costly(2)  # each compiles kernels

REGIONS: list[Region] = [
    Pyramid((1, (2, 3))),
    Boxes([(0, 1, 1, 4, 3), (1, 3, 3, 9, 9), (1, 1, 1, 4, 3), (0, 30, 30, 40, 40)], 2, 0.9),
    Fractional(0.6, overlapping=True, kind="random"),
    Bins([[(0, 3), (2, 9)], [(1, 8)]]),
]
pytestmark = pytest.mark.parametrize("region", REGIONS, ids=lambda region: type(region).__name__)


class Pool(torch.nn.Module):
    def __init__(self, region: Region, name: str) -> None:
        super().__init__()
        self.region, self.name = region, name

    def forward(self, x: Tensor) -> Any:
        return cnnatomy.pool(x, self.name, self.region)


@pytest.mark.parametrize("dynamic", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["max", "mean"])
def test_compiled_whole(region: Region, name: str, dynamic: bool) -> None:
    torch._dynamo.reset()
    module = Pool(region, name)
    compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for size in ((9, 8), (11, 10)):
        x = random((2, 3, *size)).requires_grad_()
        y, truth = compiled(x), module(x)
        assert torch.equal(y, truth)
        grad = random(tuple(y.shape), seed=1)
        mine, wanted = (torch.autograd.grad(out, x, grad)[0] for out in (y, truth))
        torch.testing.assert_close(mine, wanted)


def test_exported(region: Region) -> None:
    module, x = Pool(region, "max"), random((2, 3, 9, 8))
    assert torch.equal(torch.export.export(module, (x,)).module()(x), module(x))
    if isinstance(region, Boxes):
        return  # they fix the size of the map
    free = {"x": {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}}
    other = random((2, 3, 12, 11))
    exported = torch.export.export(module, (x,), dynamic_shapes=free)
    assert torch.equal(exported.module()(other), module(other))


def test_transformed(region: Region) -> None:
    pool, x = Pool(region, "mean"), random((2, 2, 3, 9, 8), torch.float64)
    torch.testing.assert_close(torch.vmap(pool)(x), torch.stack([pool(part) for part in x]))
    one = x[0].clone().requires_grad_()
    (wanted,) = torch.autograd.grad(pool(one).square().sum(), one)
    torch.testing.assert_close(torch.func.grad(lambda t: pool(t).square().sum())(x[0]), wanted)
    y, dy, *_ = torch.func.jvp(pool, (x[0],), (x[1],))
    torch.testing.assert_close((y, dy), (pool(x[0]), pool(x[1])))  # a mean is linear
