"""The poolings that CONTRIBUTING.md adds, taken from its page: they must pass what every pooling must."""

from __future__ import annotations

import doctest
import math
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from support import close, inputs_for, last, random

import cnnatomy
from cnnatomy.backends import reference
from cnnatomy.backends.cpu.pooling import launch
from cnnatomy.explain import lines
from cnnatomy.explain.binding import bind
from cnnatomy.explain.reading import value_of
from cnnatomy.explain.record import recorded
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Adaptive, Region, Sliding, Whole

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
NAMES = ("Farthest", "Roots")


@pytest.fixture(scope="module", params=NAMES)
def chapter(request: pytest.FixtureRequest) -> Any:
    """A reducer of the chapter, kept out of the registry again afterwards."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    assert len(code) == len(NAMES)
    module = ModuleType("chapter")
    sys.modules["chapter"] = module
    exec(compile(code[NAMES.index(request.param)], PAGE.name, "exec"), module.__dict__)
    reducer = getattr(module, request.param)()
    yield reducer
    del sys.modules["chapter"], Reducer.kinds[request.param], Reducer.registry[reducer.name]


@pytest.mark.parametrize(
    "region", [Sliding(2), Sliding(3, 2, 1), Sliding(3, 1, 3), Adaptive(3), Whole()], ids=str
)
@pytest.mark.parametrize("lanes", [False, True])
def test_the_chapter_is_true(chapter: Reducer, region: Region, lanes: bool) -> None:
    x = inputs_for(chapter, (2, 19, 9, 40), ties=True)[0]
    x[0, 0, 3, 4] = x[0, 0, 5, 5] = math.nan
    x = last(x) if lanes else x
    leaf = x.double().requires_grad_()
    truth, winner = reference.forward([leaf], region, chapter)
    y, saved = launch.forward([x], region, chapter, True)
    close(y, truth)
    large = 2.0**40  # beyond what stands for no tap
    assert torch.equal(
        launch.forward([x * large], region, chapter, False)[0].nan_to_num(), (y * large).nan_to_num()
    )
    if winner is not None:
        none = 255 if saved[0].dtype is torch.uint8 else 2**30
        assert torch.equal(saved[0].long(), torch.where(winner < 0, none, winner))
    grad = random(tuple(y.shape), seed=3)
    truth.backward(grad.double())  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    read = [x] if "x" in chapter.reads else []
    result = y if "y" in chapter.reads else None
    (dx,) = launch.backward(grad, read, result, saved, region, chapter, (9, 40), lanes)
    known = x.isfinite() | chapter.selects
    close(torch.where(known, dx, 0), torch.where(known, leaf.grad, 0), sums=4)


def test_it_differentiates_twice(chapter: Reducer) -> None:
    x = inputs_for(chapter, (1, 2, 5, 6), torch.float64)[0].requires_grad_()

    def run(t: torch.Tensor) -> Any:
        return cnnatomy.pool(t, Sliding(3, 2, 1), chapter)

    assert torch.autograd.gradcheck(run, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, x)


def test_its_example_runs(chapter: Reducer) -> None:
    module = sys.modules["chapter"]
    examples = doctest.DocTestFinder().find(type(chapter), "chapter", module, module.__dict__)
    assert doctest.DocTestRunner().run(examples[0]).failed == 0


def test_the_chapter_explains_itself(chapter: Reducer) -> None:
    x = torch.tensor([[[[1.0, 4.0], [9.0, 2.0]]]])
    options = {"region": Sliding(2), "reducer": chapter}
    record = recorded(bind(cnnatomy.pool, x, options).family.laid((0, 0, None)))
    left, _, right = re.split(" (=|≈) ", lines.line(record, 0))
    assert float(right) == pytest.approx(float(cnnatomy.pool(x, Sliding(2), chapter)), rel=1e-3)
    value = value_of(left)
    assert value == pytest.approx(float(right), rel=1e-3) or (
        value is None and left == "farthest(1, 4, 9, 2)"
    )
