"""Unpooling modules: torch's names against torch, and those for any region against the operator."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from support import close, random
from torch.nn import functional as F

import cnnatomy
from cnnatomy import Adaptive, Sliding
from cnnatomy.errors import ArgumentError
from cnnatomy.nn import unpooling_modules

SHAPES = {1: (2, 3, 9), 2: (2, 3, 8, 11), 3: (2, 3, 6, 7, 8)}


def pooled(
    rank: int, *window: int, shape: tuple[int, ...] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    pool: Any = getattr(F, f"max_pool{rank}d")
    y, indices = pool(random(shape or SHAPES[rank]), *window, return_indices=True)
    return y, indices


def pair(rank: int, *window: Any) -> tuple[Any, Any]:
    return tuple(getattr(home, f"MaxUnpool{rank}d")(*window) for home in (unpooling_modules, torch.nn))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("window", [(2,), (3, 2), (3, 2, 1), (2, 3), (3, 1, 1)])
@pytest.mark.parametrize("single", [False, True])
def test_max_unpooling_is_torchs(rank: int, window: tuple[int, ...], single: bool) -> None:
    y, indices = pooled(rank, *window, shape=SHAPES[rank][single:])
    ours, theirs = pair(rank, *window)
    for size in (None, SHAPES[rank][2:], SHAPES[rank]):
        try:
            wanted = theirs(y, indices, size)
        except (RuntimeError, ValueError):  # an index beyond torch's guess of the size
            with pytest.raises((RuntimeError, ValueError)):
                ours(y, indices, size)
        else:
            assert torch.equal(ours(y, indices, size), wanted)


Y, AT = torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 3, 3, dtype=torch.int64)
REFUSED: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = [
    ((2,), (Y, AT + 36)),
    ((2,), (Y, AT - 40)),
    ((2,), (Y, AT.int())),
    ((2,), (Y, AT[:, :1])),
    ((2,), (Y[0, 0], AT[0, 0])),
    ((2,), (Y, AT, (9, 9))),
    ((2,), (Y, AT, (6,))),
    ((2,), (Y, AT, (4, 6))),
    ((2,), (Y[:, :0], AT[:, :0])),
    ((2, 0), (Y, AT)),
    ((2, -1), (Y, AT)),
    (((2, 2, 2),), (Y, AT)),
    ((2, 2, 5), (Y, AT)),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_what_torch_refuses_is_refused_the_same(case: int) -> None:
    window, call = REFUSED[case]
    ours, theirs = (answer(module, *call) for module in pair(2, *window))
    assert type(ours) is type(theirs)
    assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else str(ours) == str(theirs)


def answer(module: Any, *call: Any) -> Any:
    """The result, or the exception."""
    try:
        return module(*call)
    except Exception as refusal:
        return refusal


def test_encoder_and_decoder_train_in_one_graph() -> None:
    down = torch.nn.MaxPool2d(2, return_indices=True)
    up = unpooling_modules.MaxUnpool2d(2)

    def run(x: torch.Tensor) -> torch.Tensor:
        y, indices = down(x)
        found: torch.Tensor = up(y, indices, x.shape)
        return found

    x = random((2, 3, 9, 8)).requires_grad_()
    z = x.detach().clone().requires_grad_()
    found, wanted = torch.compile(run, fullgraph=True, backend="aot_eager")(x), run(z)
    assert torch.equal(found, wanted)
    close(torch.autograd.grad(found.sin().sum(), x)[0], torch.autograd.grad(wanted.sin().sum(), z)[0])


def test_any_region_unpools() -> None:
    x = random((2, 3, 9, 10))
    region = Adaptive((4, 3))
    y, indices = cnnatomy.pool(x, "min", region, return_indices=True)
    module = unpooling_modules.Unpool2d(region)
    found = module(y, indices, (9, 10))
    assert torch.equal(found, cnnatomy.ops.unpooling.unpool(y, indices, (9, 10)))
    assert torch.equal(found[0], module(y[0], indices[0], (9, 10)))
    assert "Adaptive" in repr(module)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("normalize", [False, True])
def test_mean_unpooling_is_the_gradient_of_mean_pooling(rank: int, normalize: bool) -> None:
    module = getattr(unpooling_modules, f"MeanUnpool{rank}d")(3, 2, 1, normalize=normalize)
    x = random(SHAPES[rank], torch.float64).requires_grad_()
    y = cnnatomy.pool(x, "mean", Sliding(3, 2, 1), rank=rank)
    pull = random(tuple(y.shape), torch.float64, seed=1)
    found = module(pull, SHAPES[rank][2:])
    if not normalize:
        close(found, torch.autograd.grad(y, x, pull)[0])
    else:
        close(module(torch.ones_like(y), SHAPES[rank][2:]), torch.ones_like(x))
    close(module(pull[0], SHAPES[rank][2:]), found[0])


@pytest.mark.parametrize(
    "module",
    [
        unpooling_modules.MaxUnpool2d(2),
        unpooling_modules.Unpool2d(Sliding(2)),
        unpooling_modules.MeanUnpool2d(2, normalize=True),
    ],
)
def test_copies_and_pickles_hold_nothing_to_train(module: torch.nn.Module) -> None:
    for one in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert repr(one) == repr(module)
    assert not module.state_dict()


@pytest.mark.parametrize(
    "wrong", [{"kernel_size": 0}, {"kernel_size": (2, 2, 2)}, {"kernel_size": 2, "padding": "sane"}]
)
def test_wrong_windows_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        unpooling_modules.MeanUnpool2d(**wrong)
