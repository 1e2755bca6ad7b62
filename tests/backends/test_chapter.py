"""The pooling that CONTRIBUTING.md adds, taken from its page: it must pass what every pooling must."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from support import close, last, random

import cnnatomy
from cnnatomy import backends
from cnnatomy.backends import reference
from cnnatomy.backends.cpu import launch
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Adaptive, Region, Sliding, Whole


@pytest.fixture(scope="module")
def farthest() -> Any:
    """The reducer of the chapter, kept out of the registry again afterwards."""
    page = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    module = ModuleType("chapter")
    sys.modules["chapter"] = module
    exec(compile(code, "CONTRIBUTING.md", "exec"), module.__dict__)
    yield module.Farthest()
    del sys.modules["chapter"], Reducer.kinds["Farthest"], Reducer.registry["farthest"]


@pytest.mark.parametrize("region", [Sliding(2), Sliding(3, 2, 1), Adaptive(3), Whole()], ids=str)
@pytest.mark.parametrize("lanes", [False, True])
def test_the_chapter_is_true(farthest: Reducer, region: Region, lanes: bool) -> None:
    x = random((2, 19, 9, 40), ties=True)
    x[0, 0, 3, 4] = x[0, 0, 5, 5] = math.nan
    x = last(x) if lanes else x
    leaf = x.double().requires_grad_()
    truth, winner = reference.forward(leaf, region, farthest)
    y, saved = launch.forward(x, region, farthest, backends.tap_dtype(region, 2))
    close(y, truth)
    assert winner is not None
    assert saved is not None
    assert torch.equal(saved.long(), winner)
    grad = random(tuple(y.shape), seed=3)
    truth.backward(grad.double())  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    close(launch.backward(grad, saved, region, farthest, (9, 40), lanes), leaf.grad, sums=4)


def test_it_differentiates_twice(farthest: Reducer) -> None:
    x = random((1, 2, 5, 6), torch.float64).requires_grad_()

    def run(t: torch.Tensor) -> Any:
        return cnnatomy.pool(t, Sliding(3, 2, 1), farthest)

    assert torch.autograd.gradcheck(run, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, x)
