"""Costs against counting: every output and every tap by a loop, and torch's own counter where it is right."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import cnnatomy
from cnnatomy import nn as ours
from cnnatomy.anatomy.costs import connected, cost, inside
from cnnatomy.anatomy.figures import Cost
from cnnatomy.anatomy.record.graph import Call, Value, signature
from cnnatomy.anatomy.record.tracing import trace

CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Tensor) -> Any:
        return self.function(*given)


def measured(model: nn.Module | Callable[..., Any], *shapes: Sequence[int]) -> list[tuple[Call, Cost]]:
    module = model if isinstance(model, nn.Module) else Function(model)
    graph = trace(module, tuple(torch.empty(*shape) for shape in shapes))
    assert graph.reason is None
    connections = connected(graph)
    return [(call, cost(call, connections)) for call in graph.calls]


def macs(model: nn.Module | Callable[..., Any], *shapes: Sequence[int]) -> int:
    found = [each.macs for _, each in measured(model, *shapes)]
    assert None not in found
    return sum(each or 0 for each in found)


def flops(model: nn.Module | Callable[..., Any], *shapes: Sequence[int]) -> int:
    found = [each.flops for _, each in measured(model, *shapes)]
    assert None not in found
    return sum(each or 0 for each in found)


Layer = tuple[nn.Module, tuple[int, ...]]


@st.composite
def convolutions(draw: st.DrawFn, transposed: bool) -> Layer:
    rank = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    inside, out = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, stride, padding = each(1, 3), each(1, 3), each(0, 2)
    dilation = each(1, 2)
    size = tuple(draw(st.integers(5, 7)) for _ in range(rank))
    more: dict[str, Any] = {"groups": groups, "bias": draw(st.booleans())}
    if transposed:
        padding = tuple(min(p, d * (k - 1)) for p, d, k in zip(padding, dilation, kernel, strict=True))
        more["output_padding"] = tuple(
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
        )
    kinds = TRANSPOSED if transposed else CONVOLUTIONS
    layer = kinds[rank](inside, out, kernel, stride, padding, dilation=dilation, **more)
    return layer, (draw(st.integers(1, 2)), inside, *size)


def counted(layer: Any, shape: Sequence[int]) -> tuple[int, int]:
    """By a loop over outputs (inputs if transposed), taps and channels: all taps, and those on the map."""
    transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
    out = layer(torch.zeros(*shape)).shape
    here, there = (shape, out) if transposed else (out, shape)
    every = within = 0
    for unit in itertools.product(*map(range, here[2:])):
        for tap in itertools.product(*map(range, layer.kernel_size)):
            axes = zip(unit, tap, layer.stride, layer.padding, layer.dilation, strict=True)
            cells = [u * s - p + t * d for u, t, s, p, d in axes]
            every += 1
            within += all(0 <= cell < n for cell, n in zip(cells, there[2:], strict=True))
    pairs = sum(
        a // (layer.in_channels // layer.groups) == b // (layer.out_channels // layer.groups)
        for a in range(layer.in_channels)
        for b in range(layer.out_channels)
    )
    return shape[0] * pairs * every, shape[0] * pairs * within


@given(st.one_of(convolutions(False), convolutions(True)))
def test_convolutions_are_counted_tap_by_tap(case: Layer) -> None:
    layer, shape = case
    [(call, found)] = [each for each in measured(layer, shape) if each[0].name == "aten.convolution"]
    every, within = counted(layer, shape)
    assert (found.macs, inside(call)) == (every, within)
    outputs = layer(torch.zeros(*shape)).numel()
    assert found.flops == 2 * every + (outputs if layer.bias is not None else 0)
    assert found.formula.endswith(f"= {every:,}")


@settings(max_examples=30)
@given(convolutions(False))
def test_torchs_counter_agrees_on_convolutions(case: Layer) -> None:
    layer, shape = case
    with FlopCounterMode(display=False) as counter:
        layer.to("meta")(torch.empty(*shape, device="meta"))
    assert 2 * macs(layer, shape) == counter.get_total_flops()


SIZE = st.integers(1, 5)


@settings(max_examples=25)
@given(SIZE, SIZE, SIZE, SIZE)
def test_matrix_products_are_counted_term_by_term(b: int, n: int, k: int, m: int) -> None:
    terms = sum(1 for _ in itertools.product(range(n), range(k), range(m)))
    assert macs(torch.mm, (n, k), (k, m)) == terms
    assert macs(torch.bmm, (b, n, k), (b, k, m)) == b * terms
    assert macs(torch.addmm, (n, m), (n, k), (k, m)) == terms
    assert flops(torch.addmm, (n, m), (n, k), (k, m)) == 2 * terms + n * m
    assert macs(torch.baddbmm, (b, n, m), (b, n, k), (b, k, m)) == b * terms
    assert macs(torch.addbmm, (n, m), (b, n, k), (b, k, m)) == b * terms
    assert macs(torch.mv, (n, k), (k,)) == n * k
    assert macs(torch.dot, (k,), (k,)) == k
    assert macs(nn.Linear(k, m), (b, n, k)) == b * terms
    assert macs(nn.Linear(k, m, bias=False), (k,)) == k * m
    assert macs(nn.Bilinear(n, k, m), (b, n), (b, k)) == b * terms


@given(SIZE, SIZE, st.integers(2, 5), SIZE)
def test_einsum_is_counted_term_by_term(b: int, n: int, k: int, m: int) -> None:
    assert macs(lambda x, y: torch.einsum("bnk,bmk->bnm", x, y), (b, n, k), (b, m, k)) == b * n * m * k
    assert macs(torch.matmul, (b, 1, n, k), (m, k, n)) == b * m * n * n * k


@given(SIZE, SIZE, st.integers(1, 7), st.integers(1, 7), SIZE)
def test_attention_is_two_products(b: int, heads: int, queries: int, keys: int, width: int) -> None:
    q, k = (b, heads, queries, width), (b, heads, keys, width)
    assert macs(F.scaled_dot_product_attention, q, k, k) == 2 * b * heads * queries * keys * width


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers_meet_every_weight_once_a_step(kind: Any, gates: int, bias: bool) -> None:
    layer = kind(3, 5, num_layers=2, batch_first=True, bidirectional=True, bias=bias)
    weights = sum(p.numel() for p in layer.parameters() if p.dim() == 2)
    assert weights == gates * 5 * (2 * (3 + 5) + 2 * (10 + 5))
    assert macs(layer, (2, 7, 3)) == 2 * 7 * weights


def test_the_backward_pass_of_a_convolution_takes_twice_the_forward_depthwise_too() -> None:
    for groups in (1, 3, 6):
        weight = torch.empty(6, 6 // groups, 3, 3)

        def backward(x: Tensor, grad: Tensor, weight: Tensor = weight, groups: int = groups) -> Any:
            how = [1, 1], [1, 1], [1, 1], False, [0, 0], groups
            return torch.ops.aten.convolution_backward(grad, x, weight, [6], *how, [True, True, True])

        forward = 6 * 8 * 8 * (6 // groups) * 9
        assert macs(backward, (1, 6, 8, 8), (1, 6, 8, 8)) == 2 * forward
        assert flops(backward, (1, 6, 8, 8), (1, 6, 8, 8)) == 4 * forward + 6 * 8 * 8


@pytest.mark.parametrize("mask", list(itertools.product([True, False], repeat=2)))
def test_a_gradient_that_nobody_asks_for_costs_nothing(mask: tuple[bool, bool]) -> None:
    def backward(x: Tensor, grad: Tensor, weight: Tensor) -> Any:
        how = [2, 2], [0, 0], [1, 1], True, [0, 0], 1
        found = torch.ops.aten.convolution_backward(grad, x, weight, None, *how, [*mask, False])
        return [each for each in found if each is not None]

    assert macs(backward, (1, 2, 4, 4), (1, 3, 8, 8), (2, 3, 2, 2)) == sum(mask) * 2 * 16 * 3 * 4


@pytest.mark.parametrize(
    ("function", "shape", "expected"),
    [
        (F.relu, (2, 3, 4), 24),
        (torch.sigmoid, (2, 3, 4), 24 * 4),
        (F.silu, (2, 3, 4), 24 * 4),
        (F.gelu, (2, 3, 4), 24 * 5),
        (F.hardswish, (2, 3, 4), 24 * 5),
        (lambda x: F.softmax(x, -1), (2, 3, 4), 24 * 5),
        (lambda x: x + x, (2, 3, 4), 24),
        (lambda x: x.sum((1, 2)), (2, 3, 4), 24),
        (nn.MaxPool2d(3, 2), (1, 2, 7, 7), 2 * 9 * 9),
        (nn.MaxPool2d(2, ceil_mode=True), (1, 2, 7, 7), 2 * 16 * 4),
        (nn.AvgPool2d(2), (1, 2, 6, 6), 2 * 9 * (4 + 1)),
        (nn.AdaptiveAvgPool2d((2, 3)), (1, 2, 5, 7), 2 * (3 + 3) * (3 + 3 + 3)),
        (nn.BatchNorm2d(3).eval(), (1, 3, 5, 5), 75 * 2),
        (nn.LayerNorm(5), (1, 3, 5, 5), 75 * 7),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 3, 3), 2 * 36 * 8),
        (nn.Upsample(scale_factor=2, mode="nearest"), (1, 2, 3, 3), 0),
        (lambda x: F.pad(x, (1, 1)), (2, 3, 4), 0),
        (lambda x: torch.cat([x, x]), (2, 3, 4), 0),
        (lambda x: x.long() + 1, (2, 3, 4), 0),
        (ours.Pool2d("max", 3, 2, padding=1), (1, 2, 7, 7), 2 * 16 * 9),
        (ours.Pool2d("mean", 2), (1, 2, 6, 6), 2 * 9 * 4),
    ],
)
def test_other_arithmetic_is_counted_by_its_formula(
    function: Any, shape: Sequence[int], expected: int
) -> None:
    assert macs(function, shape) == 0
    assert flops(function, shape) == expected


def test_bytes_are_those_of_the_tensors() -> None:
    [(_, found)] = measured(nn.Conv2d(3, 8, 3, padding=1), (2, 3, 6, 6))
    assert found.read == 4 * (2 * 3 * 36 + 8 * 27 + 8)
    assert found.written == 4 * 2 * 8 * 36
    [(_, found)] = measured(lambda x: x.relu_(), (2, 3))
    assert (found.read, found.written) == (24, 24)
    broadcast = [f for call, f in measured(lambda x: x.expand(5, 3) + 1, (1, 3)) if call.name == "aten.add"]
    assert (broadcast[0].read, broadcast[0].written) == (12, 60)
    looked_up = [f for call, f in measured(lambda x: x[:, [0, 2]], (4, 9)) if call.name == "aten.index"]
    assert (looked_up[0].read, looked_up[0].written) == (4 * 8 + 8 * 2, 4 * 8)


def test_views_cost_nothing() -> None:
    views = measured(lambda x: x.view(6).unsqueeze(0).expand(4, 6).permute(1, 0)[2:4].chunk(2), (2, 3))
    assert {(f.macs, f.flops, f.read, f.written) for _, f in views} == {(0, 0, 0, 0)}


def test_an_operator_without_a_rule_has_no_count() -> None:
    found = [f for call, f in measured(lambda x: torch.linalg.qr(x)[0], (4, 4)) if "qr" in call.name]
    assert [(f.macs, f.flops) for f in found] == [(None, None)]
    assert found[0].formula == "no rule for aten.linalg_qr"


def test_absent_connections_multiply_nothing() -> None:
    table = [[1, 0, 1], [0, 1, 1]]
    layer = ours.ConnectedConv2d(table, 3)
    found = [f for call, f in measured(layer, (2, 2, 6, 6)) if call.name == "aten.convolution"]
    assert [f.macs for f in found] == [2 * 16 * 4 * 9]
    assert found[0].formula == "2·4·4 outputs of a map × 4 connections × 3·3 taps = 1,152"


def test_weight_norm_multiplies_no_matrices_forward_or_backward() -> None:
    net = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3))
    assert macs(net, (1, 2, 6, 6)) == 3 * 16 * 18
    graph = trace(net, (torch.empty(1, 2, 6, 6),), training=True)
    assert None not in [cost(call).flops for call in (*graph.calls, *graph.backward)]


def test_running_extremes_and_floored_quotients_are_counted() -> None:
    assert flops(lambda x: x.cummax(2)[0], (1, 2, 3, 4)) == 24
    assert flops(lambda x: x // 2, (1, 2, 3, 4)) == 48
    assert flops(lambda x: torch.polar(x, x), (1, 2, 3, 4)) == 4 * 24


def backward(model: nn.Module, *shapes: Sequence[int]) -> list[tuple[Call, Cost]]:
    """The calls of a backward pass, with the gradient of the input asked for."""
    graph = trace(model, [torch.empty(*shape, requires_grad=True) for shape in shapes], training=True)
    assert graph.reason is None
    return [(call, cost(call)) for call in graph.backward]


def made(
    operator: Any, *given: Any, shapes: Sequence[Sequence[int]], out: Sequence[int] | None = None
) -> Call:
    """A call with tensors of these shapes first, which need not be one that meta tensors can make."""
    *values, made = (
        Value(place, tuple(shape), tuple(torch.empty(*shape, device="meta").stride()), 0, torch.float32)
        for place, shape in enumerate((*shapes, out or shapes[0]))
    )
    told = signature(operator)
    return Call(operator, (*values, *given), {}, (made,), tuple(values), (made,), 0, told)


@given(SIZE, SIZE, st.integers(2, 6), st.integers(2, 6), st.integers(1, 5), st.integers(1, 5))
def test_attention_back_is_the_products_of_its_parts(
    b: int, heads: int, queries: int, keys: int, width: int, values: int
) -> None:
    q, k, v = (b, heads, queries, width), (b, heads, keys, width), (b, heads, keys, values)
    y = (b, heads, queries, values)
    operator = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default
    found = cost(made(operator, shapes=[y, q, k, v, y, y[:3]]))
    given = [torch.empty(*shape, device="meta", requires_grad=True) for shape in (q, k, v)]
    with FlopCounterMode(display=False) as counter:
        (given[0] @ given[1].mT).softmax(-1).matmul(given[2]).sum().backward()  # type: ignore[no-untyped-call]
    products = counter.get_total_flops() // 2
    again = b * heads * queries * keys * width  # forward computes the scores, and so does the fused backward
    forward = again + b * heads * queries * keys * values
    every = products - forward + again
    assert (found.macs, found.flops) == (every, 2 * every + 10 * b * heads * queries * keys)


def spread(taps: Sequence[Sequence[Sequence[int]]]) -> int:
    """Pairs of an output and an input that it reads, by a loop; `taps` has every axis' windows."""
    return sum(math.prod(map(len, window)) for window in itertools.product(*taps))


