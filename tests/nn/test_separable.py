"""Convolutions in parts, each against torch's own convolution with the same weights."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from support import close, random
from torch import nn
from torch.nn import functional as F

from cnnatomy.errors import ArgumentError
from cnnatomy.nn import separable

RANKS = [1, 2, 3]
SIZES = (6, 7, 5)
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def module(name: str, rank: int) -> Any:
    return getattr(separable, f"{name}{rank}d")


@pytest.mark.parametrize("rank", RANKS)
def test_depthwise_is_torchs_grouped_convolution(rank: int) -> None:
    layer = module("DepthwiseConv", rank)(4, 3, multiplier=2, stride=2, padding=1)
    theirs = getattr(nn, f"Conv{rank}d")(4, 8, 3, stride=2, padding=1, groups=4)
    theirs.load_state_dict(layer.state_dict())
    x = random((2, 4, *SIZES[:rank]))
    assert isinstance(layer, type(theirs))
    assert torch.equal(layer(x), theirs(x))


@pytest.mark.parametrize("rank", RANKS)
def test_pointwise_is_a_linear_map_at_every_place(rank: int) -> None:
    layer = module("PointwiseConv", rank)(4, 5)
    x = random((2, 4, *SIZES[:rank]))
    close(layer(x).movedim(1, -1), F.linear(x.movedim(1, -1), layer.weight.flatten(1), layer.bias))


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("multiplier", [1, 3])
def test_separable_is_one_after_the_other(rank: int, multiplier: int) -> None:
    layer = module("SeparableConv", rank)(4, 5, 3, stride=2, padding="same", multiplier=multiplier)
    assert [*layer.state_dict()] == ["depthwise.weight", "pointwise.weight", "pointwise.bias"]
    x = random((2, 4, *SIZES[:rank]))
    depthwise, pointwise, bias = layer.state_dict().values()
    widths = [width for n in reversed(SIZES[:rank]) for width in ((1, 1) if n % 2 else (0, 1))]
    between = CONV[rank](F.pad(x, widths), depthwise, None, stride=2, groups=4)
    close(layer(x), CONV[rank](between, pointwise, bias))


@pytest.mark.parametrize("rank", RANKS)
def test_separable_equals_the_dense_convolution_that_it_factors(rank: int) -> None:
    layer = module("SeparableConv", rank)(3, 4, 3, padding=1, dtype=torch.float64)
    depthwise, pointwise, bias = layer.state_dict().values()
    x = random((2, 3, *SIZES[:rank]), torch.float64)
    close(layer(x), CONV[rank](x, pointwise * depthwise.transpose(0, 1), bias, padding=1))


def test_what_lies_between_is_applied_and_saved() -> None:
    between = nn.Sequential(nn.BatchNorm2d(6), nn.ReLU())
    layer: Any = separable.SeparableConv2d(
        3, 4, 3, multiplier=2, bias=False, padding_mode="reflect", between=between
    )
    x = random((2, 3, 6, 6))
    close(layer(x), layer.pointwise(between(layer.depthwise(x))))
    assert any(name.startswith("between.0.") for name in layer.state_dict())
    assert layer.pointwise.bias is None
    assert layer.depthwise.padding_mode == "reflect"


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("dense", [False, True])
def test_a_strided_convolution_starts_as_average_pooling(rank: int, dense: bool) -> None:
    layer = module("StridedConvPool", rank)(3, 2, dense=dense, bias=dense)
    x = random((2, 3, *SIZES[:rank]))
    close(layer(x), MEAN[rank](x, 2))
    assert layer.weight.shape == ((3, 3) if dense else (3, 1)) + (2,) * rank
    layer(x).square().sum().backward()
    assert all(bool(p.grad.abs().sum() > 0) for p in layer.parameters())
    again = pickle.loads(pickle.dumps(layer))
    assert torch.equal(again(x), layer(x))


def test_a_strided_convolution_takes_other_strides_and_paddings() -> None:
    layer = separable.StridedConvPool2d(2, (3, 2), stride=(2, 1), padding=(1, 0))
    x = random((1, 2, 7, 6))
    close(layer(x), F.avg_pool2d(x, (3, 2), (2, 1), (1, 0)))


@pytest.mark.parametrize(
    ("name", "args", "options", "message"),
    [
        ("DepthwiseConv", (0, 3), {}, "channels is out of range"),
        ("DepthwiseConv", (3, 3), {"multiplier": 0}, "multiplier is out of range"),
        ("DepthwiseConv", (3, 3), {"padding": "sam"}, "try 'same'"),
        ("PointwiseConv", (3, 4), {"groups": 2}, "groups do not divide in_channels"),
        ("SeparableConv", (3, 4, 3), {"multiplier": 1.5}, "multiplier is not a whole number"),
        ("StridedConvPool", (3,), {"dense": 1}, "dense is not a bool"),
        ("StridedConvPool", (3,), {"stride": 0}, "stride is out of range"),
    ],
)
def test_arguments_that_mean_nothing(name: str, args: Any, options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        module(name, 2)(*args, **options)
