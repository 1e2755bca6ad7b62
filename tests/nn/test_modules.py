"""Modules with something of their own beside region and reducer: draws, boxes, parameters, further inputs."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from support import close, random
from torch import Tensor
from torch.nn import functional as F

import cnnatomy
import cnnatomy.nn as nn
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import REGISTRY
from cnnatomy.reducers.gem import GeM
from cnnatomy.reducers.importance import Importance
from cnnatomy.regions import Boxes, Fractional, Pyramid

SHAPES = {1: (2, 3, 12), 2: (2, 3, 12, 10), 3: (2, 3, 6, 8, 7)}
SIMPLE = sorted(name for name, kind in REGISTRY.items() if not kind.companions)


@pytest.mark.costly(3)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", SIMPLE)
def test_modules_are_the_function(rank: int, name: str) -> None:
    x = random(SHAPES[rank])
    fractional = getattr(nn, f"FractionalPool{rank}d")(name, 0.6, kind="random").eval()
    pyramid = getattr(nn, f"PyramidPool{rank}d")(name, (1, 2)).eval()
    for module, region in ((fractional, Fractional(0.6, kind="random")), (pyramid, Pyramid((1, 2)))):
        y = cnnatomy.pool(x, name, region, rank=rank)
        assert torch.equal(module(x), y)
        assert torch.equal(pickle.loads(pickle.dumps(module))(x), y)
        torch.testing.assert_close(copy.deepcopy(module)(x[0]), y[0])
        assert str(module.reducer) in repr(module)


def test_training_draws_new_windows_unless_a_seed_is_given() -> None:
    x = random((1, 1, 40, 40))
    module = nn.FractionalPool2d("max", output_size=29)
    torch.manual_seed(3)
    drawn = [module(x) for _ in range(6)]
    torch.manual_seed(3)
    assert all(torch.equal(module(x), y) for y in drawn)
    assert any(not torch.equal(drawn[0], y) for y in drawn[1:])
    assert torch.equal(module.eval()(x), cnnatomy.pool(x, "max", Fractional(output_size=29)))
    fixed = nn.FractionalPool2d("max", output_size=29, seed=7)
    assert torch.equal(fixed(x), fixed(x))
    assert torch.equal(fixed(x), cnnatomy.pool(x, "max", Fractional(output_size=29, seed=7)))


def test_fractional_winners_are_where_they_say() -> None:
    x = random((2, 3, 9, 11))
    y, indices = nn.FractionalPool2d("max", 0.5, return_indices=True)(x)
    assert torch.equal(x.flatten(2).gather(2, indices.flatten(2)).view(y.shape), y)


def test_a_pyramid_feeds_a_linear_layer_from_any_size() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.PyramidPool2d("max", (1, 2, 4)), nn.Linear(84, 5))
    assert [tuple(network(torch.rand(2, 1, *size)).shape) for size in ((9, 9), (30, 17))] == [(2, 5)] * 2


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_boxes_as_one_tensor_or_one_for_each_image(rank: int) -> None:
    x = random(SHAPES[rank])
    corners = [torch.rand(k, 2 * rank) * 20 for k in (3, 0)]
    rows = torch.cat([F.pad(own, (1, 0), value=image) for image, own in enumerate(corners)])
    module = getattr(nn, f"RoIPool{rank}d")("mean", 2, spatial_scale=0.5)
    y = cnnatomy.pool(x, "mean", Boxes(rows, 2, 0.5))
    assert y.shape == (3, 3, *(2,) * rank)
    assert torch.equal(module(x, rows), y)
    assert torch.equal(module(x, corners), y)
    assert "output_size=2, spatial_scale=0.5" in repr(module)


def test_boxes_that_do_not_fit_the_input_are_refused() -> None:
    module = nn.RoIPool2d("max", 2)
    with pytest.raises(ArgumentError, match="4 axes"):
        module(torch.zeros(3, 8, 8), torch.zeros(1, 5))
    with pytest.raises(ArgumentError, match="a list of 2"):
        module(torch.zeros(2, 3, 8, 8), [torch.zeros(1, 4)])
    with pytest.raises(ArgumentError, match="number of axes"):
        module(torch.zeros(2, 3, 8, 8), torch.zeros(1, 7))
    with pytest.raises(ArgumentError, match="size"):
        nn.RoIPool2d("max", 0)


@pytest.mark.parametrize("values", [1, 3])
def test_what_a_reducer_learns_is_trained(values: int) -> None:
    x = random((2, 3, 8, 8), torch.float64).abs()
    module = nn.Pool2d(GeM(p=3.0, learned=values), 2).double()
    learned = module.get_parameter("p")
    assert [name for name, _ in module.named_parameters()] == list(module.state_dict()) == ["p"]
    with torch.no_grad():
        learned.copy_(torch.linspace(2, 4, values))
    p = learned.detach().clone().requires_grad_()
    power = p.view(-1, 1, 1)
    truth = F.avg_pool2d(x.clamp(min=1e-6) ** power, 2) ** (1 / power)
    y = module(x)
    close(y, truth)
    grad = random(tuple(y.shape), torch.float64, seed=1)
    (dp,), (expected,) = torch.autograd.grad(y, learned, grad), torch.autograd.grad(truth, p, grad)
    close(dp, expected, sums=100)
    torch.testing.assert_close(copy.deepcopy(module)(x), y)
    module.reset_parameters()
    assert torch.equal(learned, torch.full((values,), 3.0, dtype=torch.float64))


def test_reducers_that_draw_settle_in_evaluation() -> None:
    x = random((1, 2, 8, 8)).abs()
    for name in (name for name in SIMPLE if REGISTRY[name].draws):
        module = nn.Pool2d(name, 2)
        torch.manual_seed(0)
        drawn = [module(x) for _ in range(4)]
        assert any(not torch.equal(drawn[0], y) for y in drawn[1:])
        assert torch.equal(module.eval()(x), cnnatomy.pool(x, module.reducer.settled(), module.region))


def by_the_authors(x: Tensor, logits: Tensor) -> Tensor:
    """Local importance pooling as the quotient of two averages."""
    weight = logits.exp()
    return F.avg_pool2d(x * weight, 3, 2, 1) / F.avg_pool2d(weight, 3, 2, 1)


def test_further_inputs_come_by_name() -> None:
    x, logits = (random((2, 3, 9, 9), torch.float64, seed).requires_grad_() for seed in (0, 1))
    module = nn.Pool2d(Importance(), 3, 2, 1)
    y, truth = module(x, logits=logits), by_the_authors(x, logits)
    close(y, truth)
    grad = random(tuple(y.shape), torch.float64, seed=2)
    for mine, wanted in zip(
        *(torch.autograd.grad(out, (x, logits), grad) for out in (y, truth)), strict=True
    ):
        close(mine, wanted)


def test_local_importance_pooling_learns_from_the_average_on() -> None:
    x = random((2, 3, 9, 9))
    module = nn.LIPool2d(3)
    close(module(x), F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(0))
    close(module(x), by_the_authors(x.double(), module.logits(x).double()), sums=4)
    module(x).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())
    bounded = module.logits(100 * x).detach()
    assert 0 <= bounded.min().item() < bounded.max().item() <= 12


def test_any_network_may_say_what_matters() -> None:
    x = random((2, 3, 9, 9))
    module = nn.LIPool2d(3, logits=nn.Tanh())
    close(module(x), by_the_authors(x.double(), x.double().tanh()))
    assert list(module.parameters()) == []


POWERS: list[tuple[float, dict[str, Any]]] = [
    (2, {"kernel_size": 2}),
    (2.0, {"kernel_size": 3, "stride": 2}),
    (4, {"kernel_size": 3, "stride": 1}),
    (math.inf, {"kernel_size": 3, "stride": 2}),
    (1, {"kernel_size": 2}),
    (3, {"kernel_size": 2}),
    (0.5, {"kernel_size": 2}),
    (2, {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    (1.5, {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("case", POWERS, ids=str)
def test_power_average_is_torchs(rank: int, case: tuple[float, dict[str, Any]]) -> None:
    p, options = case
    ours, theirs = (getattr(home, f"LPPool{rank}d")(p, **options) for home in (nn, torch.nn))
    signed = p == math.inf or p % 1 == 0  # torch has no other powers of negative numbers
    x = random(SHAPES[rank], torch.float64)
    x = (x if signed else x.abs()).requires_grad_()
    for given in (x, x[0]):
        y, truth = ours(given), theirs(given)
        close(y, truth)
        grad = random(tuple(y.shape), torch.float64, seed=2)
        mine, wanted = (torch.autograd.grad(out, x, grad)[0] for out in (y, truth))
        close(mine, wanted, sums=100)


@pytest.mark.parametrize(
    "arguments", [(0, 2), (None, 2), (2, 0), (2, 9), (2, 2, -1), (2, (2, 2, 2)), (2, 2.0)], ids=str
)
def test_power_average_raises_as_torch_does(arguments: tuple[Any, ...]) -> None:
    raised = []
    for home in (nn, torch.nn):
        with pytest.raises(Exception, match=r".*") as caught:
            home.LPPool2d(*arguments)(torch.rand(1, 1, 6, 6))
        raised.append((type(caught.value), str(caught.value)))
    assert raised[0] == raised[1]


def test_power_average_where_torch_gives_up() -> None:
    x = torch.tensor([[[-3.0, 4.0, 3e30, 3e30]]])
    assert torch.nn.LPPool1d(2.5, 2)(x).isnan()[0, 0, 0]
    close(nn.LPPool1d(2.5, 2)(x)[..., :1], torch.tensor([[[(3**2.5 + 4**2.5) ** 0.4]]]))
    assert torch.nn.LPPool1d(4, 2)(x)[0, 0, 1] == math.inf
    torch.testing.assert_close(nn.LPPool1d(4, 2)(x)[0, 0, 1], torch.tensor(3e30 * 2**0.25))
    zero = torch.zeros(1, 1, 4, requires_grad=True)
    nn.LPPool1d(2, 2)(zero).sum().backward()
    assert zero.grad is not None
    assert not zero.grad.any()
