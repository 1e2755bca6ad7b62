"""Swapping operators in other people's networks: what goes, what stays, and the sizes."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import random
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import cnnatomy.nn as ours
from cnnatomy.adapt import convert
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import REGISTRY, Median, reducer


class Block(nn.Module):
    """Poolings as modules, one of them shared, and as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.again = self.pool

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv(x), 2, stride=1, ceil_mode=True)
        x = F.avg_pool2d(x, (3, 2), padding=1, count_include_pad=False)
        return F.adaptive_max_pool2d(F.interpolate(self.pool(x), scale_factor=2) + self.again(x).mean(), 3)


class Branching(nn.Module):
    """A forward that depends on values, which no trace can follow."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2) if x.sum() > 0 else x


class Moody(nn.Module):
    """A forward that depends on the mode, which a trace would fix."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(F.max_pool2d(x, 2), 0.5, self.training)


class Inherited(Moody):
    """The same through a forward that is another class's."""


class Helped(nn.Module):
    """The same through a function."""

    def forward(self, x: Tensor) -> Tensor:
        return dropped(self, F.max_pool2d(x, 2))


def dropped(module: nn.Module, x: Tensor) -> Tensor:
    return F.dropout(x, 0.5, module.training)


class Drawing(nn.Module):
    """A forward that draws, which a trace would do once and for all."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2) + torch.rand(1)


class Sharp(nn.Module):
    """A call of which no module here or of torch's is the same."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, (3, 3), mode="bilinear", antialias=True)


class Standardised(nn.Module):
    """A forward with a constant, and a child with the name of a call."""

    def __init__(self) -> None:
        super().__init__()
        self.max_pool2d_1 = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        mean = torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)
        return F.max_pool2d(self.max_pool2d_1(x - mean), 2)


