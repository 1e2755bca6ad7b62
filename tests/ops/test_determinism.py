"""The same bits for any number of threads and however often, draws included; equal seeds draw equally."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from support import LAST, REGIONS, examples, inputs_for, label, last, pairs, pooling
from torch import Tensor

import cnnatomy
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Region, Sliding

pytestmark = pytest.mark.costly(2)  # each compiles kernels

CHANCE = [what for what in examples() if what.settled() != what]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def everything(what: Reducer, region: Region, lanes: bool) -> tuple[Tensor, ...]:
    """A result and its gradients, large enough for two threads."""
    inputs = inputs_for(what, (4, 8 if len(what.learns) == 0 else 3, 56, 56))
    if lanes:
        inputs = tuple(last(tensor) if tensor.dim() in LAST else tensor for tensor in inputs)
    leaves = [tensor.requires_grad_() for tensor in inputs]
    y = pooling(what, region)(*leaves)
    return (y, *torch.autograd.grad(y, leaves, torch.cos(y.detach())))


def check(what: Reducer, region: Region, lanes: bool, times: int) -> None:
    torch.set_num_threads(1)
    first = everything(what, region, lanes)
    for i in range(times):
        torch.set_num_threads(1 + i % 2)
        for one, other in zip(everything(what, region, lanes), first, strict=True):
            if one.dim() > 1:
                assert torch.equal(one.nan_to_num(), other.nan_to_num())
            else:  # what is learned: torch itself sums up its gradient
                torch.testing.assert_close(one, other)


@pytest.mark.parametrize("what", [what for what in examples() if not what.mixes], ids=label)
@pytest.mark.parametrize("lanes", [False, True], ids=["contiguous", "channels_last"])
def test_bits_do_not_depend_on_threads(what: Reducer, lanes: bool) -> None:
    check(what, Sliding(3, 2, 1), lanes, times=3)


@pytest.mark.slow
@pytest.mark.parametrize(("what", "region"), pairs(REGIONS))
def test_bits_are_the_same_a_hundred_times(what: Reducer, region: Region) -> None:
    check(what, region, lanes=False, times=100 if what in CHANCE else 10)


@pytest.mark.parametrize("what", CHANCE, ids=label)
def test_equal_seeds_draw_equally(what: Reducer) -> None:
    x = inputs_for(what, (2, 3, 12, 12))[0].abs()

    def drawn(seed: int | None) -> Tensor:
        y: Tensor = cnnatomy.pool(x, what, Sliding(2), training=True, seed=seed)
        return y

    assert all(torch.equal(drawn(seed), drawn(seed)) for seed in range(-20, 20))
    assert any(not torch.equal(drawn(0), drawn(seed)) for seed in range(1, 20))
    torch.manual_seed(1)
    first = [drawn(None) for _ in range(20)]
    torch.manual_seed(1)
    assert all(torch.equal(drawn(None), y) for y in first)
    assert any(not torch.equal(first[0], y) for y in first)
    settled = cnnatomy.pool(x, what, Sliding(2), seed=0)
    assert torch.equal(settled, cnnatomy.pool(x, what.settled(), Sliding(2)))
