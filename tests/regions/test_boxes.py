"""Boxes against a loop over torchvision's rule, one cell at a time, and what composition must keep."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import close, last, random
from torch import Tensor

import cnnatomy
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import REGISTRY
from cnnatomy.regions import Adaptive, Bins, Boxes, Region
from cnnatomy.regions.box_cells import shapes


def nearest(number: float) -> int:
    """C's round: halves away from zero."""
    return math.floor(number + 0.5) if number > 0 else math.ceil(number - 0.5)


def bin_cells(lo: float, hi: float, scale: float, bins: int, n: int) -> list[range]:
    """The cells of each bin on one axis, as torchvision's loops find them but for its float32."""
    start, end = nearest(lo * scale), nearest(hi * scale)
    extent = max(end - start + 1, 1)
    bounds = [
        (start + math.floor(b * extent / bins), start + math.ceil((b + 1) * extent / bins))
        for b in range(bins)
    ]
    return [range(min(max(a, 0), n), min(max(b, 0), n)) for a, b in bounds]


def brute(x: Tensor, rows: list[list[float]], size: tuple[int, ...], scale: float, what: str) -> Tensor:
    """Every bin of every box by itself."""
    rank = len(size)
    out = x.new_zeros((len(rows), x.shape[1], *size))
    for k, (image, *corners) in enumerate(rows):
        axes = [
            bin_cells(corners[rank - 1 - i], corners[2 * rank - 1 - i], scale, size[i], x.shape[2 + i])
            for i in range(rank)
        ]
        for place in product(*map(range, size)):
            part, result = x[int(image)], out[k]
            for i, o in enumerate(place):
                cells = axes[i][o]
                part, result = part.narrow(1 + i, cells.start, len(cells)), result.select(1, o)
            if part.numel():
                result.copy_(part.flatten(1).amax(1) if what == "max" else part.flatten(1).mean(1))
    return out


def rows_of(seed: int, boxes: int, images: int, rank: int, reach: float) -> list[list[float]]:
    """Boxes in, across and outside the map, some inside out, some with corners at halves."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(boxes, 2 * rank, generator=generator) * reach * 1.6 - 0.3 * reach
    corners[::3] = (2 * corners[::3]).round() / 2
    image = torch.randint(images, (boxes, 1), generator=generator)
    return torch.cat([image, corners], 1).tolist()


@pytest.mark.costly(2)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("what", ["max", "mean"])
@pytest.mark.parametrize("scale", [1.0, 0.25, 0.3])
def test_is_torchvisions_rule(rank: int, what: str, scale: float) -> None:
    size = {1: (4,), 2: (3, 2), 3: (2, 3, 2)}[rank]
    x = random((2, 3, *(9, 7, 8)[:rank]), torch.float64).requires_grad_()
    rows = rows_of(rank, 24, 2, rank, 9 / scale)
    y = cnnatomy.pool(x, what, Boxes(torch.tensor(rows, dtype=torch.float64), size, scale))
    truth = brute(x, rows, size, scale, what)
    assert (truth == 0).any()  # some bin is empty
    close(y, truth)
    grad = random(tuple(y.shape), torch.float64, seed=3)
    dx, expected = (torch.autograd.grad(out, x, grad)[0] for out in (y, truth))
    close(dx, expected)


@pytest.mark.costly(2)
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_pooling_sees_a_box_as_a_map_of_its_own(name: str) -> None:
    x = random((2, 4, 9, 8), torch.float64).abs().requires_grad_()
    beside: dict[str, Any] = {
        other: random((2, 4, 9, 8), torch.float64, seed=5) for other in REGISTRY[name].companions
    }
    rows = [(1, 1, 2, 6, 7), (0, 0, 0, 2, 3), (1, 2, 1, 7, 6)]
    parts = [(int(b), slice(None), slice(y0, y1 + 1), slice(x0, x1 + 1)) for b, x0, y0, x1, y1 in rows]
    y = cnnatomy.pool(x, name, Boxes(rows, (2, 3)), **beside)
    truth = [
        cnnatomy.pool(x[part], name, Adaptive((2, 3)), rank=2, **{k: v[part] for k, v in beside.items()})
        for part in parts
    ]
    close(y, torch.stack(truth), sums=1e3)
    grad = random(tuple(y.shape), torch.float64, seed=3)
    dx, expected = (torch.autograd.grad(out, x, grad)[0] for out in (y, torch.stack(truth)))
    close(dx, expected, sums=1e3)


@given(
    lo=st.floats(-30, 30),
    hi=st.floats(-30, 30),
    bins=st.integers(1, 9),
    n=st.integers(1, 20),
    seed=st.integers(0, 9),
)
def test_every_bin_reads_its_cells(lo: float, hi: float, bins: int, n: int, seed: int) -> None:
    x = random((1, 1, n), torch.float64, seed)
    close(cnnatomy.pool(x, "mean", Boxes([(0, lo, hi)], bins)), brute(x, [[0, lo, hi]], (bins,), 1.0, "mean"))


def test_bins_in_whole_numbers_are_torchvisions_but_for_float32() -> None:
    """A bin of torchvision's never reads less, and reads at most one cell more on either side."""
    differ = 0
    for bins in range(1, 15):
        b = torch.arange(bins, dtype=torch.float32)
        for extent in range(1, 200):
            width = torch.tensor(extent, dtype=torch.float32) / bins
            starts, ends = (b * width).floor().tolist(), ((b + 1) * width).ceil().tolist()
            exact = bin_cells(0, extent - 1, 1.0, bins, 10**6)
            for start, end, cells in zip(starts, ends, exact, strict=True):
                assert cells.start - 1 <= start <= cells.start
                assert cells.stop <= end <= cells.stop + 1
                differ += (start, end) != (cells.start, cells.stop)
    assert 0 < differ < 0.03 * 105 * 199


