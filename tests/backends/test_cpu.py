"""The CPU kernels against the plain-torch definition in float64, forward and backward, on poisoned memory."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import LAST, close, last, random
from torch import Tensor

from cnnatomy import backends
from cnnatomy.backends import layout, reference
from cnnatomy.backends.cpu import launch
from cnnatomy.backends.cpu.plan import Key, backward_plan, forward_plan
from cnnatomy.backends.layout import is_last
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import REGISTRY, Mean, Reducer, reducer
from cnnatomy.regions import Adaptive, Region, Sliding, Whole

DTYPES = list(launch.DTYPES)
REDUCERS: list[Reducer] = [*map(reducer, sorted(REGISTRY)), Mean(count_include_pad=True)]


@pytest.fixture(autouse=True)
def _poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill fresh memory with NaN, or with taps that no window has, so that an unwritten output shows."""
    real = layout.empty

    def poisoned(model: Tensor, size: tuple[int, ...], dtype: torch.dtype, last: bool) -> Tensor:
        fresh = real(model, size, dtype, last)
        return fresh.fill_(math.nan if dtype.is_floating_point else 251)

    monkeypatch.setattr(launch, "empty", poisoned)


def check(x: Tensor, region: Region, what: Reducer) -> None:
    """Forward with and without winners, and backward with a random cotangent."""
    truth_x = x.double().requires_grad_()
    truth, winner = reference.forward(truth_x, region, what)
    rank = x.dim() - 2
    taps = backends.tap_dtype(region, rank) if what.selects else None
    y, saved = launch.forward(x, region, what, taps)
    close(y, truth)
    close(launch.forward(x, region, what, None)[0], truth)
    if is_last(x):
        assert y.is_contiguous(memory_format=LAST[x.dim()])
    else:
        assert y.is_contiguous()
    if winner is not None and saved is not None:
        none = 255 if taps is torch.uint8 else 2**30
        assert torch.equal(saved.long(), torch.where(winner < 0, none, winner))
    grad = random(tuple(y.shape), x.dtype, seed=7)
    dx = launch.backward(grad, saved, region, what, tuple(x.shape[2:]), is_last(x))
    truth.backward(grad.double())  # type: ignore[no-untyped-call]
    assert truth_x.grad is not None
    close(dx, truth_x.grad, sums=4)


