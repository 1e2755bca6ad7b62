"""Channels to cells against torch and loops; sub-pixel convolutions that start as an upsampling."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import close, random
from torch.nn import functional as F

from cnnatomy.errors import ArgumentError
from cnnatomy.nn import subpixel
from cnnatomy.nn.subpixel import depth_to_space, icnr_, space_to_depth


@given(st.data())
def test_cells_come_from_the_channels_that_the_formula_names(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    scale = tuple(data.draw(st.integers(1, 3)) for _ in range(rank))
    size = tuple(data.draw(st.integers(1, 3)) for _ in range(rank))
    depth = data.draw(st.integers(1, 3))
    order: Any = data.draw(st.sampled_from(["crd", "dcr"]))
    count = math.prod(scale)
    x = random((2, depth * count, *size))
    y = depth_to_space(x, scale, order)
    assert y.shape == (2, depth, *(n * s for n, s in zip(size, scale, strict=True)))
    for c, *o in itertools.product(range(depth), *(range(n) for n in y.shape[2:])):
        j = 0
        for cell, step in zip(o, scale, strict=True):
            j = j * step + cell % step
        channel = c * count + j if order == "crd" else j * depth + c
        source = tuple(cell // step for cell, step in zip(o, scale, strict=True))
        here: Any = (slice(None), c, *o)
        there: Any = (slice(None), channel, *source)
        assert torch.equal(y[here], x[there])
    assert torch.equal(space_to_depth(y, scale, order), x)
    assert torch.equal(depth_to_space(x[0], scale, order, rank=rank), y[0])
    assert torch.equal(space_to_depth(y[0], scale, order, rank=rank), x[0])


def test_in_the_plane_it_is_torchs_pixel_shuffle() -> None:
    x = random((2, 12, 3, 5))
    assert torch.equal(depth_to_space(x, 2), F.pixel_shuffle(x, 2))
    y = random((2, 3, 6, 9))
    assert torch.equal(space_to_depth(y, 3), F.pixel_unshuffle(y, 3))


def test_onnx_node_cases() -> None:
    """The example of ONNX's DepthToSpace, in both of its modes."""
    x = torch.arange(8.0)[:, None, None] * 9 + torch.arange(6.0).view(2, 3)
    dcr = depth_to_space(x[None], 2, "dcr")[0, 0]
    crd = depth_to_space(x[None], 2, "crd")[0, 0]
    assert dcr.tolist() == [
        [0, 18, 1, 19, 2, 20],
        [36, 54, 37, 55, 38, 56],
        [3, 21, 4, 22, 5, 23],
        [39, 57, 40, 58, 41, 59],
    ]
    assert crd.tolist() == [
        [0, 9, 1, 10, 2, 11],
        [18, 27, 19, 28, 20, 29],
        [3, 12, 4, 13, 5, 14],
        [21, 30, 22, 31, 23, 32],
    ]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("scale", [2, 3])
def test_the_first_output_is_a_nearest_upsampling(rank: int, scale: int) -> None:
    torch.manual_seed(0)
    module = getattr(subpixel, f"SubpixelConv{rank}d")(3, 2, 3, scale)
    x = random((2, 3, *(5, 4, 3)[:rank]))
    y = module(x)
    count = scale**rank
    conv: Any = getattr(F, f"conv{rank}d")
    small = conv(x, module.conv.weight[::count], module.conv.bias[::count], padding="same")
    close(y, F.interpolate(small, scale_factor=scale, mode="nearest"))
    assert module.conv.weight[::count].std() > 0.01
    close(module(x[0]), y[0])
    module.conv.weight.data.normal_()
    module.reset_parameters()
    assert torch.equal(module.conv.weight[0], module.conv.weight[count - 1])


def test_icnr_keeps_the_first_filter_of_each_block() -> None:
    weight = random((8, 3, 5, 5))
    before = weight.clone()
    assert icnr_(weight, 2) is weight
    for i in range(8):
        assert torch.equal(weight[i], before[i // 4 * 4])


def test_compiles_exports_transforms_and_autocasts() -> None:
    module = subpixel.SubpixelConv2d(3, 2, 3, (2, 3))
    x = random((2, 3, 5, 4))
    close(torch.compile(module, fullgraph=True, backend="aot_eager")(x), module(x))
    batch = torch.export.Dim("batch")
    graph = torch.export.export(module, (x,), dynamic_shapes=({0: batch},)).module()
    other = random((7, 3, 5, 4), seed=1)
    close(graph(other), module(other))
    close(torch.func.vmap(module)(other[:, None])[:, 0], module(other))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module(x).dtype is torch.bfloat16
    assert torch.autograd.gradcheck(
        lambda t: depth_to_space(t, 2), random((1, 4, 2, 2), torch.float64).requires_grad_()
    )
    assert depth_to_space(torch.empty(0, 4, 2, 2), 2).shape == (0, 1, 4, 4)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_resized_convolutions_are_a_resizing_and_a_convolution(rank: int, method: str) -> None:
    pytest.importorskip("cnnatomy.ops.resampling")
    module = getattr(subpixel, f"ResizeConv{rank}d")(3, 2, 3, 2, method)
    x = random((2, 3, *(5, 4, 6)[:rank]))
    mode = "nearest" if method == "nearest" else ("linear", "bilinear", "trilinear")[rank - 1]
    close(module(x), module.conv(F.interpolate(x, scale_factor=2, mode=mode)))
    close(module(x[0]), module(x)[0])


X = torch.zeros(1, 6, 3, 3)
WRONG: list[Any] = [
    lambda: depth_to_space(X, 4),
    lambda: depth_to_space(X, 0),
    lambda: depth_to_space(X, 1.5),  # type: ignore[arg-type]
    lambda: depth_to_space(X, (1, 2, 3)),
    lambda: depth_to_space(X, 1, "rcd"),  # type: ignore[arg-type]
    lambda: depth_to_space(X[0, 0], 1),
    lambda: depth_to_space(X, 1, rank=1),
    lambda: space_to_depth(X, 2),
    lambda: space_to_depth(X, -1),
    lambda: space_to_depth(X, 1, "x"),  # type: ignore[arg-type]
    lambda: icnr_(torch.zeros(6, 1, 3, 3), 2),
    lambda: subpixel.SubpixelConv2d(3, 0, 3, 2),
    lambda: subpixel.SubpixelConv2d(3, 1, 3, 0),
    lambda: subpixel.SubpixelConv2d(3, 1, 3, (2, 2, 2)),
    lambda: subpixel.ResizeConv2d(3, 1, 3, 0),
    lambda: subpixel.ResizeConv2d(3, 1, 3, math.nan),
    lambda: subpixel.ResizeConv2d(3, 1, 3, -2.0),
    lambda: subpixel.ResizeConv2d(3, 1, 3, (2, 2, 2)),
    lambda: subpixel.ResizeConv2d(3, 1, 3, math.inf),
    lambda: subpixel.ResizeConv2d(3, 1, 3, "2"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_wrong_arguments_are_told(case: int) -> None:
    with pytest.raises(ArgumentError, match="expected"):
        WRONG[case]()
