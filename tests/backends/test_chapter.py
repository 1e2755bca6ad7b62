"""The poolings that CONTRIBUTING.md adds, taken from its page: they must pass what every pooling must."""

from __future__ import annotations

import doctest
import io
import itertools
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from support import close, inputs_for, last, random

import cnnatomy
from cnnatomy import nn
from cnnatomy.backends import reference
from cnnatomy.backends.cpu.pooling import pooling_launch
from cnnatomy.backends.pooled import Kept, Pooled
from cnnatomy.cli import pooling_catalog, pooling_catalog_view
from cnnatomy.errors import ArgumentError
from cnnatomy.explain import output_lines
from cnnatomy.explain.binding import bind
from cnnatomy.explain.expression_reading import value_of
from cnnatomy.explain.record import recorded
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Adaptive, Region, Sliding, Whole
from cnnatomy.report import gallery

pytestmark = pytest.mark.costly(2)  # each compiles kernels

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
NAMES = ("Farthest", "Roots", "Ranked")


@pytest.fixture(scope="module", params=NAMES[:2])
def chapter(request: pytest.FixtureRequest) -> Iterator[Reducer]:
    """A reducer of the chapter that has a kernel."""
    yield from registered(request.param)


@pytest.fixture(scope="module")
def ranked() -> Iterator[Any]:
    """The chapter's blend, which always learns."""
    yield from registered("Ranked")


def registered(name: str) -> Iterator[Reducer]:
    """A reducer of the chapter, kept out of the registry again afterwards."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    assert len(code) == len(NAMES)
    module = ModuleType(f"chapter_{name}")
    sys.modules[module.__name__] = module
    exec(compile(code[NAMES.index(name)], PAGE.name, "exec"), module.__dict__)
    reducer = getattr(module, name)()
    yield reducer
    del sys.modules[module.__name__], Reducer.kinds[name], Reducer.registry[reducer.name]


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
    y, saved = pooling_launch.forward([x], region, chapter, True)
    close(y, truth)
    large = 2.0**40  # beyond what stands for no tap
    assert torch.equal(
        pooling_launch.forward([x * large], region, chapter, False)[0].nan_to_num(), (y * large).nan_to_num()
    )
    if winner is not None:
        none = 255 if saved[0].dtype is torch.uint8 else 2**30
        assert torch.equal(saved[0].long(), torch.where(winner < 0, none, winner))
    grad = random(tuple(y.shape), seed=3)
    truth.backward(grad.double())  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    read = [x] if "x" in chapter.reads else []
    result = y if "y" in chapter.reads else None
    (dx,) = pooling_launch.backward(grad, Kept(read, result, saved), Pooled(region, chapter, (9, 40), lanes))
    known = x.isfinite() | chapter.selects
    close(torch.where(known, dx, 0), torch.where(known, leaf.grad, 0), sums=4)


def test_it_differentiates_twice(chapter: Reducer) -> None:
    x = inputs_for(chapter, (1, 2, 5, 6), torch.float64)[0].requires_grad_()

    def run(t: torch.Tensor) -> Any:
        return cnnatomy.pool(t, chapter, Sliding(3, 2, 1))

    assert torch.autograd.gradcheck(run, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, x)


def test_its_example_runs(chapter: Reducer) -> None:
    run_example(chapter)


def run_example(what: Reducer) -> None:
    module = sys.modules[type(what).__module__]
    examples = doctest.DocTestFinder().find(type(what), module.__name__, module, module.__dict__)
    assert doctest.DocTestRunner().run(examples[0]).failed == 0


def test_the_chapter_explains_itself(chapter: Reducer) -> None:
    x = torch.tensor([[[[1.0, 4.0], [9.0, 2.0]]]])
    options = {"region": Sliding(2), "reducer": chapter}
    record = recorded(bind(cnnatomy.pool, x, options).family.laid((0, 0, None)))
    left, _, right = re.split(" (=|≈) ", output_lines.line(record, 0))
    assert float(right) == pytest.approx(float(cnnatomy.pool(x, chapter, Sliding(2))), rel=1e-3)
    value = value_of(left)
    assert value == pytest.approx(float(right), rel=1e-3) or (
        value is None and left == "farthest(1, 4, 9, 2)"
    )


REGIONS = [Sliding(2), Sliding(3, 2, 1), Adaptive(3), Whole()]


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_a_pooling_may_always_learn_weights_of_ranks(ranked: Any, region: Region) -> None:
    """Against the sorted windows of NumPy."""
    x = random((2, 3, 7, 9), torch.float64)
    weights = torch.tensor([0.6, -0.3, 0.2, 0.5], dtype=torch.float64, requires_grad=True)
    y = cnnatomy.pool(x, ranked, region, weights=weights)
    axes = region.axes((7, 9))
    for i, j in itertools.product(*(range(axis.outputs) for axis in axes)):
        rows, columns = axes[0].table.taps(i), axes[1].table.taps(j)
        sorted_ = np.sort(x.numpy()[..., rows, :][..., columns].reshape(2, 3, -1))[..., ::-1]
        kept = [sorted_[..., min(k, sorted_.shape[-1] - 1)] for k in range(4)]
        truth = sum(w * v for w, v in zip(weights.tolist(), kept, strict=True))
        np.testing.assert_allclose(y.detach().numpy()[..., i, j], truth, rtol=1e-12)
    (grad,) = torch.autograd.grad(y.sum(), weights)
    assert grad.shape == (4,)
    starts = torch.tensor(ranked.parameters[0].start, dtype=torch.float64)
    close(cnnatomy.pool(x, ranked, region, weights=starts), reference.forward([x], region, ranked)[0])


def test_what_always_learns_is_told_so_and_shown(ranked: Any, tmp_path: Path) -> None:
    run_example(ranked)
    facts = pooling_catalog.Pooling.of(ranked)
    assert facts.learns == ("weights",)
    assert facts.always_learns
    console = Console(file=io.StringIO(), width=100)
    pooling_catalog_view.explain([facts], [], console)
    assert "weights, always" in console.file.getvalue()  # type: ignore[attr-defined]
    page = gallery.write(tmp_path / "gallery.html", reducers=[ranked])
    assert "Ranked" in page.read_text("utf-8")
    module = nn.Pool2d(ranked, 2)
    (weights,) = module.parameters()
    assert weights.shape == (4,)
    (grad,) = torch.autograd.grad(module(random((1, 2, 4, 4))).sum(), weights)
    assert grad.any()
    with pytest.raises(ArgumentError, match="weights does not fit: expected 4 values, one for each rank"):
        cnnatomy.pool(random((1, 2, 4, 4)), ranked, Sliding(2), weights=torch.ones(3))
