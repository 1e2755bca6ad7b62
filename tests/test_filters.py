"""The named kernels against SciPy, NumPy's outer products and written-out numbers."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage, signal
from support import TOLERANCE, close, random
from torch import Tensor
from torch.nn import functional as F

import cnnatomy
from cnnatomy import filters
from cnnatomy.errors import ArgumentError

SHAPES = {1: (2, 3, 17), 2: (2, 3, 9, 11), 3: (1, 2, 6, 7, 8)}
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])


def same(found: Tensor, wanted: Any) -> None:
    close(found, torch.from_numpy(np.ascontiguousarray(wanted)), sums=20)


def filtered(x: Tensor, run: Any) -> Any:
    """A SciPy filter over every channel."""
    return np.stack([[run(channel.double().numpy()) for channel in image] for image in x])


@RANKS
@pytest.mark.parametrize("size", [1, 3, 5])
def test_uniform_averages_are_scipys(rank: int, size: int) -> None:
    x = random(SHAPES[rank])
    wanted = filtered(x, lambda c: ndimage.uniform_filter(c, size, mode="constant"))
    same(filters.apply(x, filters.uniform(size, rank)), wanted)


@RANKS
@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.3])
@pytest.mark.parametrize("size", [None, 3, 7])
def test_gaussians_are_scipys(rank: int, sigma: float, size: int | None) -> None:
    x = random(SHAPES[rank])
    reach: dict[str, Any] = {} if size is None else {"radius": size // 2}
    wanted = filtered(x, lambda c: ndimage.gaussian_filter(c, sigma, mode="constant", **reach))
    same(filters.apply(x, filters.gaussian(sigma, size, rank)), wanted)


@RANKS
@pytest.mark.parametrize(
    ("mode", "scipys"),
    [("edge", "nearest"), ("symmetric", "reflect"), ("reflect", "mirror"), ("circular", "wrap")],
)
def test_what_lies_outside_is_scipys(rank: int, mode: str, scipys: str) -> None:
    x = random(SHAPES[rank])
    wanted = filtered(x, lambda c: ndimage.gaussian_filter(c, 1.3, mode=scipys, radius=3))
    same(filters.apply(x, filters.gaussian(1.3, 7, rank), padding_mode=mode), wanted)
    layer = getattr(filters, f"FixedFilter{rank}d")(filters.gaussian(1.3, 7, rank), padding_mode=mode)
    same(layer(x), wanted)
    assert f"padding_mode='{layer.padding_mode}'" in repr(layer)


@RANKS
def test_sobels_and_laplacians_are_scipys(rank: int) -> None:
    x = random(SHAPES[rank])
    for axis in range(-rank, rank):
        wanted = filtered(x, lambda c, axis=axis: ndimage.sobel(c, axis, mode="constant"))
        same(filters.apply(x, filters.sobel(axis, rank)), wanted)
    wanted = filtered(x, lambda c: ndimage.laplace(c, mode="constant"))
    same(filters.apply(x, filters.laplacian(rank=rank)), wanted)


@RANKS
@pytest.mark.parametrize("axis", [0, -1])
def test_changes_are_differences(rank: int, axis: int) -> None:
    x = random(SHAPES[rank], torch.float64)
    n, along = x.shape[2:][axis], 2 + axis % rank
    after, here, before = (x.narrow(along, i, n - 2) for i in (2, 1, 0))
    inner = filters.apply(x, filters.change(axis, rank)).narrow(along, 1, n - 2)
    close(inner, after - before)
    inner = filters.apply(x, filters.curvature(axis, rank)).narrow(along, 1, n - 2)
    close(inner, (after - here) - (here - before))


def test_the_lectures_numbers() -> None:
    assert filters.uniform(5).tolist() == pytest.approx([0.2] * 5)
    assert filters.weighted().tolist() == pytest.approx([0.1, 0.2, 0.4, 0.2, 0.1])
    assert filters.change().tolist() == [-1, 0, 1]
    assert filters.curvature().tolist() == [1, -2, 1]
    assert filters.sobel().tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert filters.sobel(0).tolist() == [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    assert filters.laplacian(corners=True).tolist() == [[1, 1, 1], [1, -8, 1], [1, 1, 1]]
    assert (filters.binomial(5, 2)[2] * 256).tolist() == [6, 24, 36, 24, 6]
    assert filters.binomial(2).tolist() == [0.5, 0.5]


@RANKS
@pytest.mark.parametrize("name", filters.NAMES)
def test_sums_are_as_stated(name: str, rank: int) -> None:
    kernel = filters.named(name, rank=rank)
    assert kernel.dim() == rank
    assert kernel.dtype is torch.float32
    stated = "Sums to 1." if "Sums to 1." in (filters.NAMES[name].__doc__ or "") else "Sums to 0."
    assert stated in (filters.NAMES[name].__doc__ or "")
    assert float(kernel.sum()) == pytest.approx(float(stated[8]), abs=1e-5)


@RANKS
@pytest.mark.parametrize(
    ("stride", "padding"),  # SciPy's "same" is that of stride 1
    [(1, "same"), *((stride, padding) for stride in (1, 2) for padding in ("valid", "full", 1))],
)
def test_filtering_is_a_correlation_and_the_flipped_kernel_convolves(
    rank: int, stride: int, padding: Any
) -> None:
    x = random((1, 2, *SHAPES[rank][2:]), torch.float64)
    kernel = random((3,) * rank, torch.float64)
    mode = {1: "same"}.get(padding, padding)
    for run, laid in ((signal.correlate, kernel), (signal.convolve, kernel.flip(tuple(range(rank))))):
        every = filtered(x, lambda c, run=run: run(c, kernel.numpy(), mode=mode))
        steps = (slice(None), slice(None), *(slice(None, None, stride),) * rank)
        same(filters.apply(x, laid, stride=stride, padding=padding), every[steps])


@pytest.mark.parametrize("size", [2, 4])
def test_an_even_kernel_reads_its_odd_cell_after(size: int) -> None:
    x = random((1, 1, 9), torch.float64)
    kernel = random((size,), torch.float64, seed=1)
    padded = np.pad(x[0, 0].numpy(), ((size - 1) // 2, size // 2))
    same(filters.apply(x, kernel)[0, 0], np.correlate(padded, kernel.numpy(), "valid"))


@RANKS
def test_modules_hold_their_kernel_and_nothing_to_train(rank: int) -> None:
    module = getattr(filters, f"FixedFilter{rank}d")("gaussian", stride=2)
    x = random(SHAPES[rank])
    close(module(x), filters.apply(x, filters.gaussian(rank=rank), stride=2))
    close(module(x[0]), module(x)[0])
    assert not list(module.parameters())
    assert list(copy.deepcopy(module).state_dict()) == ["kernel"]
    assert module.to(torch.float64)(x.double()).dtype is torch.float64
    low = getattr(filters, f"FixedFilter{rank}d")("laplacian").to(torch.bfloat16)(x.bfloat16())
    torch.testing.assert_close(
        low.float(),
        filters.apply(x.bfloat16().float(), filters.laplacian(rank=rank)),
        **TOLERANCE[torch.bfloat16],
    )


def test_derivatives_and_graphs() -> None:
    module = filters.FixedFilter2d("sobel", padding=((0, 2), "same"))
    x = random((2, 3, 5, 6), torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(module, x)
    close(torch.compile(module, fullgraph=True, backend="aot_eager")(x), module(x))
    batch = torch.export.Dim("batch")
    graph = torch.export.export(module, (x.detach(),), dynamic_shapes=({0: batch},)).module()
    other = random((5, 3, 5, 6), torch.float64)
    close(graph(other), module(other))
    close(torch.func.vmap(module)(other[:, None])[:, 0], module(other))
    assert module(other[:0]).shape[0] == 0


X = torch.zeros(1, 1, 5, 5)
WRONG: dict[str, Any] = {
    "an unknown name": (lambda: filters.named("gausian"), "'gausian' is unknown.*try 'gaussian'"),
    "no name at all": (lambda: filters.named("?"), "expected uniform, weighted"),
    "other arguments": (lambda: filters.named("sobel", sigma=1.0), "takes other arguments"),
    "four axes": (lambda: filters.uniform(3, rank=4), "so many axes"),
    "no axes": (lambda: filters.laplacian(rank=0), "so many axes"),
    "no taps": (lambda: filters.uniform(0), "size is out of range"),
    "half a tap": (lambda: filters.binomial(2.5), "not a whole number"),  # type: ignore[arg-type]
    "sigma 0": (lambda: filters.gaussian(0.0), "no such Gaussian"),
    "sigma NaN": (lambda: filters.gaussian(math.nan), "no such Gaussian"),
    "sigma infinite": (lambda: filters.gaussian(math.inf), "no such Gaussian"),
    "sigma of text": (lambda: filters.gaussian("1"), "no such Gaussian"),  # type: ignore[arg-type]
    "an axis too far": (lambda: filters.sobel(2), "no such axis"),
    "corners": (lambda: filters.laplacian(3), "corners is not a bool"),  # type: ignore[arg-type]
    "three axes": (lambda: filters.apply(X[0, 0, 0], filters.sobel()), "does not fit"),
    "integers": (lambda: filters.apply(X.long(), filters.sobel()), "does not fit.*int64"),
    "no channels": (lambda: filters.apply(X[:, :0], filters.sobel()), "nothing to filter"),
    "too small": (lambda: filters.apply(X[..., :2], filters.sobel(), padding="valid"), "3"),
    "no padding": (lambda: filters.apply(X, filters.sobel(), padding="sane"), "unknown"),  # type: ignore[arg-type]
    "no stride": (lambda: filters.apply(X, filters.sobel(), stride=0), "stride is out of range"),
    "a kernel of text": (lambda: filters.apply(X, "sobel"), "so many axes"),  # type: ignore[arg-type]
    "a module's axes": (lambda: filters.FixedFilter1d(filters.sobel()), "no kernel.*1 axes"),
    "a module's name": (lambda: filters.FixedFilter1d("sobol"), "unknown"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_are_told(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(ArgumentError, match=message):
        call()


def test_a_plain_matrix_is_one_picture() -> None:
    picture, kernel = torch.rand(7, 9), torch.rand(3, 3)
    whole = F.conv2d(picture[None, None], kernel[None, None])[0, 0]
    torch.testing.assert_close(cnnatomy.convolve(picture, kernel), whole)
    torch.testing.assert_close(filters.apply(picture, kernel, padding="valid"), whole)
    row, taps = torch.rand(9), torch.rand(3)
    truth = F.conv1d(row[None, None], taps[None, None], torch.ones(1), 2)[0, 0]
    torch.testing.assert_close(cnnatomy.convolve(row, taps, torch.ones(1), stride=2), truth)
