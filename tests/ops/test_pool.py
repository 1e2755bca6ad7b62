"""Calls of `pool`: indices, dtypes, what is kept for backward, autocast, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from support import (
    ORDINARY,
    REGIONS,
    TOLERANCE,
    close,
    examples,
    inputs_for,
    label,
    last,
    pairs,
    pooling,
    random,
)
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import cnnatomy
from cnnatomy import Sliding
from cnnatomy.backends import reference
from cnnatomy.backends.pooled import curved
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import GeM, Reducer, reducer
from cnnatomy.regions import Region

pytestmark = pytest.mark.costly(2)  # each compiles kernels

every_reducer = pytest.mark.parametrize("what", examples(), ids=label)
SELECTING = [what for what in examples() if what.selects]


@pytest.mark.parametrize(("what", "region"), pairs(REGIONS, 3, 12, selecting=True))
def test_indices_point_at_the_values(what: Reducer, region: Region) -> None:
    x = random((2, 3, 9, 8), ties=True)
    options: dict[str, Any] = {"return_indices": True, "training": what.draws, "seed": 3}
    y, indices = cnnatomy.pool(x, what, region, **options)
    assert torch.equal(y, cnnatomy.pool(x, what, region, training=what.draws, seed=3)) or y.isnan().any()
    source = x.flatten(2)
    if y.dim() == 2:  # a pyramid's levels, one after the other
        y, indices, start = y.view(2, 15), indices.view(2, 15), 0
        for bins in (1, 4):
            part = slice(start, start + 3 * bins)
            start += 3 * bins
            picked = source.gather(2, indices[:, part].view(2, 3, bins))
            assert torch.equal(picked.flatten(1), y[:, part])
        return
    if len(y) == 4:  # boxes, each of its own image
        source = source[[0, 1, 1, 0]]
    picked = source.gather(2, indices.clamp(min=0).flatten(2)).view(y.shape)
    assert torch.equal(picked[indices >= 0], y[indices >= 0])
    none = y[indices < 0]
    assert bool((none.isinf() | none.isnan() | (none == 0)).all())
    meta_y, meta_indices = cnnatomy.pool(x.to("meta"), what, region, **options)
    assert (meta_y.shape, meta_indices.shape) == (y.shape, indices.shape)
    assert meta_indices.dtype == torch.int64


@pytest.mark.parametrize(("what", "region"), pairs(REGIONS, 16, 48))
@pytest.mark.parametrize(
    "dtype",
    [
        torch.bfloat16,
        *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in (torch.float64, torch.float16)),
    ],
    ids=str,
)
def test_dtypes_come_out_as_they_go_in(what: Reducer, region: Region, dtype: torch.dtype) -> None:
    inputs = inputs_for(what, (2, 3, 9, 8), dtype)
    y = pooling(what, region)(*inputs)
    assert y.dtype == dtype
    truth = pooling(what, region)(*(tensor.double() for tensor in inputs))
    allowed = {name: 4 * value for name, value in TOLERANCE[dtype].items()}
    torch.testing.assert_close(y.double(), truth, equal_nan=True, **allowed)


BLENDS = [
    what for what in examples() if what.blended and not what.draws and (what.learns or what == type(what)())
]
"""As they come, or with something learned; their other parameters have tests of their own."""


@pytest.mark.parametrize("what", BLENDS, ids=label)
@pytest.mark.parametrize("lanes", [False, True], ids=["NCHW", "NHWC"])
def test_blends_are_their_definition(what: Reducer, lanes: bool) -> None:
    """With what is learned at its start, as in the definition. Kernels are held to theirs in test_cpu."""
    given = inputs_for(what, (2, 3, 9, 27))[: 1 + len(what.companions)]
    starts = [torch.tensor(start) for start in what.learns.values()]
    for region in ORDINARY:
        leaves = [(last(tensor) if lanes else tensor).detach().requires_grad_() for tensor in given]
        wide = [tensor.double().requires_grad_() for tensor in given]
        y, (truth, _) = pooling(what, region)(*leaves, *starts), reference.forward(wide, region, what)
        close(y, truth, sums=4)
        grad = random(tuple(y.shape), seed=7)
        found = torch.autograd.grad(y, leaves, grad)
        for one, other in zip(found, torch.autograd.grad(truth, wide, grad.double()), strict=True):
            close(one, other, sums=4)


@pytest.mark.parametrize("what", SELECTING, ids=label)
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8], ids=str)
def test_integers_are_selected_as_they_are(what: Reducer, dtype: torch.dtype) -> None:
    x = torch.randint(0, 100, (1, 2, 8, 8), generator=torch.Generator().manual_seed(0)).to(dtype)
    run = pooling(what, Sliding(3, 2, 1))
    assert run(x).dtype == dtype
    assert torch.equal(run(x).double(), run(x.double()))


def test_large_integers_are_averaged_exactly() -> None:
    x = torch.full((1, 1, 4), 2**40 + 1)
    assert cnnatomy.pool(x, "mean", Sliding(2), rank=1).tolist() == [[[2**40 + 1] * 2]]


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64, torch.float8_e5m2], ids=str)
def test_other_dtypes_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ArgumentError, match="no pooling of this dtype"):
        cnnatomy.pool(torch.ones(1, 1, 4, 4).to(dtype), "max", Sliding(2))


def kept(what: Reducer, dtype: torch.dtype) -> tuple[float, bool, bool]:
    """Bytes kept for backward per output, beside x and y, and whether those are kept."""
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    inputs = [tensor.requires_grad_() for tensor in inputs_for(what, (2, 4, 16, 16), dtype)]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = pooling(what, Sliding(2))(*inputs)
    given = {tensor.data_ptr() for tensor in inputs}
    held = {tensor.data_ptr() for tensor in saved}
    beside = [tensor for tensor in saved if tensor.data_ptr() not in given | {y.data_ptr()}]
    size = sum(tensor.numel() * tensor.element_size() for tensor in beside)
    return size / y.numel(), given <= held, y.data_ptr() in held


@pytest.mark.parametrize("what", [what for what in examples() if not what.blended], ids=label)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_backward_keeps_what_is_declared(what: Reducer, dtype: torch.dtype) -> None:
    width = {"tap": 1, "value": 8 if dtype is torch.float64 else 4}
    assert kept(what, dtype) == (sum(width[field] for field in what.saves), curved(what), "y" in what.reads)


@pytest.mark.parametrize(
    ("name", "size"), [("max", 1), ("mean", 0), ("median", 1), ("mixed", 1), ("l2", 0), ("stochastic", 1)]
)
def test_backward_keeps_little(name: str, size: int) -> None:
    assert kept(reducer(name), torch.float32)[0] == size


@every_reducer
@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)], ids=str
)
def test_autocast_changes_nothing(what: Reducer, dtype: torch.dtype) -> None:
    inputs = [tensor.requires_grad_() for tensor in inputs_for(what, (2, 3, 6, 5), dtype)]
    run, found = pooling(what, Sliding(3, 2, 1)), []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = run(*inputs)
        found.append((y, *torch.autograd.grad(y, inputs, torch.ones_like(y))))
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other)


def test_watched_tensors_go_through_the_library() -> None:
    x = random((1, 1, 4, 4))
    with FlopCounterMode(display=False):
        assert torch.equal(cnnatomy.pool(x, "max", Sliding(2)), torch.nn.functional.max_pool2d(x, 2))


X = random((1, 1, 4, 4))


def test_a_window_and_the_whole_map_are_given_as_a_module_takes_them() -> None:
    x = random((2, 3, 7, 8))
    assert torch.equal(cnnatomy.pool(x, "max", 3), torch.nn.functional.max_pool2d(x, 3))
    assert torch.equal(cnnatomy.pool(x, "max", (3, 2), 2, 1), torch.nn.functional.max_pool2d(x, (3, 2), 2, 1))
    same = cnnatomy.pool(x, "max", [3, 2], stride=[2, 1], padding="same", dilation=2, ceil_mode=True)
    assert torch.equal(same, cnnatomy.pool(x, "max", Sliding((3, 2), (2, 1), "same", 2, True)))
    torch.testing.assert_close(cnnatomy.pool(x, "mean", "global"), x.mean((2, 3), keepdim=True))


@pytest.mark.parametrize(
    "region", [(2, 3), Sliding((2, 3)), cnnatomy.Adaptive((2, 3)), cnnatomy.Pyramid([(1, 2)])]
)
def test_as_many_entries_say_how_many_axes_are_spatial(region: Any) -> None:
    picture, cube = random((3, 8, 9)), random((4, 3, 8, 9))
    assert torch.equal(cnnatomy.pool(picture, "max", region), cnnatomy.pool(picture[None], "max", region)[0])
    for x, rank in ((picture, 1), (picture, 2), (cube, 2), (cube, 3)):
        both = cnnatomy.pool(x, "max", 2, rank=rank), cnnatomy.pool(x, "max", (2,) * rank)
        assert torch.equal(*both)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: cnnatomy.pool(random((4,)), "max", Sliding(2)), "spatial axes"),
        (lambda: cnnatomy.pool(cast(Any, [1.0]), "max", Sliding(2)), "a torch.Tensor, got list"),
        (lambda: cnnatomy.pool(X, "max", cast(Any, "whole")), "or 'global'|'global', or one of"),
        (
            lambda: cnnatomy.pool(X, cast(Any, Sliding(2)), cast(Any, "mean")),
            r"try pool\(x, 'mean', Sliding\(2\)\)",
        ),
        (lambda: cnnatomy.pool(X, cast(Any, Sliding(2, 1))), r"try pool\(x, 'max', Sliding\(2, stride=1\)\)"),
        (lambda: cnnatomy.pool(X, cast(Any, 2), cast(Any, "max")), r"try pool\(x, 'max', 2\)"),
        (lambda: cnnatomy.pool(X, "max"), r"try pool\(x, 'max', 2\)"),
        (lambda: cnnatomy.pool(X, "max", **cast(Any, {"kernel_size": 3})), r"try pool\(x, 'max', 3\)"),
        (lambda: cnnatomy.pool(X, cast(Any, cnnatomy.Max), 2), r"try Max\(\)"),
        (lambda: cnnatomy.pool(X, "max", cnnatomy.Adaptive(2), stride=2), r"try Sliding\(3, stride=2\)"),
        (
            lambda: cnnatomy.pool(random((3, 4, 4)), "max", 2),
            "rank=1 for 3 signals of 4 .* rank=2 for one picture of 3",
        ),
        (lambda: cnnatomy.pool(random((4, 4)), "max", 2), r"try x\[None, None\]"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), "max", cast(Any, Sliding)), "no region"),
        (lambda: cnnatomy.pool(random((1, 1, 2, 2, 2, 2)), "max", Sliding(2)), "spatial axes"),
        (lambda: cnnatomy.pool(random((4, 4)), "max", Sliding(2), rank=2), "axes, got shape"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), "mean", Sliding(2), return_indices=True), "selects"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), "max", Sliding(5)), "window|fit|large"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), "max", Sliding(0)), "kernel"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), "max", Sliding(2, padding=cast(Any, "sane"))), "same"),
        (
            lambda: cnnatomy.pool(random((1, 1, 4, 4)), "maximum", Sliding(2)),
            "no pooling is called 'maximum'",
        ),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), "importance", Sliding(2)), "logits="),
        (
            lambda: cnnatomy.pool(random((1, 1, 4, 4)), "max", Sliding(2), logits=random((1, 1, 4, 4))),
            "got logits=",
        ),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), "importance", Sliding(2), logits=random((1, 4))), "fit"),
        (lambda: cnnatomy.pool(random((1, 3, 4, 4)), GeM(learned=1), Sliding(2), p=random((2,))), "1 or 3"),
    ],
)
def test_errors_say_what_is_wrong(call: Callable[[], Tensor], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        call()


def test_a_tensor_that_outlives_a_transform_pools_as_before() -> None:
    kept: list[Tensor] = []
    weight = random((1, 2, 4, 4)).requires_grad_()

    def leak(x: Tensor) -> Tensor:
        kept.append(x * weight)
        return x.sum()

    x = random((1, 2, 4, 4))
    torch.func.grad(leak)(x)
    cnnatomy.pool(kept[0], "mean", Sliding(2)).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, x / 4)
