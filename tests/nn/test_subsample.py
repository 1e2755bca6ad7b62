from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.nn.subsample import Subsample2d


def by_the_book(layer: Subsample2d, x: Tensor) -> Tensor:
    """(a1 + a2 + ...) * w + b, one window at a time."""
    k, s = layer.kernel_size, layer.stride
    rows = range(0, x.shape[2] - k + 1, s)
    columns = range(0, x.shape[3] - k + 1, s)
    sums = [[x[:, :, i : i + k, j : j + k].sum((2, 3)) for j in columns] for i in rows]
    stacked = torch.stack([torch.stack(row, dim=-1) for row in sums], dim=-2)
    return stacked * layer.weight[:, None, None] + layer.bias[:, None, None]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.sampled_from([None, 1, 2, 3]), st.integers(3, 8), st.integers(3, 7))
def test_equals_the_definition(kernel: int, stride: int | None, height: int, width: int) -> None:
    torch.manual_seed(0)
    layer = Subsample2d(3, kernel, stride).double()
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.normal_()
    x = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    y, expected = layer(x), by_the_book(layer, x)
    torch.testing.assert_close(y, expected)
    cotangent = torch.randn_like(y)
    inputs = [x, layer.weight, layer.bias]
    for got, want in zip(
        torch.autograd.grad(y, inputs, cotangent),
        torch.autograd.grad(expected, inputs, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(got, want)


def test_has_two_parameters_per_map_and_starts_as_the_mean() -> None:
    layer = Subsample2d(16)
    assert sum(p.numel() for p in layer.parameters()) == 32
    x = torch.randn(1, 16, 4, 4)
    torch.testing.assert_close(layer(x), torch.nn.functional.avg_pool2d(x, 2))


@pytest.mark.parametrize("arguments", [(0,), (1, 0), (1, 2, 0)])
def test_sizes_must_be_positive(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match="expected an int >= 1, got 0"):
        Subsample2d(*arguments)
