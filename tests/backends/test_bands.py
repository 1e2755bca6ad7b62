"""The kernel of separable maps against dense matrices in float64, for any bands, dtype, layout and rank."""

from __future__ import annotations

import mmap

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import LAST, close, random
from torch import Tensor

import cnnatomy as ca
from cnnatomy.backends.cpu import bands as kernels
from cnnatomy.backends.cpu import pages
from cnnatomy.geometry.bands import Bands


@st.composite
def bands(draw: st.DrawFn) -> Bands:
    """Any outputs that read any runs of cells, an even share of them nothing but themselves."""
    size = draw(st.integers(1, 20))
    if draw(st.booleans()):
        return Bands(size, tuple(range(size)), ((1.0,),) * size)
    most, same = draw(st.sampled_from([1, 2, 4, 12])), draw(st.booleans())
    starts, rows = [], []
    for _ in range(draw(st.integers(1, 24))):
        count = min(most, size) if same else draw(st.integers(0, min(most, size)))
        starts.append(draw(st.integers(0, size - count)))
        rows.append(tuple(draw(st.sampled_from([-1.5, 0.25, 1.0, 3.0])) for _ in range(count)))
    return Bands(size, tuple(starts), tuple(rows))


def dense(one: Bands) -> Tensor:
    matrix = torch.zeros(one.outputs, one.size, dtype=torch.float64)
    for o, (start, row) in enumerate(zip(one.start, one.weights, strict=True)):
        matrix[o, start : start + len(row)] = torch.tensor(row, dtype=torch.float64)
    return matrix


@given(
    axes=st.lists(bands(), min_size=1, max_size=3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
    channels=st.sampled_from([1, 3, 8, 19]),
    lanes=st.booleans(),
)
def test_any_bands(axes: list[Bands], dtype: torch.dtype, channels: int, lanes: bool) -> None:
    x = random((2, channels, *(one.size for one in axes)), dtype)
    x = x.contiguous(memory_format=LAST[x.dim()]) if lanes and x.dim() in LAST else x
    truth = x.double()
    for i, one in enumerate(axes):
        truth = torch.tensordot(truth, dense(one), ([2 + i], [1])).movedim(-1, 2 + i)
    close(kernels.apply(x, tuple(axes)) / 50, truth / 50, sums=4)  # sums of a dozen terms


def test_what_an_output_does_not_read_cannot_spoil_it() -> None:
    x = torch.full((1, 1, 9, 9), torch.nan)
    x[..., ::2, ::2] = 1.0
    nails = Bands(9, tuple(range(0, 9, 2)), ((1.0,),) * 5)
    assert torch.equal(kernels.apply(x, (nails, nails)), torch.ones(1, 1, 5, 5))


def test_bytes_are_rounded_and_clamped_after_each_axis() -> None:
    x = torch.tensor([[[[100, 255]]]], dtype=torch.uint8)
    over = Bands(2, (0, 0, 0), ((-1.0, 2.0), (0.5, 0.0), (2.0, -1.0)))
    half = Bands(1, (0, 0), ((0.5,), (0.49,)))
    y = kernels.apply(x, (half, over))  # rows first: 410 -> 255, 50, -55 -> 0
    assert y.tolist() == [[[[128, 25, 0], [125, 25, 0]]]]


def test_empty_batches_and_one_thread_or_two() -> None:
    assert kernels.apply(torch.empty(0, 3, 4, 4), (Bands(4, (0,), ((1.0, 1.0),)),) * 2).shape == (0, 3, 1, 1)
    x, before = random((4, 16, 40, 40)), torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(ca.resample(x, scale=1.7, method="cubic"))
    torch.set_num_threads(before)
    assert torch.equal(*found)


def test_large_results_ask_for_large_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def advise(first: int, size: int, _: int) -> int:
        asked.append((first, size))
        return 0

    monkeypatch.setattr(pages, "_advise", advise)
    small, large = torch.empty(1000), torch.empty(pages.LARGE // 4 + 5)
    pages.prefer_large(small)
    assert not asked
    pages.prefer_large(large)
    ((first, size),) = asked
    assert first % mmap.PAGESIZE == 0
    assert large.data_ptr() <= first < first + size <= large.data_ptr() + large.nbytes
    ca.pool(torch.zeros(2, 64, 112, 112), ca.Sliding(3, 1, 1), "mean")
    assert len(asked) == 2