def test_winners_are_cells_of_the_whole_map() -> None:
    x = random((2, 3, 9, 8), ties=True)
    rows = rows_of(5, 30, 2, 2, 9)
    y, indices = cnnatomy.pool(x, "max", Boxes(rows, 2), return_indices=True)
    images = torch.tensor([int(row[0]) for row in rows])
    found = x[images].flatten(2).gather(2, indices.clamp(min=0).flatten(2)).view(y.shape)
    assert torch.equal(torch.where(indices < 0, 0, found), y)
    assert (indices < 0).any()
    first = cnnatomy.pool(torch.ones(1, 1, 6, 6), "max", Boxes([(0, 2, 1, 4, 5)], 1), return_indices=True)[1]
    assert first.item() == 1 * 6 + 2


def test_no_boxes_and_boxes_that_miss() -> None:
    x = random((2, 3, 5, 4)).requires_grad_()
    for rows, boxes in ((torch.zeros(0, 5), 0), ([(1, 9, 9, 12, 12), (0, -5, 0, -2, 3)], 2)):
        y, indices = cnnatomy.pool(x, "max", Boxes(rows, (2, 3)), return_indices=True)
        assert y.shape == indices.shape == (boxes, 3, 2, 3)
        assert not y.any()
        assert (indices == -1).all()
        (dx,) = torch.autograd.grad(y.sum(), x)
        assert not dx.any()


def test_a_box_that_misses_reads_nothing_at_all() -> None:
    x = torch.full((1, 1, 4, 4), math.nan, requires_grad=True)
    y = cnnatomy.pool(x, "mean", Boxes([(0, 9, 9, 12, 12)], 2))
    assert torch.equal(y, torch.zeros(1, 1, 2, 2))
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], torch.zeros_like(x))


def test_memory_format_and_dtype_are_the_inputs() -> None:
    rows = rows_of(1, 9, 2, 2, 9)
    x = random((2, 3, 9, 8))
    y = cnnatomy.pool(x, "max", Boxes(rows, 2))
    assert y.is_contiguous()
    same = cnnatomy.pool(last(x), "max", Boxes(rows, 2))
    assert same.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, same)
    assert cnnatomy.pool(x.bfloat16(), "mean", Boxes(rows, 2)).dtype is torch.bfloat16


def test_derivatives_of_second_order() -> None:
    x = random((2, 2, 5, 4), torch.float64).requires_grad_()
    region = Boxes(rows_of(2, 5, 2, 2, 5), 2)
    assert torch.autograd.gradcheck(lambda t: cnnatomy.pool(t, "mean", region).square(), x)
    assert torch.autograd.gradgradcheck(lambda t: cnnatomy.pool(t, "mean", region).square(), x)