class Filtered(nn.Module):
    """A call of torch's convolution."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, torch.ones(3, 3, 1, 1))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(Block(), nn.Sequential(nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d((3, 2)))).eval()


def test_max_for_max_changes_no_bit_in_modules_and_calls() -> None:
    net, x = network(), random((2, 3, 20, 21))
    done = convert(net, {"MaxPool2d": "max", "AdaptiveMaxPool2d": "max"})
    assert torch.equal(done.model(x), net(x))
    assert sorted(swap.path for swap in done.swaps) == ["0", "0", "0.pool"]
    assert not done.left
    inside: Any = done.model.get_submodule("0")
    assert isinstance(inside, Block)
    pools: list[Any] = [inside.pool, inside.again]
    assert pools[0] is pools[1]
    assert isinstance(pools[0], ours.Pool2d)


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", sorted(set(REGISTRY) - {"importance", "covariance"}))
def test_any_reducer_keeps_every_size_and_all_weights(name: str) -> None:
    net, x = network(), random((2, 3, 20, 21))
    before = copy.deepcopy(net.state_dict())
    targets: Any = {
        "MaxPool2d": name,
        nn.AvgPool2d: name,
        "AdaptiveMaxPool2d": name,
        "AdaptiveAvgPool2d": name,
    }
    done = convert(net, targets)
    assert done.model(x).shape == net(x).shape
    assert len(done.swaps) == 5
    for key, value in before.items():
        assert torch.equal(done.model.state_dict()[key], value)
        assert torch.equal(net.state_dict()[key], value)


@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3) | st.none(),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    ceil=st.booleans(),
    size=st.integers(8, 13),
)
def test_windows_stay_as_they_were(
    kernel: int, stride: int | None, padding: int, dilation: int, ceil: bool, size: int
) -> None:
    pool = nn.MaxPool2d(kernel, stride, min(padding, kernel // 2), dilation, ceil_mode=ceil)
    x = random((1, 2, size, size + 1))
    assert torch.equal(convert(pool, {"MaxPool2d": "max"}).model(x), pool(x))


def test_what_cannot_be_followed_is_named() -> None:
    net = nn.Sequential(Branching(), Moody(), nn.MaxPool2d(2))
    with pytest.warns(UserWarning, match="cannot follow") as told:
        done = convert(net, {"MaxPool2d": "soft"})
    assert len(told) == 2
    assert done.left == ("0: max_pool2d", "1: max_pool2d")
    assert [swap.path for swap in done.swaps] == ["2"]
    assert "left as it is" in str(done)


@pytest.mark.parametrize("kind", [Inherited, Helped, Drawing, Sharp])
def test_what_a_trace_would_fix_or_lose_is_left(kind: type[nn.Module]) -> None:
    net = nn.Sequential(kind())
    with pytest.warns(UserWarning, match="cannot follow"):
        done = convert(net, {"MaxPool2d": "max", "Upsample": "cubic"})
    x = random((1, 3, 6, 6))
    torch.manual_seed(1)
    truth = net.eval()(x)
    torch.manual_seed(1)
    assert torch.equal(done.model.eval()(x), truth)
    assert not done.swaps
    assert vars(done.model[0]).keys() == vars(net[0]).keys()  # type: ignore[index]


def test_constants_and_children_of_a_traced_forward_stay() -> None:
    net, x = Standardised(), random((2, 3, 9, 9))
    done = convert(net, {"MaxPool2d": "max"})
    assert len(done.swaps) == 1
    assert torch.equal(done.model(x), net(x))
    assert torch.equal(copy.deepcopy(done.model)(x), net(x))
    assert done.model.state_dict().keys() == net.state_dict().keys()
    assert not any(name.startswith("_tensor_constant") for name in vars(net))


def test_calls_of_other_functions_are_none_of_its_business() -> None:
    done = convert(nn.Sequential(Filtered(), nn.Conv2d(3, 3, 3, padding=1)), {"Conv2d": "reflect"})
    assert [swap.path for swap in done.swaps] == ["1"]
    assert not done.left


def test_hooks_and_parametrizations_stay() -> None:
    net = nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.MaxPool2d(2))
    seen: list[int] = []
    net[1].register_forward_hook(lambda module, given, y: seen.append(1))
    done = convert(net, {"MaxPool2d": "mean"}, inplace=True)
    assert done.model is net
    done.model(random((1, 3, 8, 8)))
    assert seen == [1]
    assert set(net.state_dict()) == {
        *("0.bias", "0.parametrizations.weight.original0", "0.parametrizations.weight.original1")
    }


def test_values_may_be_instances_factories_methods_and_padding_modes() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1), nn.MaxPool2d(2), nn.Upsample(scale_factor=2), nn.ReLU()
    )
    done = convert(net, {"MaxPool2d": Median(), "ReLU": lambda old: nn.GELU(), "Upsample": "lanczos3"})
    assert [type(module).__name__ for module in done.model.children()] == [
        "Conv2d",
        "Pool2d",
        "Upsample",
        "GELU",
    ]
    padded = convert(net, {"Conv2d": "reflect"}).model.get_submodule("0")
    x = random((1, 3, 6, 6))
    conv: Any = net[0]
    torch.testing.assert_close(padded(x), F.conv2d(F.pad(x, (1,) * 4, "reflect"), conv.weight, conv.bias))


def test_our_own_poolings_are_swapped_as_well() -> None:
    net = nn.Sequential(
        ours.Pool2d("max", 3, 2, "same"), ours.GlobalPool2d("mean"), ours.PyramidPool2d("max", (1, 2))
    )
    done = convert(net, {"Pool2d": "gem", "GlobalPool2d": "soft", "PyramidPool2d": "median"})
    assert [str(module.reducer) for module in done.model.children()] == [
        *(str(reducer(name)) for name in ("gem", "soft", "median"))
    ]
    assert done.model(random((2, 3, 9, 9)).abs()).shape == net(random((2, 3, 9, 9))).shape


def test_a_rewritten_network_trains_and_is_copied() -> None:
    net = convert(network(), {"MaxPool2d": ours.Pool2d("gem", 2).reducer}).model.train()
    other = copy.deepcopy(net)
    x = random((2, 3, 20, 21))
    net(x).sum().backward()
    assert net.get_submodule("0.conv").weight.grad is not None
    assert torch.equal(other(x), net(x))


@pytest.mark.parametrize(
    ("swaps", "said"),
    [
        ({"MaxPool3d": "soft"}, "nothing was swapped"),
        ({"MaxPool2d": "sotf"}, "no pooling is called 'sotf'.*soft"),
        ({"BatchNorm2d": "soft"}, "means nothing for BatchNorm2d"),
        ({"MaxPool2d": lambda old: 3}, "gives no module"),
        ({"MaxPool2d": 3}, "what becomes of MaxPool2d: expected a reducer.*got 3"),
        ({"MaxPool2d": None}, "what becomes of MaxPool2d: .*got None"),
        ({nn.MaxPool2d: nn.AvgPool2d}, r"the class AvgPool2d; try lambda old: AvgPool2d\(...\)"),
        ({"MaxPool2d": nn.AvgPool2d(2)}, r"got AvgPool2d.*try lambda old: AvgPool2d\(...\)"),
        ({"MaxPool2d": Median}, r"got the class Median; try Median\(\)"),
        ({3: "soft"}, "names no operator"),
    ],
)
def test_mistakes_are_told(swaps: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=said), warnings.catch_warnings():
        convert(network(), swaps)


def test_a_class_is_no_network() -> None:
    with pytest.raises(ArgumentError, match="this is no network"):
        convert(nn.MaxPool2d, {"MaxPool2d": "soft"})  # type: ignore[arg-type]


def test_indices_are_kept_or_refused() -> None:
    pool = nn.MaxPool2d(2, return_indices=True)
    y, indices = convert(pool, {"MaxPool2d": "min"}).model(random((1, 1, 4, 4)))
    assert indices.shape == y.shape
    with pytest.raises(ArgumentError, match="gives no indices"):
        convert(pool, {"MaxPool2d": "mean"})
