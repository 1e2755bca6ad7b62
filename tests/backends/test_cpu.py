"""The CPU kernels against the plain-torch definition in float64, forward and backward, on poisoned memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import LAST, ORDINARY, SEED, close, inputs_for, kernels, label, last, random
from torch import Tensor
from vectors import DTYPES, LENGTHS, forget, vectors_of, ways

import cnnatomy
from cnnatomy import backends
from cnnatomy.backends import reference
from cnnatomy.backends.cpu.pooling import (
    gather_blocks,
    global_backward,
    plan_backward,
    plan_forward,
    pooling_launch,
    window_tables,
)
from cnnatomy.backends.cpu.pooling.plan_backward import backward_plan
from cnnatomy.backends.cpu.pooling.plan_forward import forward_plan
from cnnatomy.backends.cpu.pooling.window_tables import Key
from cnnatomy.backends.cpu.runtime import scratch, sizes
from cnnatomy.backends.layout import is_last
from cnnatomy.backends.pooled import Kept, Pooled
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import KMax, Mean, Reducer, reducer
from cnnatomy.reducers.contract import NO_TAP
from cnnatomy.regions import Adaptive, Bins, Fractional, Region, Sliding, Whole

pytestmark = pytest.mark.costly(2)  # each compiles kernels

KERNELS = kernels()
every_kernel = pytest.mark.parametrize("what", KERNELS, ids=label)
one_of_each = pytest.mark.parametrize(
    "what", {type(what): what for what in reversed(KERNELS)}.values(), ids=label
)

SUM = Mean(divisor=1.0)


class _Poisoned(scratch._Scratch):
    def of(self, size: int) -> int:
        """Scratch memory full of NaN."""
        address = super().of(size)
        self.tensor.fill_(255)
        return address


@pytest.fixture(autouse=True, scope="module")
def _poison() -> Iterator[None]:
    """Fill fresh memory with NaN, or with taps that no window has, so that what is not written shows."""
    real = pooling_launch.empty

    def poisoned(call: pooling_launch._Call, dtype: torch.dtype) -> Tensor:
        fresh = real(call, dtype)
        return fresh.fill_(math.nan if dtype.is_floating_point else 251)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooling_launch, "empty", poisoned)
        patch.setattr(scratch, "_scratch", _Poisoned())
        yield


def told(inputs: Sequence[Tensor], truth: Tensor, region: Region) -> Tensor:
    """Which inputs' gradients are known: those of finite ones.

    Not known is what an output gives that is infinite or NaN though all that it reads is finite.
    """
    odd = sum((~tensor.isfinite()).double() for tensor in inputs)
    assert isinstance(odd, Tensor)
    reads, _ = reference.forward([odd], region, SUM)
    unknown = ~truth.isfinite() & (reads == 0)
    return (odd == 0) & (reference.backward(unknown.double(), [odd], region, SUM)[0] == 0)


def check(inputs: Sequence[Tensor], region: Region, what: Reducer) -> None:
    """Forward with and without what backward needs, and backward with a random cotangent.

    What selects gives a NaN or an infinity its gradient too.
    """
    x, seed = inputs[0], SEED if what.draws else None
    leaves = [tensor.double().requires_grad_() for tensor in inputs]
    truth, winner = reference.forward(leaves, region, what, seed)
    for track in (False, True):
        y, saved = pooling_launch.forward(inputs, region, what, track, seed)
        close(y, truth)
        assert y.is_contiguous(memory_format=LAST[x.dim()] if is_last(x) else torch.contiguous_format)
        assert len(saved) == track * len(what.saves)
    if winner is not None:
        none = 255 if saved[0].dtype is torch.uint8 else NO_TAP
        assert torch.equal(saved[0].long(), torch.where(winner < 0, none, winner))
    grad = random(tuple(y.shape), x.dtype, seed=7)
    found = pooling_launch.backward(
        grad,
        Kept(inputs if "x" in what.reads else (), y if "y" in what.reads else None, saved),
        Pooled.of(x, region, what),
    )
    wanted = torch.autograd.grad(truth, leaves, grad.double())
    known = torch.ones_like(x, dtype=torch.bool) if what.selects else told(inputs, truth, region)
    for one, other in zip(found, wanted, strict=True):
        close(torch.where(known, one, 0), torch.where(known, other, 0), sums=4)


SHAPES = {1: (3, 3, 41), 2: (2, 3, 13, 37), 3: (1, 3, 7, 6, 19)}
REGIONS: list[Region | None] = [
    *(Sliding(2), Sliding(3, 2, 1), Sliding(3, 1, 1), Sliding(2, 2, 0, 1, True), Sliding(3, 2, 1, 2)),
    *(Sliding(3, 3), Sliding(4, 1, "same"), Sliding(2, 3, 4), Sliding(5, 1, "keep")),
    *(Adaptive(5), Whole(), Fractional(0.6, seed=3), Fractional(0.5, overlapping=True, kind="random")),
    None,  # bins, which depend on the rank
]
Kind = tuple[int, torch.dtype, bool]
KINDS: list[Kind] = [
    (rank, dtype, lanes)
    for dtype, rank, lanes in itertools.product(DTYPES, SHAPES, (False, True))
    if rank > 1 or not lanes
]
"""Number of axes, dtype, and whether channels are last (with one axis there is no such layout)."""

SPECIAL = [math.nan, math.inf, -math.inf, -0.0]


def given_region(region: Region | None, rank: int) -> Region:
    """The region, or bins of all sizes that overlap and leave cells out."""
    return region or Bins([[(0, 2), (1, 6)], [(1, 3), (1, 4), (4, 6)], [(0, 19)]][:rank])


def check_kind(what: Reducer, region: Region | None, kind: Kind, ties: bool) -> None:
    """Check random inputs, with special values in the first two channels of the first image."""
    rank, dtype, lanes = kind
    inputs = inputs_for(what, SHAPES[rank], dtype, seed=rank, ties=ties)
    inputs[0][-1, 2] = random(SHAPES[rank][2:], dtype, rank, ties)  # of both signs, whatever is meant
    plane = inputs[0][0].flatten(1)
    plane[0, 3::17] = math.nan
    meant = [value for value in SPECIAL if not (what.positive and value <= 0)]
    for i, value in enumerate(meant):
        plane[1, i::29] = value
    check([last(tensor) if lanes else tensor for tensor in inputs], given_region(region, rank), what)


@one_of_each
@pytest.mark.parametrize("lanes", [False, True], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("region", ORDINARY, ids=str)
def test_both_layouts(what: Reducer, region: Region, lanes: bool) -> None:
    """In single precision, on values that the pooling is meant for, but for some that are not finite."""
    inputs = inputs_for(what, (2, 19 if lanes else 3, 9, 27))
    for channel, value in enumerate(SPECIAL[:3]):
        inputs[0][0, channel].view(-1)[3::61] = value
    check([last(tensor) if lanes else tensor for tensor in inputs], region, what)


@every_kernel
def test_every_region(what: Reducer) -> None:
    """One region and kind for each reducer, others for the next; all of them are a slow test."""
    shift = KERNELS.index(what)
    i = shift % len(REGIONS)
    check_kind(what, REGIONS[i], KINDS[(7 * i + shift) % len(KINDS)], ties=i % 2 == 0)


@pytest.mark.slow
@every_kernel
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_whole_product(what: Reducer, dtype: torch.dtype, record_property: Callable[..., None]) -> None:
    cases = list(itertools.product(REGIONS, [kind for kind in KINDS if kind[1] is dtype]))
    for i, (region, kind) in enumerate(cases):
        check_kind(what, region, kind, ties=i % 2 == 0)
    record_property("cases", len(cases))
    print(f"{label(what)} in {dtype}: {len(cases)} cases")


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
    what, dtype = data.draw(st.sampled_from(KERNELS)), data.draw(st.sampled_from(DTYPES))
    seed, ties = data.draw(st.integers(0, 99)), data.draw(st.booleans())
    inputs = inputs_for(what, (batch, channels, *size), dtype, seed, ties)
    if inputs[0].numel() and data.draw(st.booleans()):
        cell = data.draw(st.integers(0, inputs[0].numel() - 1))
        inputs[0].view(-1)[cell] = data.draw(st.sampled_from(SPECIAL))
    lanes = len(size) > 1 and data.draw(st.booleans())
    check([last(tensor) if lanes else tensor for tensor in inputs], region, what)


@given(case=windows(), name=st.sampled_from(["max", "mean"]))
def test_any_window_in_float32(case: tuple[Sliding, tuple[int, ...]], name: str) -> None:
    region, size = case
    check([random((1, 2, *size), ties=True)], region, reducer(name))


@pytest.mark.costly(1)
@one_of_each
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 70)),
    above=st.integers(1, 3),
    ceil=st.booleans(),
    channels=st.integers(1, 20),
    lanes=st.booleans(),
)
@settings(max_examples=settings().max_examples // 5)
def test_any_size(
    what: Reducer, size: tuple[int, int], above: int, ceil: bool, channels: int, lanes: bool
) -> None:
    """Sizes and paddings are told to kernels as they run: few kernels see many of them."""
    inputs = inputs_for(what, (1, channels, *size), seed=sum(size))
    region = Sliding(3, 2, ((above, 2), (1, 1)), 1, ceil)
    check([last(tensor) if lanes else tensor for tensor in inputs], region, what)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 1e-45, 3.4e38])
def test_selected_values_are_exact(value: float) -> None:
    x = random((1, 2, 9, 9))
    x[0, 0, ::2, ::3] = value
    x[0, 1] = value
    for region in (Sliding(2), Sliding(3, 1, 1), Sliding(3, 2, 1), Whole()):
        for name in ("max", "min", "median"):
            check([x], region, reducer(name))


def test_a_wrong_kernel_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [random((1, 1, 6, 6))]
    real = pooling_launch.forward
    monkeypatch.setattr(
        pooling_launch, "forward", lambda i, r, what, *rest: real(i, r, reducer("min"), *rest)
    )
    with pytest.raises(AssertionError):
        check(inputs, Sliding(2), reducer("max"))


@pytest.mark.parametrize(
    ("region", "lanes", "chosen"),
    [
        (Sliding(2), 1, "fused blocks columns scatter"),  # a column is left
        (Sliding(3, 2, 1), 1, "strided blocks columns scatter"),
        (Sliding(2, 2, 0, 1, True), 1, "strided blocks columns scatter"),
        (Sliding(17, 1), 1, "table segments loop scatter"),
        (Sliding(7, 1), 1, "strided blocks loop scatter"),
        (Sliding((1, 17), 1), 1, "table segments channels scatter"),
        (Sliding(2, padding=((2, 0), (0, 0))), 1, "strided blocks columns scatter"),
        (Sliding(2, 1), 1, "strided blocks columns blocks"),
        (Sliding(2), 8, "direct nonoverlapping channels nonoverlapping"),
        (Sliding(3, 2, 1), 8, "direct readers channels readers"),
        (Sliding(4, 2, 1), 8, "table readers channels readers"),
        (Adaptive(11), 1, "fused blocks columns scatter"),
        (Adaptive(5), 1, "table segments loop scatter"),
        (Whole(), 1, "table global loop global"),
        (Whole(), 8, "table global loop global"),
        (Sliding(33), 1, "table global loop global"),
        (Sliding(35, padding=1), 1, "table segments loop scatter"),
    ],
    ids=str,
)
def test_the_path_is_the_fastest_that_fits(region: Region, lanes: int, chosen: str) -> None:
    """With vectors of any length: of means and medians, forward and backward."""
    found = []
    for name in ("mean", "median"):
        key = Key(region, reducer(name), "float32", (33, 33), lanes, "uint8", True)
        found += [ways(forward_plan, key), ways(backward_plan, key)]
    assert [" ".join(each) for each in zip(*found, strict=True)] == [chosen] * len(LENGTHS)


@pytest.mark.parametrize(
    ("region", "size", "chosen"),
    [
        (Sliding(3, 1, 1), (8, 20), "scatter blocks blocks"),
        (Sliding(2), (8, 56), "blocks blocks blocks"),
        (Sliding(2), (8, 16), "scatter scatter scatter"),  # short rows
        (Sliding(5, 1, 2), (8, 56), "scatter scatter blocks"),  # many taps
        (Sliding(7, 1, 3), (8, 56), "scatter scatter scatter"),
        (Sliding(3), (8, 56), "scatter scatter scatter"),  # columns that are left
        (Sliding(3), (72, 72), "scatter blocks blocks"),
        (Sliding(8), (112, 112), "scatter scatter scatter"),  # few outputs
        (Sliding(7, 1, 3), (8,), "scatter scatter scatter"),
        (Sliding(7, 1, 3), (56,), "scatter blocks blocks"),
        (Sliding(3, 2, 1), (7, 203), "scatter blocks blocks"),
        (Sliding(3, 1, 2, 2), (7, 203), "scatter blocks blocks"),
        (Sliding(2, 3, 1), (7, 203), "blocks blocks blocks"),
        (Sliding(2, 1), (8, 8, 20), "scatter scatter scatter"),
    ],
    ids=str,
)
def test_winners_gather_where_that_is_less_than_a_step_an_output(
    region: Region, size: tuple[int, ...], chosen: str
) -> None:
    """With vectors of 16, 32 and 64 bytes: the more a step gathers, the more often."""
    key = Key(region, reducer("max"), "float32", size, 1, "uint8", True)
    assert " ".join(ways(backward_plan, key)) == chosen


@pytest.fixture
def gathering(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Gather in every window that can."""
    monkeypatch.setattr(plan_backward, "scatter_is_cheaper", lambda layout: layout.across is None)
    forget()
    yield
    forget()