def test_alike_boxes_go_together() -> None:
    rows = [(0, 1, 1, 3, 3), (0, 0, 0, 5, 3), (1, 4, 2, 6, 4), (0, 70, 0, 80, 3), (1, 5, 5, 10, 8)]
    found = shapes([tuple(map(float, row)) for row in rows], 1.0, (2, 2), 2, (20, 20))
    assert [shape.numbers for shape in found] == [(0, 2), (1, 4), (3,)]
    assert [len(shape.places) for shape in found] == [2, 2, 0]


def test_reads_back_and_prints_short() -> None:
    few, many = Boxes(rows_of(0, 3, 2, 2, 9), (7, 7), 1 / 16), Boxes(rows_of(0, 300, 2, 2, 9), 7)
    for region in (few, many):
        assert Region.parse(region.text) == region
        assert hash(Region.parse(region.text)) == hash(region)
    assert repr(few) == few.text
    assert repr(many) == "Boxes(boxes=<300 boxes>, output_size=7, spatial_scale=1.0)"


ROW = (0, 0, 0, 3, 3)
WRONG: list[tuple[Any, ...]] = [
    ([ROW[:4]], 2),
    ([ROW, (0, 0, 3)], 2),
    ([()], 2),
    (3, 2),
    ([3.0], 2),
    ([(0.5, 0, 0, 3, 3)], 2),
    ([(-1, 0, 0, 3, 3)], 2),
    ([(0, math.nan, 0, 3, 3)], 2),
    ([(0, 0, 0, math.inf, 3)], 2),
    (torch.zeros(5), 2),
    (torch.zeros(2, 4), 2),
    ([ROW], 0),
    ([ROW], (2, 2.0)),
    ([ROW], 2, 0.0),
    ([ROW], 2, math.nan),
    ([ROW], 2, "1"),
]


@pytest.mark.parametrize("arguments", WRONG, ids=str)
def test_refuses_at_once(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ArgumentError):
        Boxes(*arguments)


@pytest.mark.parametrize(
    ("region", "shape", "message"),
    [
        (Boxes([(2, 0, 0, 3, 3)], 2), (2, 1, 8, 8), r"box 0 lies in no image: expected 0 \.\. 1"),
        (Boxes([ROW], 2), (1, 1, 8), r"names images: expected \(N, C, "),
        (Boxes([ROW], (2, 2, 2)), (1, 1, 8, 8), "size"),
    ],
    ids=str,
)
def test_refuses_inputs(region: Region, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cnnatomy.pool(torch.zeros(shape), "max", region)


def test_bins_read_what_is_written() -> None:
    x = random((2, 3, 7, 9), torch.float64).requires_grad_()
    spans = (((0, 2), (1, 5), (4, 7)), ((3, 4), (3, 9)))
    y = cnnatomy.pool(x, "mean", Bins(spans))
    parts = [[x[:, :, a:b, c:d].mean((2, 3)) for c, d in spans[1]] for a, b in spans[0]]
    truth = torch.stack([torch.stack(row, -1) for row in parts], -2)
    close(y, truth)
    grad = random(tuple(y.shape), torch.float64, seed=1)
    dx, expected = (torch.autograd.grad(out, x, grad)[0] for out in (y, truth))
    close(dx, expected)
    assert Region.parse(Bins(spans).text) == Bins([list(axis) for axis in spans])


@pytest.mark.parametrize(
    "spans",
    [(), [()], [(0, 2)], [[(0, 0)]], [[(2, 1)]], [[(-1, 2)]], [[(0, 3), (1, 2)]], [[(0, 1.0)]], 3],
    ids=str,
)
def test_other_bins_are_refused(spans: Any) -> None:
    with pytest.raises(ArgumentError, match="no bins"):
        Bins(spans)


def test_bins_beyond_the_input_are_refused() -> None:
    with pytest.raises(ArgumentError, match="outside"):
        Bins([[(0, 9)]]).axes((8,))
    with pytest.raises(ArgumentError, match="axes"):
        Bins([[(0, 9)]]).outputs((8, 8))
