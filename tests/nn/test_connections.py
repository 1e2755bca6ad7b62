from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.errors import ArgumentError
from cnnatomy.nn.connections import ConnectedConv2d


def masked(layer: ConnectedConv2d, x: Tensor, dense: Tensor) -> Tensor:
    """The same convolution by the book: a dense weight times the mask."""
    mask = layer.table.t()[:, :, None, None].to(x.dtype)
    return F.conv2d(x, dense * mask, layer.bias, layer.stride, layer.padding, layer.dilation)


@st.composite
def tables(draw: st.DrawFn) -> list[list[int]]:
    inputs, outputs = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    columns = [
        draw(st.lists(st.integers(0, 1), min_size=inputs, max_size=inputs).filter(any))
        for _ in range(outputs)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


@settings(max_examples=40, deadline=None)
@given(tables(), st.sampled_from([1, 2, (1, 3)]), st.sampled_from([0, 1, (2, 1)]), st.sampled_from([1, 2]))
def test_equals_a_masked_dense_convolution(
    table: list[list[int]], stride: int | tuple[int, int], padding: int | tuple[int, int], dilation: int
) -> None:
    torch.manual_seed(0)
    layer = ConnectedConv2d(table, (3, 2), stride, padding, dilation).double()
    x = torch.randn(2, len(table), 9, 8, dtype=torch.float64, requires_grad=True)
    dense = layer.dense_weight().detach().requires_grad_()
    y, expected = layer(x), masked(layer, x, dense)
    torch.testing.assert_close(y, expected)
    cotangent = torch.randn_like(y)
    gx, gw = torch.autograd.grad(y, [x, layer.weight], cotangent)
    ex, ew = torch.autograd.grad(expected, [x, dense], cotangent)
    torch.testing.assert_close(gx, ex)
    rows = [ew[o, i] for o in range(len(table[0])) for i in range(len(table)) if table[i][o]]
    torch.testing.assert_close(gw, torch.stack(rows))


def test_absent_connections_are_nowhere() -> None:
    layer = ConnectedConv2d([[1, 0, 1], [0, 1, 1]], 5)
    assert sum(p.numel() for p in layer.parameters()) == 4 * 25 + 3
    assert {name: tuple(v.shape) for name, v in layer.state_dict().items()} == {
        "weight": (4, 5, 5),
        "bias": (3,),
    }
    assert layer.table.tolist() == [[1, 0, 1], [0, 1, 1]]
    assert layer.fan_in().tolist() == [25, 25, 50]


def test_an_input_map_that_is_not_connected_has_no_effect() -> None:
    layer = ConnectedConv2d([[1, 0], [0, 1]], 3)
    x = torch.randn(1, 2, 6, 6)
    other = x.clone()
    other[:, 1] += 1
    assert torch.equal(layer(x)[:, 0], layer(other)[:, 0])
    assert not torch.equal(layer(x)[:, 1], layer(other)[:, 1])


def test_second_derivatives() -> None:
    torch.manual_seed(1)
    layer = ConnectedConv2d([[1, 1], [0, 1]], 2).double()
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor, weight: Tensor) -> Tensor:
        out = torch.func.functional_call(layer, {"weight": weight}, (x,))
        assert isinstance(out, Tensor)
        return out.tanh()

    assert torch.autograd.gradgradcheck(function, (x, layer.weight))


def test_without_bias_by_name_padding_and_a_single_picture() -> None:
    layer = ConnectedConv2d(torch.ones(2, 3), 3, padding="same", bias=False)
    assert layer.bias is None
    assert layer(torch.zeros(2, 7, 7)).shape == (3, 7, 7)


def test_bounds_follow_the_fan_in_of_each_map() -> None:
    torch.manual_seed(2)
    layer = ConnectedConv2d([[1, 1], [0, 1], [0, 1], [0, 1]], 20)
    assert layer.bias is not None
    for rows, inputs in ((layer.weight[:1], 1), (layer.weight[1:], 4)):
        bound = (inputs * 400) ** -0.5
        assert 0.95 * bound < rows.abs().max() <= bound


def test_survives_copying_and_moving() -> None:
    layer = ConnectedConv2d([[1, 0], [1, 1]], 3)
    x = torch.randn(1, 2, 5, 5)
    torch.testing.assert_close(copy.deepcopy(layer)(x), layer(x))
    assert layer.to("meta")(x.to("meta")).shape == (1, 2, 3, 3)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[1, 0], [1]], "cannot be read"),
        ([], "shape"),
        ([1, 0], "shape"),
        ([[1, 2]], "other values"),
        ([[1, 0], [1, 0]], "output map 1"),
    ],
)
def test_tables_that_mean_nothing(table: list[list[int]], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ConnectedConv2d(table, 3)