@pytest.fixture
def scattering(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Scatter in every window that can."""
    monkeypatch.setattr(plan_backward, "scatter_is_cheaper", lambda layout: True)
    forget()
    yield
    forget()


@pytest.mark.parametrize(
    "region",
    [
        *(Sliding(3, 1, 1), Sliding(3, 2, 1), Sliding(2, 3), Sliding(5, 2, ((3, 1),))),
        *(Sliding(3, 1, 2, 2), Sliding(4, 3, ((0, 2),), ceil_mode=True)),
    ],
    ids=str,
)
@pytest.mark.usefixtures("gathering")
def test_the_columns_at_the_ends_of_rows_go_in_vectors_too(region: Sliding) -> None:
    edges = set()
    for size in (5, 9, 17, 40):
        axis = region.axes((size,))[0]
        if axis.outputs < 1 or axis.window is None:
            continue
        widths, across = sizes.vector_widths("float32"), window_tables.strided(axis, 1, ())
        assert across is not None
        pad = axis.window.padding[0]
        edges.add(gather_blocks.Blocks.of(across, pad, size, axis.outputs, widths).edge)
        for name in ("max", "l2"):
            check([random((2, 3, size), seed=size)], region, reducer(name))
    assert any(edges)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(torch.float32, (5, 18)), (torch.float64, (6, 9)), (torch.bfloat16, (4, 27))],
    ids=str,
)
@pytest.mark.parametrize(
    ("region", "name"),
    [(Sliding(3, 1, 1), "max"), (Sliding((2, 3), (1, 2), ((1, 0), (2, 1))), "logsumexp")],
    ids=str,
)
@pytest.mark.usefixtures("gathering")
def test_the_ends_of_rows_in_maps(
    region: Region, name: str, dtype: torch.dtype, size: tuple[int, int]
) -> None:
    check([random((2, 3, *size), dtype)], region, reducer(name))


@pytest.mark.parametrize(
    ("height", "region"),
    [
        (8, Sliding(5, 1, 2)),
        (10, Sliding(5, 1, 2)),
        (11, Sliding((5, 9), 1, (2, 4))),
        (11, Sliding((3, 5), (1, 1), (2, 2), (2, 1))),
        (9, Adaptive((5, 3))),
        (7, Adaptive((3, 3))),
        (8, Adaptive((4, 3))),
        (12, Sliding((4, 7), (4, 1), ((8, 8), (3, 3)))),  # windows without any tap
        (40, Sliding((17, 15), 1)),
        (60, Sliding((17, 15), 1)),
        (60, Sliding((15, 17), 1)),  # as many taps as a byte tells
        (60, Sliding((17, 17), 1)),  # more than that
        (1, Sliding((1, 25), 1)),
    ],
    ids=str,
)
@pytest.mark.usefixtures("scattering")
def test_rows_scatter_whether_their_windows_share_cells_or_not(height: int, region: Region) -> None:
    x = random((2, 3, height, 33))
    key = Key(region, reducer("max"), "float32", (height, 33), 1, "uint8", True)
    assert backward_plan(key).way == "scatter"
    check([x], region, reducer("max"))


@pytest.mark.parametrize("name", ["max", "mean", "l2"])
@pytest.mark.parametrize(
    ("size", "region", "stride"),
    [
        ((12, 40), Sliding(2), 2),
        ((13, 40), Sliding(2), 0),
        ((13, 40), Sliding(2, ceil_mode=True), 0),
        ((4, 40), Sliding((3, 2), 2, ceil_mode=True), 0),  # the last window hangs over
        ((12, 40), Sliding((2, 1), (3, 1)), 3),
        ((12, 40), Sliding(2, (4, 2), dilation=(3, 1)), 4),
        ((12, 40), Sliding(2, padding=((2, 2), (0, 0))), 0),
        ((12, 40), Adaptive(4), 3),
        ((12, 40), Adaptive(5), 0),
        ((40,), Sliding(2), 1),
        ((2, 12, 40), Sliding((1, 2, 2)), 0),
        ((1, 12, 40), Sliding((1, 2, 2)), 2),
        ((1, 8, 8), Adaptive((2, 4, 4)), 0),  # a slice that two outputs read
        ((1, 8, 8), Sliding(2, (1, 2, 2), (1, 0, 0)), 0),
        ((1, 8, 8), Sliding((3, 2, 2), (1, 2, 2), (1, 0, 0)), 0),  # whose first tap is in the padding
        ((1, 8, 8), Sliding((1, 2, 2), 2, ((1, 0), 0, 0)), 0),  # nothing of it
    ],
    ids=str,
)
def test_planes_cut_evenly_need_no_table_of_rows(
    size: tuple[int, ...], region: Region, stride: int, name: str
) -> None:
    depth, height, _ = window_tables.three(region.axes(size))
    assert plan_forward._even(depth, height) == stride
    x = random((2, 5, *size))
    check([x], region, reducer(name))
    if len(size) > 1:
        check([last(x)], region, reducer(name))


@pytest.mark.parametrize("name", ["logsumexp", "soft", "gem"])
def test_a_row_does_not_depend_on_those_that_its_thread_makes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    region, x = Sliding((3, 7), 2, ((0, 0), (0, 12)), (1, 3)), random((1, 2, 25, 48)).abs()
    x[0, 0, 2, 5] = 1e30  # which takes a slower way, in its rows alone
    monkeypatch.setattr(pooling_launch, "GRAIN", 1)
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        pooling_launch._forward_call.cache_clear()
        y, saved = pooling_launch.forward([x], region, reducer(name), True)
        found.append((y, *saved))
    pooling_launch._forward_call.cache_clear()
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


@pytest.mark.parametrize(
    ("what", "region", "alike"),
    [
        (reducer("mean"), Sliding(2), 4),
        (reducer("kmax"), Sliding((3, 2), 2), 6),
        (reducer("mean"), Sliding(3, 1, 1), 0),  # fewer at the borders
        (Mean(count_include_pad=True), Sliding(3, 1, 1), 9),
        (Mean(divisor=2.5), Sliding(3, 1, 1), 2.5),
        (reducer("mean"), Sliding(2, 2, 0, 1, True), 0),
        (reducer("max"), Sliding(2), 0),  # which divides by nothing
    ],
)
def test_windows_of_one_size_divide_by_what_is_known(what: Reducer, region: Region, alike: float) -> None:
    assert (
        window_tables.Layout(Key(region, what, "float32", (13, 37), 1, "uint8", True)).constant_divisor
        == alike
    )
    check([random((2, 3, 13, 37))], region, what)
    check([last(random((2, 9, 13, 37)))], region, what)


@pytest.mark.parametrize(
    ("what", "region", "dtype", "shape", "track", "theirs"),
    [
        (reducer("max"), Whole(), torch.float32, (2, 3, 9, 9), False, True),
        (reducer("min"), Adaptive(1), torch.float64, (2, 3, 9), False, True),
        (reducer("mean"), Sliding(9), torch.float32, (2, 3, 9, 9), True, True),
        (reducer("max"), Whole(), torch.float32, (2, 3, 9, 9), True, False),  # winners
        (reducer("mean"), Whole(), torch.bfloat16, (2, 3, 9, 9), False, False),
        (reducer("mean"), Whole(), torch.float32, (1, 1, 9, 9), False, False),  # shared among threads
        (Mean(divisor=2.0), Whole(), torch.float32, (2, 3, 9, 9), False, False),
        (reducer("mean"), Sliding(9, padding=1), torch.float32, (2, 3, 9, 9), False, False),
        (reducer("soft"), Whole(), torch.float32, (2, 3, 9, 9), False, False),
    ],
)
def test_whole_maps_are_torchs_where_it_is_swift(
    what: Reducer, region: Region, dtype: torch.dtype, shape: tuple[int, ...], track: bool, theirs: bool
) -> None:
    call = pooling_launch._forward_call(region.text, what.text, dtype, shape, False, track)
    assert (call is None) is theirs
    check([random(shape, dtype)], region, what)


@pytest.mark.parametrize(
    ("n", "region"),
    [
        (2, Sliding(2, 2, "same", 2)),
        (2, Sliding(2, 2, 0, 2, True)),
        (4, Sliding(4, 1, ((0, 3),), 2)),
        (3, Sliding(3, 9, ((4, 0),), 2, True)),
    ],
    ids=str,
)
def test_one_window_with_as_many_taps_as_cells_need_not_read_them_all(n: int, region: Sliding) -> None:
    assert region.outputs((n,)) == (1,)
    for name in ("max", "mean", "l2"):
        check([random((2, 3, n))], region, reducer(name))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "region", [Sliding(3, 2, 1), Sliding(3, 1, 1), Sliding(3, 1, 2, 2), Sliding(2, 3, 1)], ids=str
)
@pytest.mark.usefixtures("gathering")
def test_cells_of_wide_maps_look_for_the_outputs_that_chose_them(region: Sliding, dtype: torch.dtype) -> None:
    key = Key(region, reducer("max"), sizes.DTYPES[dtype], (7, 203), 1, "uint8", True)
    assert backward_plan(key).way == "blocks"
    check([random((2, 3, 7, 203), dtype, ties=True)], region, reducer("max"))


@pytest.mark.parametrize("name", ["max", "l2", "importance"])
@pytest.mark.parametrize(
    ("region", "size"),
    [
        (Sliding(2), (7, 9)),  # a row and a column that no window reads
        (Sliding(4), (9, 8)),  # windows too large to be written out
        (Sliding((3, 2, 1)), (8, 5, 3)),  # slabs and rows that no window reads
        (Adaptive(4), (8, 8)),
    ],
    ids=str,
)
def test_windows_side_by_side_tell_their_own_cells(region: Region, size: tuple[int, ...], name: str) -> None:
    what = reducer(name)
    key = Key(region, what, "float32", size, 37, "uint8", True)
    assert set(ways(backward_plan, key)) == {"nonoverlapping"}
    tensors = [last(random((2, 37, *size))) for _ in range(1 + len(what.companions))]
    check([tensor.abs() for tensor in tensors] if what.positive else tensors, region, what)


@pytest.mark.costly(1)
@pytest.mark.parametrize("name", ["logsumexp", "soft"])
def test_windows_side_by_side_take_exponents_beyond_the_format(name: str) -> None:
    what, x = reducer(name), last(random((2, 19, 8, 6)))
    x[0, 3, 2, 5], x[0, 4, 2, 5], x[1, :, 0, 0], x[1, 2, 6:] = 5000.0, -5000.0, -3000.0, 2500.0
    x[0, 5, :2, :2] = torch.tensor([[1e30, 1e29], [1e30, 1e30]])  # of which the shorter way makes nonsense
    x[1, 6, 4:6] = -1e30
    key = Key(Sliding(2), what, "float32", (8, 6), 19, "uint8", True)
    assert set(ways(backward_plan, key)) == {"nonoverlapping"}
    check([x], Sliding(2), what)


PAIRS: tuple[Reducer, ...] = (
    *(reducer(name) for name in ("logsumexp", "soft", "importance", "lp", "gem", "kmax")),
    KMax(5),
)


def extreme(tensors: list[Tensor], what: Reducer) -> list[Tensor]:
    """Positive if that is meant; else some of the values beyond any exponent, and some not finite."""
    if what.positive:
        return [tensor.abs() for tensor in tensors]
    flat = tensors[0][0].flatten(1)
    flat[0, 5:19], flat[1, 2], flat[1, -4:], flat[2, 3] = 900.0, 5000.0, -5000.0, math.inf
    return tensors


@pytest.mark.parametrize(
    ("region", "size", "one", "longest"),
    [
        (Sliding(4), (9, 14), 4, 16),
        (Sliding(8), (17, 26), 0, 32),  # rows and columns that nobody reads
        (Sliding(9, 11, ((1, 1), (2, 2))), (20, 31), 1, 32),  # in padding, and with gaps
        (Adaptive(3), (24, 30), 2, 32),
        (Fractional(0.1, seed=1), (30, 95), 3, 32),  # runs of several lengths
        (Sliding((2, 2, 9)), (5, 4, 20), 5, 32),
        (Sliding(13, 15), (47,), 6, 32),
        (Sliding(16, 19, ((1, 1), (2, 2))), (18, 60), 0, 64),
        (Fractional(0.05, seed=1), (20, 190), 3, 64),
    ],
    ids=str,
)
def test_outputs_tell_the_runs_that_they_alone_read(
    region: Region, size: tuple[int, ...], one: int, longest: int
) -> None:
    """Where a run fills a vector: with vectors of at most so many bytes."""
    what = PAIRS[one]
    found = ways(backward_plan, Key(region, what, "float32", size, 1, "uint8", True))
    assert [path == "runs" for path in found] == [length <= longest for length in LENGTHS]
    with vectors_of(longest):
        check(extreme([random((2, 3, *size)) for _ in range(1 + len(what.companions))], what), region, what)


@pytest.mark.parametrize("what", PAIRS, ids=str)
@pytest.mark.parametrize(("size", "lanes"), [((9, 13), True), ((4, 3, 17), False)], ids=str)
def test_the_output_of_a_whole_map_tells_every_cell(
    what: Reducer, size: tuple[int, ...], lanes: bool
) -> None:
    assert set(ways(backward_plan, Key(Whole(), what, "float32", size, 19, "uint8", True))) == {"global"}
    tensors = extreme([random((2, 19, *size)) for _ in range(1 + len(what.companions))], what)
    check([last(tensor) for tensor in tensors] if lanes else tensors, Whole(), what)


def test_as_many_numbers_are_kept_as_the_output_of_a_whole_map_tells() -> None:
    counts = [global_backward.Global(what, "float32", "uint8", True, (8, 4, 1)).kept for what in PAIRS]
    assert counts == [2, 3, 3, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("dtype", "length", "widest"),
    [
        *((torch.float32, 16, 4), (torch.float32, 32, 8), (torch.float32, 64, 16)),
        *((torch.float64, 16, 1), (torch.float64, 32, 4), (torch.float64, 64, 8)),
    ],
    ids=str,
)
def test_vectors_of_any_length(dtype: torch.dtype, length: int, widest: int) -> None:
    with vectors_of(length):
        assert sizes.vector_widths(sizes.DTYPES[dtype])[0] == widest
        for what in (reducer("logsumexp"), reducer("max")):
            for x in (random((2, 2, 6, 75), dtype), last(random((2, 21, 6, 11), dtype))):
                check([x], Sliding(2), what)


@pytest.mark.costly(1)
@pytest.mark.parametrize("name", ["logsumexp", "soft"])
@pytest.mark.parametrize("stride", [3, 5])
def test_exponentials_of_vectors_that_no_power_of_two_divides(stride: int, name: str) -> None:
    check([random((2, 3, 2 * stride, 60))], Sliding(stride), reducer(name))


@pytest.mark.parametrize("name", ["logsumexp", "soft"])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_gradient_that_is_not_finite_meets_every_weight(name: str, value: float) -> None:
    x = last(random((1, 19, 4, 6)))
    x[0, 3, 2:, 4:] = 0.5
    y = cnnatomy.pool(x.requires_grad_(), name, Sliding(2))
    grad = torch.ones_like(y)
    grad[0, 3, 1, 2] = value
    (dx,) = torch.autograd.grad(y, x, grad)
    expected = torch.full((2, 2), value)
    torch.testing.assert_close(dx[0, 3, 2:, 4:], expected, equal_nan=True)
    dx = dx.clone()
    dx[0, 3, 2:, 4:] = 0.25
    assert dx.isfinite().all()


@pytest.mark.parametrize(
    ("region", "size"),
    [
        (Sliding((3, 2), (1, 2)), (7, 6)),  # rows that three windows read
        (Sliding((2, 3), (4, 3), ((1, 1), 0)), (9, 10)),  # rows that none reads
        (Sliding(2, padding=1), (6, 6)),
        (Sliding(2, dilation=2), (8, 8)),
        (Sliding(2, ceil_mode=True), (5, 6)),
        (Adaptive(4), (9, 8)),
    ],
    ids=str,
)
def test_windows_almost_side_by_side_walk_the_table(region: Region, size: tuple[int, ...]) -> None:
    for what in (reducer("max"), reducer("l2")):
        key = Key(region, what, "float32", size, 37, "uint8", True)
        assert set(ways(backward_plan, key)) == {"readers"}
        check([last(random((2, 37, *size)))], region, what)


CUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "step": lambda x: x[:, ::2],
    "transpose": lambda x: x.transpose(2, 3),
    "slice": lambda x: x[..., 1:-1],
    "expand": lambda x: x[:1].expand(3, *x.shape[1:]),
    "flip": lambda x: x.flip(0),
    "one channel": lambda x: last(x)[:, :1],
    "turned sign": lambda x: torch._neg_view(-x),
}


@pytest.mark.parametrize("cut", list(CUTS))
def test_any_strides(cut: str) -> None:
    for name in ("max", "importance", "soft", "median"):
        what = reducer(name)
        check([CUTS[cut](tensor) for tensor in inputs_for(what, (2, 4, 12, 14))], Sliding(3, 2, 1), what)


@every_kernel
def test_empty_batch_and_no_channels(what: Reducer) -> None:
    seed = SEED if what.draws else None
    for shape in ((0, 3, 8, 8), (2, 0, 8, 8)):
        inputs = inputs_for(what, shape)
        y, saved = pooling_launch.forward(inputs, Sliding(3, 2, 1), what, True, seed)
        assert y.shape == (*shape[:2], 4, 4)
        found = pooling_launch.backward(
            y,
            Kept(inputs if "x" in what.reads else (), y if "y" in what.reads else None, saved),
            Pooled(Sliding(3, 2, 1), what, (8, 8), False),
        )
        assert [dx.shape for dx in found] == [shape] * len(inputs)


@pytest.mark.parametrize("shape", [(1, 1, 1_000_003), (1, 1, 3, 70_001)])
def test_long_sums_stay_exact(shape: tuple[int, ...]) -> None:
    x = random(shape).abs()
    y, _ = pooling_launch.forward([x], Whole(), reducer("mean"), False)
    torch.testing.assert_close(y.double(), x.double().mean(tuple(range(2, x.dim())), True), rtol=3e-7, atol=0)


def test_a_new_long_input_makes_no_long_table() -> None:
    region, what = Sliding((4,), (2,), (1,)), reducer("max")
    y, saved = pooling_launch.forward([random((1, 1, 300_000))], region, what, True)
    pooling_launch.backward(y, Kept(saved=saved), Pooled(region, what, (300_000,), False))
    key = Key(region, what, "float32", (300_000,), 1, "uint8", True)
    for made in (forward_plan(key), backward_plan(key)):
        assert sum(array.nbytes for array in made.kept) < 1000


def test_what_is_not_of_this_pooling_is_refused() -> None:
    y, (taps,) = pooling_launch.forward([random((1, 2, 8, 8))], Sliding(2), reducer("max"), True)
    for grad, saved in ((y[..., 1:], taps), (y, taps[:, :1]), (y, taps.int())):
        with pytest.raises(ArgumentError, match="not of this pooling"):
            backends.check(grad, (saved,), Pooled(Sliding(2), reducer("max"), (8, 8), False))
