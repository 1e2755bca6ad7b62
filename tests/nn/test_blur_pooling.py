"""Poolings that blur: against NumPy's padding and torch's convolution, and by what they are for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import cnnatomy as ca
import cnnatomy.nn as nn
from cnnatomy.errors import ArgumentError

BLURS: dict[int, Any] = {1: nn.BlurPool1d, 2: nn.BlurPool2d, 3: nn.BlurPool3d}
MAXIMA: dict[int, Any] = {1: nn.MaxBlurPool1d, 2: nn.MaxBlurPool2d, 3: nn.MaxBlurPool3d}
PADDED = {"reflect": "reflect", "edge": "edge", "zeros": "constant"}


def by_hand(x: Tensor, size: int, stride: int, mode: str) -> Tensor:
    """Pad with NumPy, and convolve every channel with Pascal's row along every axis."""
    rank = x.dim() - 2
    row = np.ones(1)
    for _ in range(size - 1):
        row = np.convolve(row, [0.5, 0.5])
    kernel = row
    for _ in range(rank - 1):
        kernel = kernel[..., None] * row
    before = (size - 1) // 2
    widths = [(0, 0), (0, 0), *[(before, size - 1 - before)] * rank]
    padded = np.pad(x.numpy(), widths, mode=PADDED[mode])  # type: ignore[call-overload]
    weight = torch.from_numpy(kernel).expand(x.shape[1], 1, *kernel.shape).contiguous()
    convolve = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    return convolve(torch.from_numpy(padded), weight, stride=stride, groups=x.shape[1])


@given(
    rank=st.integers(1, 3),
    size=st.integers(1, 5),
    stride=st.integers(1, 3),
    side=st.integers(5, 9),
    mode=st.sampled_from(sorted(PADDED)),
)
@settings(max_examples=25, deadline=None)
def test_blurs_are_pascals_rows_over_padded_maps(
    rank: int, size: int, stride: int, side: int, mode: str
) -> None:
    x = torch.rand(2, 3, *[side] * rank, dtype=torch.float64)
    truth = by_hand(x, size, stride, mode)
    torch.testing.assert_close(BLURS[rank](size, stride, mode)(x), truth)
    largest = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1](x, 2, 1)
    torch.testing.assert_close(MAXIMA[rank](2, stride, size, mode)(x), by_hand(largest, size, stride, mode))


def test_a_shift_by_one_cell_changes_a_blurred_maximum_less() -> None:
    torch.manual_seed(0)
    x = torch.rand(8, 4, 33, 33)
    changes = [
        (pool(x[..., 1:])[..., 1:-2] - pool(x[..., :-1])[..., 1:-2]).abs().mean()
        for pool in (nn.MaxPool2d(2), nn.MaxBlurPool2d(), nn.MaxBlurPool2d(size=5))
    ]
    assert changes[0] > 1.5 * changes[1] > 1.5 * changes[2]


def test_gradients_are_exact() -> None:
    x = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(nn.BlurPool2d(4, (2, 1)), (x,))
    assert torch.autograd.gradcheck(nn.MaxBlurPool2d(), (x,))


def test_networks_are_written_with_them_and_known_before_they_run() -> None:
    net = ca.network("conv3-4 blurpool conv3-4 maxblurpool5 edge globalavg FC-3", input_size=(1, 20, 20))
    assert [type(part).__name__ for part in net.modules() if "Blur" in type(part).__name__] == [
        *("BlurPool2d", "MaxBlurPool2d", "BlurPool2d")
    ]
    known = ca.anatomy(net, (1, 20, 20))
    blur = next(layer for layer in known if layer.type == "BlurPool2d")
    assert blur.field.size == (5, 5)
    assert blur.field.stride == (2, 2)
    assert str(ca.network(str(net.spec), input_size=(1, 20, 20)).spec) == str(net.spec)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.BlurPool2d(0), "size"),
        (lambda: nn.BlurPool2d(34), "<= 33, got 34"),
        (lambda: nn.BlurPool2d(3, 0), "stride"),
        (lambda: nn.BlurPool2d(3, 2, "mirror"), "mirror"),
        (lambda: ca.network("conv3-4 blurpool3x5 FC-2", input_size=(1, 9, 9)), "one size, as blurpool5"),
    ],
)
def test_what_there_is_not_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        make()