@pytest.mark.parametrize("what", REDUCERS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("lanes", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("region", [Sliding(2), Sliding(3, 2, 1), Adaptive((3, 4))], ids=str)
def test_every_reducer_dtype_and_layout(
    what: Reducer, dtype: torch.dtype, lanes: bool, region: Region
) -> None:
    x = random((2, 19, 9, 40), dtype, ties=True)
    check(last(x) if lanes else x, region, what)


SHAPES = {1: (2, 3, 41), 2: (2, 3, 13, 37), 3: (1, 3, 7, 6, 19)}
EACH_RANK = [
    Sliding(3, 1, 1),
    Sliding(2, 2, 0, 1, True),
    Sliding(3, 2, 1, 2),
    Sliding(3, 3),
    Sliding(4, 1, "same"),
    Sliding(2, 3, 4),
    Sliding(5, 1, "keep"),
    Sliding(2, 2, ((2, 3),)),
    Adaptive(5),
    Whole(),
]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("region", EACH_RANK, ids=str)
@pytest.mark.parametrize("name", ["max", "mean"])
def test_every_rank(rank: int, region: Region, name: str) -> None:
    if region == Sliding(2, 2, ((2, 3),)):  # on the first axis only
        region = Sliding(2, 2, ((2, 3), *((0, 0),) * (rank - 1)))
    check(random(SHAPES[rank], seed=rank), region, reducer(name))


@st.composite
def windows(draw: st.DrawFn) -> tuple[Sliding, tuple[int, ...]]:
    rank = draw(st.integers(1, 3))

    def per_axis(strategy: st.SearchStrategy[int]) -> tuple[int, ...]:
        return tuple(draw(strategy) for _ in range(rank))

    size = per_axis(st.integers(1, 24 if rank < 3 else 9))
    kernel, dilation = per_axis(st.integers(1, 4)), per_axis(st.integers(1, 2))
    stride = per_axis(st.integers(1, 4))
    pads = tuple(
        (draw(st.integers((k - 1) * d if n < (k - 1) * d + 1 else 0, 6)), draw(st.integers(0, 5)))
        for n, k, d in zip(size, kernel, dilation, strict=True)
    )
    return Sliding(kernel, stride, pads, dilation, draw(st.booleans())), size


@pytest.mark.slow
@given(case=windows(), batch=st.integers(0, 3), channels=st.integers(1, 20), data=st.data())
def test_any_window(
    case: tuple[Sliding, tuple[int, ...]], batch: int, channels: int, data: st.DataObject
) -> None:
    region, size = case
    what = data.draw(st.sampled_from(REDUCERS))
    dtype = data.draw(st.sampled_from(DTYPES))
    x = random(
        (batch, channels, *size), dtype, seed=data.draw(st.integers(0, 99)), ties=data.draw(st.booleans())
    )
    if x.numel() and data.draw(st.booleans()):
        x.view(-1)[data.draw(st.integers(0, x.numel() - 1))] = data.draw(
            st.sampled_from([math.nan, math.inf, -math.inf])
        )
    check(last(x) if x.dim() > 3 and data.draw(st.booleans()) else x, region, what)


@given(case=windows(), name=st.sampled_from(["max", "mean"]))
def test_any_window_in_float32(case: tuple[Sliding, tuple[int, ...]], name: str) -> None:
    region, size = case
    check(random((1, 2, *size), ties=True), region, reducer(name))


def test_special_values_everywhere() -> None:
    for value in (math.nan, math.inf, -math.inf, -0.0, 1e-45, 3.4e38):
        x = random((1, 2, 9, 9))
        x[0, 0, ::2, ::3] = value
        x[0, 1] = value
        for region in (Sliding(2), Sliding(3, 1, 1), Sliding(3, 2, 1), Whole()):
            for name in ("max", "min"):
                check(x, region, reducer(name))


def test_a_wrong_kernel_would_be_caught() -> None:
    x = random((1, 1, 6, 6))
    with pytest.raises(AssertionError):
        close(
            launch.forward(x, Sliding(2), reducer("min"), None)[0],
            reference.forward(x, Sliding(2), reducer("max"))[0],
        )


@pytest.mark.parametrize(
    ("region", "lanes", "forward", "backward"),
    [
        (Sliding(2), 1, "fused", "strided"),
        (Sliding(3, 2, 1), 1, "strided", "strided"),
        (Sliding(2, 2, 0, 1, True), 1, "strided", "strided"),
        (Sliding(17, 1), 1, "tabled", "tabled"),
        (Sliding(2, padding=((2, 0), (0, 0))), 1, "strided", "strided"),
        (Sliding(2), 8, "direct", "tabled"),
        (Sliding(3, 2, 1), 8, "tabled", "tabled"),
        (Adaptive(5), 1, "tabled", "tabled"),
        (Whole(), 1, "tabled", "tabled"),
    ],
    ids=str,
)
def test_the_path_is_the_fastest_that_fits(region: Region, lanes: int, forward: str, backward: str) -> None:
    key = Key(region, reducer("mean"), "float32", (33, 33), lanes, None)
    assert forward_plan(key).path == forward
    assert backward_plan(key).path == backward


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x[:, ::2],
        lambda x: x.transpose(2, 3),
        lambda x: x[..., 1:-1],
        lambda x: x.expand(3, *x.shape[1:]),
        lambda x: x.flip(0),
    ],
    ids=["step", "transpose", "slice", "expand", "flip"],
)
def test_any_strides(make: object) -> None:
    assert callable(make)
    check(make(random((1, 4, 12, 14))), Sliding(3, 2, 1), reducer("max"))


def test_empty_batch_and_no_channels() -> None:
    for shape in ((0, 3, 8, 8), (2, 0, 8, 8)):
        y, _ = launch.forward(random(shape), Sliding(2), reducer("mean"), None)
        assert y.shape == (*shape[:2], 4, 4)


@pytest.mark.parametrize("shape", [(1, 1, 1_000_003), (1, 1, 3, 70_001)])
def test_long_sums_stay_exact(shape: tuple[int, ...]) -> None:
    x = random(shape).abs()
    y, _ = launch.forward(x, Whole(), reducer("mean"), None)
    torch.testing.assert_close(y.double(), x.double().mean(tuple(range(2, x.dim())), True), rtol=3e-7, atol=0)


def test_a_new_long_input_makes_no_long_table() -> None:
    region = Sliding((4,), (2,), (1,))
    x = random((1, 1, 300_000)).requires_grad_()
    y, saved = launch.forward(x, region, reducer("max"), torch.uint8)
    launch.backward(y, saved, region, reducer("max"), (300_000,), False)
    key = Key(region, reducer("max"), "float32", (300_000,), 1, "uint8")
    for plan in (forward_plan(key), backward_plan(key)):
        assert sum(array.nbytes for array in plan.kept) < 1000


def test_what_is_not_of_this_pooling_is_refused() -> None:
    x = random((1, 2, 8, 8))
    y, saved = launch.forward(x, Sliding(2), reducer("max"), torch.uint8)
    assert saved is not None
    for grad, taps in ((y[..., 1:], saved), (y, saved[:, :1]), (y, saved.int())):
        with pytest.raises(ArgumentError, match="not of this pooling"):
            backends.backward(grad, taps, Sliding(2), reducer("max"), (8, 8), False)
