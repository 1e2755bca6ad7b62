"""The kernel of separable maps against dense matrices in float64, for any bands, dtype, layout and rank."""

from __future__ import annotations

import mmap
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import LAST, close, random
from torch import Tensor
from vectors import DTYPES, LENGTHS, vectors_of

import cnnatomy as ca
from cnnatomy.backends.cpu.resampling import phases
from cnnatomy.backends.cpu.resampling import resampling_launch as kernels
from cnnatomy.backends.cpu.runtime import huge_pages, scratch
from cnnatomy.geometry.axis_resampling import Resampling
from cnnatomy.geometry.bands import Bands

pytestmark = pytest.mark.costly(2)  # each compiles kernels

FENCE = 1 << 14
"""Bytes."""


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


@st.composite
def paced(draw: st.DrawFn) -> Bands:
    """Outputs in phases, whose cells go on by the same step; beyond the edges there are none to read."""
    step, periods = draw(st.integers(1, 4)), draw(st.integers(4, 19))
    size = max(periods * step + draw(st.integers(-1, 1)), 1)
    taps = draw(st.lists(st.tuples(st.integers(-5, 4), st.integers(0, 6)), min_size=1, max_size=4))
    weigh = draw(st.sampled_from([(1.0,), (-1.5, 0.25, 1.0, 3.0)]))
    starts, rows = [], []
    for j in range(periods):
        for first, count in taps:
            cells = [i for i in range(j * step + first, j * step + first + count) if 0 <= i < size]
            starts.append(cells[0] if cells else 0)
            rows.append(tuple(draw(st.sampled_from(weigh)) for _ in cells))
    return Bands(size, tuple(starts), tuple(rows))


def dense(one: Bands) -> Tensor:
    matrix = torch.zeros(one.outputs, one.size, dtype=torch.float64)
    for o, (start, row) in enumerate(zip(one.start, one.weights, strict=True)):
        matrix[o, start : start + len(row)] = torch.tensor(row, dtype=torch.float64)
    return matrix


def _near_the_last_column() -> Tensor:
    """Where a cubic of 32 outputs for 16 cells reads the last one."""
    one = Resampling("cubic").bands(16, 32)
    reads = [start + len(row) == 16 for start, row in zip(one.start, one.weights, strict=True)]
    return torch.tensor(reads).expand(1, 1, 32, 32)


@given(
    axes=st.lists(bands(), min_size=1, max_size=3),
    dtype=st.sampled_from(DTYPES),
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


@given(
    axes=st.tuples(st.one_of(bands(), paced()), paced()),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    large=st.booleans(),
)
def test_outputs_in_phases(axes: tuple[Bands, Bands], dtype: torch.dtype, large: bool) -> None:
    x = random((2, 3, *(one.size for one in axes)), dtype)
    truth = torch.einsum("ncij,oi,pj->ncop", x.double(), *map(dense, axes))
    with pytest.MonkeyPatch.context() as patch:
        if large:  # as if the tensors were: with rows of their own width, and past the caches
            patch.setattr(kernels, "STREAM", 0)
            patch.setattr(kernels, "MANY_ROWS", 0)
        kernels._program.cache_clear()
        found = kernels.apply(x, axes)
    kernels._program.cache_clear()
    close(found / 50, truth / 50, sums=4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("length", LENGTHS)
def test_vectors_of_any_length(length: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    x, fenced = random((2, 3, 9, 37), dtype), list[Tensor]()

    class Fenced(scratch._Scratch):
        def of(self, size: int) -> int:
            """Scratch memory, and some behind it that must stay as it is."""
            fenced.append(torch.full((size + FENCE,), 85, dtype=torch.uint8))
            return fenced[-1].data_ptr()

    monkeypatch.setattr(scratch, "_scratch", Fenced())
    with vectors_of(length):
        for out in ((13, 50), (18, 74), (7, 5)):  # any columns, columns in phases, fewer than a vector
            axes = [Resampling("cubic").bands(size, n) for size, n in zip((9, 37), out, strict=True)]
            truth = torch.einsum("ncij,oi,pj->ncop", x.double(), *map(dense, axes))
            close(kernels.apply(x, (axes[0], axes[1])), truth, sums=4)
    assert fenced
    assert all(bool((one[-FENCE:] == 85).all()) for one in fenced)


def test_phases_are_found_where_outputs_have_them() -> None:
    for scale, method in product((2, 3, 0.5, 0.25), ("nearest", "linear", "cubic", "area", "lanczos3")):
        how = Resampling(method, antialias=method == "lanczos3" and scale < 1)
        one = how.bands(24, int(24 * scale))
        for bands_ in (one, one.transposed()):
            found = phases.find(bands_)
            assert found is not None
            assert bands_.outputs * found.step == bands_.size * len(found.taps)
    assert phases.find(Resampling("linear").bands(24, 37)) is None


def test_what_an_output_does_not_read_cannot_spoil_it() -> None:
    x = torch.full((1, 1, 9, 9), torch.nan)
    x[..., ::2, ::2] = 1.0
    nails = Bands(9, tuple(range(0, 9, 2)), ((1.0,),) * 5)
    assert torch.equal(kernels.apply(x, (nails, nails)), torch.ones(1, 1, 5, 5))
    spread = nails.transposed()
    y = kernels.apply(torch.full((1, 1, 5, 5), torch.inf), (spread, spread))
    assert y.isinf().sum() == 25
    assert not y.isnan().any()
    last = torch.ones(1, 1, 16, 16)
    last[..., -1] = torch.nan
    assert torch.equal(ca.resample(last, scale_factor=2, method="cubic").isnan(), _near_the_last_column())


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
        found.append(ca.resample(x, scale_factor=1.7, method="cubic"))
    torch.set_num_threads(before)
    assert torch.equal(*found)


def test_large_results_ask_for_large_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def advise(first: int, size: int, _: int) -> int:
        asked.append((first, size))
        return 0

    monkeypatch.setattr(huge_pages, "_advise", advise)
    monkeypatch.setattr(mmap, "MADV_HUGEPAGE", 14, raising=False)  # not every system has it
    monkeypatch.setattr(huge_pages, "_met", {})
    small, large = torch.empty(1000), torch.empty(huge_pages.LARGE // 4 + 5)
    huge_pages.prefer_large(small)
    assert not asked
    huge_pages.prefer_large(large)
    ((first, size),) = asked
    assert first % mmap.PAGESIZE == 0
    assert large.data_ptr() <= first < first + size <= large.data_ptr() + large.nbytes
    huge_pages.prefer_large(large)
    assert len(asked) == 1  # the C library keeps blocks of this size
    ca.pool(torch.zeros(2, 64, 112, 112), "mean", ca.Sliding(3, 1, 1))
    assert len(asked) == 2
    fresh = torch.empty(huge_pages.MAPPED // 4)
    for count in (3, 4):
        huge_pages.prefer_large(fresh)
        assert len(asked) == count