def bins(n: int, m: int) -> list[range]:
    """torch's adaptive bins of one axis, by its formula."""
    return [range(o * n // m, -(-(o + 1) * n // m)) for o in range(m)]


ADAPTIVE: dict[str, list[Any]] = {
    "Avg": [nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d],
    "Max": [nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d],
}


@pytest.mark.parametrize("lead", [(2,), (3, 2)])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ADAPTIVE)
def test_adaptive_pooling_reads_its_bins_there_and_back(kind: str, rank: int, lead: tuple[int, ...]) -> None:
    sizes, wanted = (5, 7, 4)[:rank], (2, 3, 3)[:rank]
    layer = ADAPTIVE[kind][rank - 1](wanted if rank > 1 else wanted[0])
    pairs = math.prod(lead) * spread([bins(n, m) for n, m in zip(sizes, wanted, strict=True)])
    assert flops(layer, (*lead, *sizes)) == pairs
    outputs = math.prod((*lead, *wanted))
    found = [each.flops for call, each in backward(layer, (*lead, *sizes)) if "pool" in call.name]
    assert found == [2 * pairs if kind == "Avg" else outputs]


aten = torch.ops.aten
ON_ONE_AXIS: list[tuple[Any, list[int], tuple[int, ...], int]] = [
    (aten.adaptive_avg_pool1d.default, [3], (2, 3), 2 * spread([bins(7, 3)])),
    (aten.adaptive_max_pool1d.default, [3], (2, 3), 2 * spread([bins(7, 3)])),
    (aten.max_pool1d.default, [2], (2, 3), 2 * 3 * 2),
    (aten.max_pool1d_with_indices.default, [2], (2, 3), 2 * 3 * 2),
    (aten.avg_pool1d.default, [2], (2, 3), 2 * 3 * (2 + 1)),
]
"""Operators that a pass in Python takes apart, and a file of an exported program may hold whole."""


@pytest.mark.parametrize(("operator", "size", "out", "expected"), ON_ONE_AXIS, ids=str)
def test_poolings_of_one_axis_are_counted_where_they_stand_whole(
    operator: Any, size: list[int], out: tuple[int, ...], expected: int
) -> None:
    assert cost(made(operator, size, shapes=[(2, 7)], out=out)).flops == expected


@pytest.mark.parametrize("biased", [True, False])
def test_a_linear_layer_is_counted_where_it_stands_whole(biased: bool) -> None:
    bias: list[Any] = [] if biased else [None]
    call = made(aten.linear.default, *bias, shapes=[(2, 3, 5), (4, 5), *([(4,)] * biased)], out=(2, 3, 4))
    found = cost(call)
    assert (found.macs, found.flops) == (24 * 5, 2 * 24 * 5 + 24 * biased)


def test_a_convolution_with_time_first_reads_every_channel_of_every_tap() -> None:
    given = [(7, 2, 3), (4, 3, 5), (5,)]  # steps, pictures, channels; taps, channels, new channels
    products = (7 - 4 + 1) * 2 * 5 * 4 * 3
    assert macs(torch.conv_tbc, *given) == products
    assert flops(torch.conv_tbc, *given) == 2 * products + 4 * 2 * 5


@pytest.mark.parametrize(
    ("mode", "rank", "cells"),
    [("nearest", 2, 0), ("nearest", 3, 0), ("bilinear", 2, 4), ("bilinear", 3, 8), ("bicubic", 2, 16)],
)
def test_points_of_a_grid_weigh_the_cells_around_them(mode: str, rank: int, cells: int) -> None:
    points, channels = (4, 3, 2)[:rank], 5
    taken = flops(
        lambda x, grid: F.grid_sample(x, grid, mode=mode, align_corners=False),
        (1, channels, *(6,) * rank),
        (1, *points, rank),
    )
    assert taken == 2 * cells * channels * math.prod(points)


SLIDING: dict[str, list[Any]] = {
    "Avg": [nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d],
    "Max": [nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d],
}


@pytest.mark.parametrize("lead", [(2,), (3, 2)])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", SLIDING)
def test_windows_are_counted_there_and_back(kind: str, rank: int, lead: tuple[int, ...]) -> None:
    layer, sizes = SLIDING[kind][rank - 1](3, 2), (7, 5, 9)[:rank]
    outputs = math.prod(lead) * math.prod((n - 3) // 2 + 1 for n in sizes)
    taps = outputs * 3**rank
    assert flops(layer, (*lead, *sizes)) == taps + (outputs if kind == "Avg" else 0)
    found = [each.flops for call, each in backward(layer, (*lead, *sizes)) if "pool" in call.name]
    assert found == [2 * taps if kind == "Avg" else outputs]


@pytest.mark.parametrize("shape", [(2, 6, 8), (1, 2, 6, 8)])
def test_a_kernel_may_be_one_number_for_all_axes(shape: tuple[int, ...]) -> None:
    taps = 2 * 3 * 4 * 4
    assert flops(lambda x: torch.ops.aten.max_pool2d_with_indices(x, [2])[0], shape) == taps
    assert flops(lambda x: torch.ops.aten.avg_pool2d(x, [2]), shape) == taps + taps // 4


def transformed(n: int) -> int:
    """Real operations of a radix-2 transform of n complex numbers, counted as it runs: 10 for a butterfly."""
    return 0 if n == 1 else 2 * transformed(n // 2) + n // 2 * (6 + 2 + 2)


@pytest.mark.parametrize("sizes", [(16,), (8, 4), (1, 8)])
def test_transforms_are_counted_butterfly_by_butterfly(sizes: tuple[int, ...]) -> None:
    dims, whole = tuple(range(-len(sizes), 0)), math.prod(sizes)
    found = 3 * sum(whole // n * transformed(n) for n in sizes)  # each axis, along all others
    assert flops(lambda x: torch.fft.fftn(torch.complex(x, x), dim=dims), (3, *sizes)) == found
    assert flops(lambda x: torch.fft.rfftn(x, dim=dims), (3, *sizes)) == found // 2
    given = (3, *sizes[:-1], sizes[-1] // 2 + 1)
    assert flops(lambda x: torch.fft.irfftn(torch.complex(x, x), s=sizes, dim=dims), given) == found // 2


@pytest.mark.parametrize("sizes", [(4, 5), (3, 4, 5)])
def test_an_affine_grid_multiplies_every_point_by_a_matrix(sizes: tuple[int, ...]) -> None:
    rank, batch = len(sizes), 2
    theta = torch.rand(batch, rank, rank + 1)
    points = [
        [*reversed(place), 1.0] for place in itertools.product(*(torch.linspace(-1, 1, n) for n in sizes))
    ]
    grid, terms = [], 0
    for matrix in theta:
        for point in points:
            grid.append([sum(w * x for w, x in zip(row, point, strict=True)) for row in matrix])
            terms += sum(1 for row in matrix for _ in zip(row, point, strict=True))
    theirs = F.affine_grid(theta, [batch, 1, *sizes], align_corners=True).reshape(-1, rank)
    torch.testing.assert_close(torch.tensor(grid), theirs)
    found = macs(lambda t: F.affine_grid(t, [batch, 1, *sizes], align_corners=True), tuple(theta.shape))
    assert found == terms


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=4), st.integers(1, 2))
def test_connection_tables_multiply_what_is_connected(table: list[list[bool]], stride: int) -> None:
    assume(all(map(any, zip(*table, strict=True))))  # an output map that reads nothing is refused
    layer = ours.ConnectedConv2d([list(map(int, row)) for row in table], 3, stride=stride)
    out = (7 - 3) // stride + 1
    terms = sum(
        9 for _ in range(2 * out * out) for row in table for connected in row if connected
    )  # of every output, by its row
    x = (2, len(table), 7, 7)
    assert macs(layer, x) == terms
    graph = trace(layer, [torch.empty(*x, requires_grad=True)], training=True)
    known = connected(graph)
    back = [cost(call, known).macs for call in graph.backward if "convolution" in call.name]
    assert back == [2 * terms]


@pytest.mark.parametrize(("reducer", "beside"), [("mean", 0), ("soft", 0), ("importance", 1)])
@pytest.mark.parametrize("region", [cnnatomy.Sliding(3, 2), cnnatomy.Adaptive((2, 3))])
def test_our_pooling_back_is_counted_for_every_gradient_it_gives(
    reducer: str, beside: int, region: cnnatomy.Region
) -> None:
    names = ("logits",)[:beside]
    model = Function(
        lambda x, *more: cnnatomy.pool(x, reducer, region, **dict(zip(names, more, strict=True)))
    )
    given = [(2, 3, 7, 7)] * (1 + beside)
    found = [each.flops for call, each in backward(model, *given) if "pool" in call.name]
    windows = [[range(2 * o, 2 * o + 3) for o in range(3)]] * 2
    grid = [bins(7, 2), bins(7, 3)]
    pairs = spread(windows if isinstance(region, cnnatomy.Sliding) else grid)
    assert found == [2 * 3 * pairs * 2 * (1 + beside)]


@pytest.mark.parametrize(("points", "flops"), [(2, 2 * 5 * 7 * 7 * 4 * 4 * 2), (0, None), (-1, None)])
def test_points_between_cells_are_counted_where_their_number_is_given(points: int, flops: int | None) -> None:
    """torchvision's mean of points in boxes: each point lies between four cells, a product and a sum each."""
    if not hasattr(torch.ops.torchvision, "roi_align"):
        arguments = (
            "float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio, bool aligned"
        )
        library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        library.define(f"roi_align(Tensor input, Tensor rois, {arguments}) -> Tensor")
        library.impl(
            "roi_align", lambda x, rois, s, h, w, *_: x.new_empty(len(rois), x.shape[1], h, w), "Meta"
        )

    class Aligned(nn.Module):
        def forward(self, x: Tensor, boxes: Tensor) -> Tensor:
            return torch.ops.torchvision.roi_align(x, boxes, 1.0, 7, 7, points, False)  # type: ignore[no-any-return]

    found = cnnatomy.anatomy(Aligned(), [torch.empty(1, 5, 9, 9), torch.empty(2, 5)])
    assert (found.macs, found.flops) == (0, flops)


def test_what_boxes_are_kept_is_not_known_from_sizes() -> None:
    if not hasattr(torch.ops.torchvision, "nms"):
        library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    found = cost(made(torch.ops.torchvision.nms.default, 0.5, shapes=[(7, 4), (7,)], out=(7,)))
    assert (found.macs, found.flops) == (0, None)
    assert found.formula.startswith("7 boxes")


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialiased_shrinking_reads_as_many_cells_as_torch_weighs(mode: str) -> None:
    """A product and a sum for each weight of torch's own that is not zero, rows first, then columns."""

    def shrunk(x: Tensor, rows: int, columns: int) -> Tensor:
        return F.interpolate(x, (rows, columns), mode=mode, antialias=True)

    weights = [shrunk(torch.eye(n).view(1, n, n, 1).repeat(1, 1, 1, 2), m, 2) for n, m in ((13, 4), (11, 5))]
    rows, columns = (int(one[..., 0].count_nonzero()) for one in weights)
    found = cnnatomy.anatomy(Function(lambda x: shrunk(x, 4, 5)), (3, 13, 11))
    assert found.flops == 2 * 3 * (11 * rows + 4 * columns)


def test_given_statistics_make_a_norm_a_scale_and_a_shift() -> None:
    """The operator that cannot train has no argument that says so."""
    statistics = [torch.ones(3) for _ in range(4)]
    operator = torch.ops.aten._native_batch_norm_legit_no_training

    found = cnnatomy.anatomy(Function(lambda x: operator(x, *statistics, 0.1, 1e-5)[0]), (3, 4, 5))
    assert found.flops == 2 * 3 * 4 * 5
