"""Equivariance: 0 where a network moves along, and what a shift by hand gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks import equivariance


def smooth(count: int = 3) -> Tensor:
    x = torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(x, (32, 32), mode="bicubic")


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3, padding=1))


def test_whole_steps_of_every_map_leave_no_error() -> None:
    for amount in (2, 4):
        assert all(error < 1e-5 for error in equivariance(net(), smooth(), "shift", amount).values())


def test_half_a_step_of_a_pooled_map_leaves_one() -> None:
    found = equivariance(net(), smooth(), "shift", 1)
    assert found["0"] < 1e-5 < found["2"]


def test_the_error_is_that_of_maps_mirrored_by_hand() -> None:
    model, x = net(), smooth()
    with torch.no_grad():
        plain, found = model[:2](x), model[:2](x.flip(3))
    inner = slice(30 // 4, 30 - 30 // 4)
    plain, found, wanted = (one[:, :, inner, inner].double() for one in (plain, found, plain.flip(3)))
    spread = (plain - plain.mean((0, 2, 3), keepdim=True)).square().mean()
    error = float(((found - wanted).square().mean() / spread).sqrt())
    assert equivariance(model, x, "flip")["1"] == pytest.approx(error, rel=1e-4)


def test_layers_that_see_nothing_of_the_picture_are_left_out() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.beside = nn.Conv2d(1, 2, 3), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            self.beside(torch.zeros(len(x), 1, 4, 4))
            return self.first(x)  # type: ignore[no-any-return]

    assert list(equivariance(Aside(), smooth())) == ["first"]


def test_a_kernel_that_is_its_own_mirror_follows_one() -> None:
    even = nn.Conv2d(1, 1, 3, padding=1)
    with torch.no_grad():
        even.weight.copy_(even.weight + even.weight.flip(3))
    found = equivariance(nn.Sequential(even), smooth(), "flip")
    assert found["0"] < 1e-5
    assert equivariance(net(), smooth(), "flip")["0"] > 0.1


def test_a_turn_and_a_larger_picture_are_followed_by_round_kernels() -> None:
    round_one = nn.Sequential(nn.AvgPool2d(3, 1, 1))
    assert equivariance(round_one, smooth(), "rotation", 90)["0"] < 1e-4
    assert equivariance(round_one, smooth(), "scale", 0.1)["0"] < 0.1


def test_there_are_only_so_many_moves() -> None:
    with pytest.raises(ArgumentError, match="no such move: expected one of shift, rotation"):
        equivariance(net(), smooth(), "wobble")
