"""Faster networks of the same results, or the network as it was."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from support import random
from torch import Tensor, nn
from torch.nn import functional as F

import cnnatomy.nn as ours
from cnnatomy.adapt import accelerate
from cnnatomy.adapt.batchnorm_folding import fold, foldable
from cnnatomy.adapt.race import difference, race
from cnnatomy.errors import ArgumentError


class Net(nn.Module):
    """Normalised convolutions, one of which is read twice, and poolings of both forms."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.na = nn.Conv2d(3, 8, 3, padding=1, padding_mode="replicate"), nn.BatchNorm2d(8)
        self.b, self.nb = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.pool, self.grow = nn.MaxPool2d(3, 2, 1), nn.Upsample(scale_factor=2, mode="bilinear")
        for norm in (self.na, self.nb):
            nn.init.normal_(norm.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(norm.running_var, 0.5, 2)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y = self.b(F.relu(self.na(self.a(x)), inplace=True))
        return F.avg_pool2d(self.grow(self.pool(self.nb(y) + y)), 2)


def test_results_stay_and_the_network_is_left_alone() -> None:
    net, x = Net().train(), random((2, 3, 32, 32))
    state = {name: value.clone() for name, value in net.state_dict().items()}
    done = accelerate(net, x, seconds=0.05)
    assert net.training
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert done.error <= 1e-5
    assert done.speedup >= 1
    assert difference(done.model(x), net.eval()(x)) <= 1e-5
    tried = {change.path for change in done.changes}
    assert {"", "pool", "grow", "avg_pool2d_1"} <= tried
    assert "times as fast" in str(done)


def test_a_network_may_be_one_module(monkeypatch: pytest.MonkeyPatch) -> None:
    search = sys.modules["cnnatomy.adapt.accelerate"]
    monkeypatch.setattr(search, "race", lambda runs, device, *, seconds: [1.0, 0.5])
    done = accelerate(nn.MaxPool2d(2), x := random((1, 2, 6, 6)))
    assert type(done.model) is ours.MaxPool2d
    assert torch.equal(done.model(x), F.max_pool2d(x, 2))


def test_only_a_result_that_nothing_else_reads_is_folded() -> None:
    net, x = Net().eval(), random((2, 3, 9, 9))
    truth = net(x)
    pairs = foldable(net, (x,))
    assert ("b", "nb") in pairs
    fold(net, [("b", "nb")])  # its convolution is read by a sum as well: hooks cannot see that,
    assert difference(net(x), truth) > 1e-3  # but the results do, and accelerate looks at them


def test_a_harmless_fold_is_exact() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    statistics: Any = net[1].running_mean
    nn.init.normal_(statistics)
    x = random((2, 3, 9, 9))
    truth, pairs = net(x), foldable(net, (x,))
    fold(net, pairs)
    assert pairs == [("0", "1")]
    assert isinstance(net[1], nn.Identity)
    assert difference(net(x), truth) < 1e-6


class Wrong(nn.Module):
    """Gives another result each time, so that nothing can be shown equal."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.calls = nn.MaxPool2d(2), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.pool(x) + self.calls  # type: ignore[no-any-return]


def test_what_is_not_equal_is_undone() -> None:
    done = accelerate(Wrong(), random((1, 2, 16, 16)), seconds=0.02)
    assert not any(change.kept for change in done.changes)
    assert done.speedup == 1


def test_races_take_turns_and_differences_see_nan() -> None:
    order: list[int] = []
    race([lambda: order.append(0), lambda: order.append(1)], torch.device("cpu"), seconds=1e-9, least=4)
    assert order == [0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1]
    nan = torch.tensor([float("nan"), 1.0])
    assert difference(nan, nan) == 0
    assert difference(nan, torch.tensor([0.0, 1.0])) == float("inf")
    assert difference(torch.ones(2), torch.ones(3)) == float("inf")


def test_a_tolerance_is_above_zero() -> None:
    with pytest.raises(ArgumentError, match="tolerance"):
        accelerate(nn.ReLU(), random((1, 2)), tolerance=0)
