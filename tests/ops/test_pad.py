"""Padding against np.pad, F.pad and finite differences."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import close, last, random
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.backends.cpu.moving import pad as kernels
from cnnatomy.errors import ArgumentError
from cnnatomy.ops import border, padding
from cnnatomy.ops.border_values import per_vector
from cnnatomy.ops.padding import OPTIONS, pad
from cnnatomy.ops.pooling import pool
from cnnatomy.regions import Sliding

pytestmark = pytest.mark.costly(2)  # each compiles kernels

MODES = sorted(set(OPTIONS) - {"empty"})
DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]
TORCHS = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
WAYS: list[tuple[str, dict[str, Any]]] = [(mode, {}) for mode in MODES] + [
    (mode, {"reflect_type": "odd"}) for mode in ("reflect", "symmetric")
]
WIDTHS = [((1, 2), (2, 1)), ((0, 7), (9, 0))]


@st.composite
def cases(draw: st.DrawFn) -> tuple[NDArray[Any], Any, str, dict[str, Any]]:
    rank = draw(st.integers(1, 5))
    shape = [draw(st.integers(1, (9, 6, 4, 3, 2)[rank - 1])) for _ in range(rank)]
    kind, mode = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(MODES))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = generator.normal(0, 20, shape) if kind.startswith("float") else generator.integers(0, 100, shape)
    array = values.astype(kind) if kind != "bool" else values > 50
    each = [(draw(st.integers(0, 3 * n)), draw(st.integers(0, 3 * n))) for n in shape]
    widths = draw(st.sampled_from([tuple(each), each[0], min(each[0])]))
    option = OPTIONS[mode]
    if option == "reflect_type":
        return array, widths, mode, {option: draw(st.sampled_from(["even", "odd"]))}
    if not option or draw(st.booleans()):
        return array, widths, mode, {}
    number = st.integers(1, 9)
    told = [number, st.tuples(number, number), st.tuples(*[st.tuples(number, number)] * rank)]
    return array, widths, mode, {option: draw(st.one_of(told))}


def check(case: tuple[NDArray[Any], Any, str, dict[str, Any]]) -> None:
    array, widths, mode, options = case
    truth = np.pad(array, widths, mode, **options)  # type: ignore[call-overload]
    found = pad(torch.from_numpy(array), widths, mode, **options)
    assert found.shape == truth.shape
    assert found.dtype == torch.from_numpy(truth).dtype
    sums = mode in ("mean", "median", "linear_ramp") and found.is_floating_point()
    if sums:  # sums of numbers in another order, and ramps that NumPy may compute in the shorter dtype
        close(found / 20, torch.from_numpy(truth / 20), sums=4)
    else:
        np.testing.assert_array_equal(found.numpy(), truth)


@given(cases())
@settings(max_examples=200)
def test_equals_numpy(case: Any) -> None:
    check(case)


@pytest.mark.slow
@given(cases())
@settings(max_examples=2000)
def test_equals_numpy_at_length(case: Any) -> None:
    check(case)


@pytest.mark.parametrize(("mode", "options"), WAYS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_derivatives_of_first_and_second_order(mode: str, options: Any, widths: Any) -> None:
    x = random((2, 3, 4), torch.float64).requires_grad_()

    def run(x: Tensor) -> Tensor:
        return pad(x, widths, mode, **options)

    assert torch.autograd.gradcheck(run, x)
    assert torch.autograd.gradgradcheck(run, x)


@pytest.mark.parametrize(("mode", "options"), WAYS)
@pytest.mark.parametrize("widths", [WIDTHS[0], pytest.param(WIDTHS[1], marks=pytest.mark.slow)])
def test_transforms_and_graphs_agree_with_plain_calls(mode: str, options: Any, widths: Any) -> None:
    def run(x: Tensor) -> Tensor:
        return pad(x, widths, mode, **options)

    x, push = random((2, 3, 5, 4), torch.float64), random((2, 3, 5, 4), torch.float64, 1)
    y = run(x)
    close(torch.func.vmap(run)(x), y)
    leaf = x.clone().requires_grad_()
    pull = random(tuple(y.shape), torch.float64, 2)
    (grad,) = torch.autograd.grad(run(leaf), leaf, pull)
    close(torch.func.vjp(run, x)[1](pull)[0], grad)
    close((torch.func.jvp(run, (x,), (push,))[1] * pull).sum(), (grad * push).sum(), sums=100)
    torch._dynamo.reset()
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    close(compiled(x), y)
    close(torch.autograd.grad(compiled(leaf), leaf, pull)[0], grad)


@pytest.mark.parametrize("mode", ["constant", "reflect", "symmetric", "mean"])
def test_exports_with_a_batch_of_any_size(mode: str) -> None:
    class Net(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return pad(x, ((1, 2), (2, 1)), mode)

    sizes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(Net(), (random((2, 3, 5, 4)),), dynamic_shapes=sizes)
    x = random((7, 3, 5, 4), seed=1)
    close(program.module()(x), Net()(x))


@pytest.mark.parametrize("mode", sorted(TORCHS))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("formatted", [False, True])
def test_equals_torch_forward_and_backward(mode: str, dtype: torch.dtype, formatted: bool) -> None:
    x = random((2, 3, 6, 5), dtype)
    ours, theirs = ((last(x) if formatted else x.clone()).requires_grad_() for _ in range(2))
    y, truth = pad(ours, ((1, 2), (3, 0)), mode), F.pad(theirs, (3, 0, 1, 2), TORCHS[mode])
    assert torch.equal(y, truth)
    assert y.is_contiguous(memory_format=torch.channels_last) or not formatted
    pull = random(tuple(y.shape), dtype, 1)
    (grad,), (wanted,) = torch.autograd.grad(y, ours, pull), torch.autograd.grad(truth, theirs, pull)
    close(grad, wanted, sums=8)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("formatted", [False, True])
def test_layouts_and_large_tensors_equal_numpy(mode: str, formatted: bool) -> None:
    x = random((3, 40, 120, 90))
    x = last(x) if formatted else x
    y = pad(x, ((3, 2), (1, 5)), mode)
    truth = np.pad(x.numpy(), ((0, 0), (0, 0), (3, 2), (1, 5)), mode)  # type: ignore[call-overload]
    close(y, torch.from_numpy(truth))
    assert y.is_contiguous(memory_format=torch.channels_last if formatted else torch.contiguous_format)
    assert torch.equal(pad(x[:, ::2, :, 1:], ((3, 2), (1, 5)), mode)[..., 3:10, 1:9], x[:, ::2, :7, 1:9])


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_without_images_stays_empty(mode: str) -> None:
    x = torch.empty(0, 3, 4, 4, requires_grad=True)
    y = pad(x, ((1, 1), (2, 2)), mode)
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert y.shape == (0, 3, 6, 8)


def test_negative_widths_crop_before_anything_is_added() -> None:
    x = torch.arange(6)
    assert pad(x, (-2, 2), "reflect").tolist() == [2, 3, 4, 5, 4, 3]
    assert pad(x, (-1, -2)).tolist() == [1, 2, 3]
    assert pad(x, (-3, -3)).numel() == 0


def test_axes_name_what_widths_speak_of() -> None:
    x = random((2, 3, 4))
    truth = np.pad(x.numpy(), ((1, 2), (0, 0), (3, 0)), "edge")
    assert np.array_equal(pad(x, ((3, 0), (1, 2)), "edge", axes=(-1, 0)).numpy(), truth)
    assert torch.equal(pad(x, ((3, 0),), "wrap"), pad(x, (3, 0), "wrap", axes=2))


def test_functions_of_either_protocol_pad_and_have_derivatives() -> None:
    def slope(x: Tensor, axis: int, before: int, after: int, gain: float) -> tuple[Tensor, Tensor]:
        return gain * x.narrow(axis, 0, before), gain * x.narrow(axis, x.shape[axis] - after, after)

    def first(vector: Any, widths: tuple[int, int], axis: int, kwargs: dict[str, Any]) -> None:
        vector[: widths[0]] = kwargs["gain"] * vector[widths[0]]
        vector[len(vector) - widths[1] :] = axis

    x = random((3, 4), torch.float64).requires_grad_()
    truth = np.pad(x.detach().numpy(), ((1, 2), (2, 0)), first, gain=3.0)
    assert np.array_equal(pad(x, ((1, 2), (2, 0)), per_vector(first), gain=3.0).detach().numpy(), truth)
    for function in (slope, per_vector(first)):
        assert torch.autograd.gradcheck(lambda x, f=function: pad(x, ((1, 2), (2, 0)), f, gain=2.0), x)


def test_gradients_through_detached_views_leave_the_input_alone() -> None:
    x = random((2, 3, 4))
    for mode in OPTIONS:
        y = pad(x, 0, mode)
        assert y.data_ptr() != x.data_ptr()


@pytest.mark.parametrize(
    ("theirs", "ours"), sorted({"zeros": "constant", **{v: k for k, v in TORCHS.items()}}.items())
)
def test_torchs_names_of_modes_are_understood(theirs: str, ours: str) -> None:
    x = random((2, 5))
    assert torch.equal(pad(x, 2, theirs), pad(x, 2, ours))


def test_numpys_own_functions_are_recognised() -> None:
    """The function of np.pad's documentation, handed to both."""

    def pad_with(vector: Any, pad_width: Any, iaxis: Any, kwargs: Any) -> None:
        padder = kwargs.get("padder", 10)
        vector[: pad_width[0]] = padder
        vector[-pad_width[1] :] = padder

    x = torch.arange(6).reshape(2, 3)
    assert np.array_equal(pad(x, 2, pad_with).numpy(), np.pad(x.numpy(), 2, pad_with))
    truth = np.pad(x.numpy(), 2, pad_with, padder=100)
    assert np.array_equal(pad(x, 2, pad_with, padder=100).numpy(), truth)
    image = torch.arange(18.0).reshape(1, 2, 3, 3)
    pooled = pool(image, "max", Sliding(2, padding=1), padding_mode=pad_with)
    assert torch.equal(pooled, pool(pad(image, ((1, 1), (1, 1)), pad_with), "max", Sliding(2)))


BAD: list[tuple[Any, Any, dict[str, Any], str]] = [
    (np.zeros(3), 1, {}, "wants a tensor"),
    (torch.zeros(3), 1, {"mode": "reflct"}, "try 'reflect'"),
    (torch.zeros(3), 1, {"mode": "replicat"}, "mode 'replicat' is unknown: .*; try 'replicate'"),
    (
        torch.zeros(3),
        1,
        {"mode": lambda x: (x, x)},
        r"takes other arguments: expected f\(x, axis, before, after\)",
    ),
    (torch.zeros(3), 1, {"mode": None}, "unknown"),
    (torch.zeros(3), 1.5, {}, "whole number"),
    (torch.zeros(3), float("nan"), {}, "whole number"),
    (torch.zeros(3), (1, float("inf")), {}, "whole number"),
    (torch.zeros(3), True, {}, "whole number"),
    (torch.zeros(3), "same", {}, "whole number"),
    (torch.zeros(3), None, {}, "whole number"),
    (torch.zeros(3), (1, 2, 3), {}, "wrong length"),
    (torch.zeros(3), ((1, 2, 3),), {}, "not a pair"),
    (torch.zeros(3), ((1, 1), (1, 1)), {}, "too many pairs"),
    (torch.zeros(3, 3), (1, 1, 2, 2), {}, "wrong length"),
    (torch.zeros(3, 3), ((1, 1),), {"axes": (0, 1)}, "wrong length"),
    (torch.zeros(3), (-2, -2), {}, "too few cells"),
    (torch.zeros(3), (-4, 8), {"mode": "edge"}, "too few cells"),
    (torch.zeros(3), 1, {"axes": 1}, "does not exist"),
    (torch.zeros(3), 1, {"axes": -2}, "does not exist"),
    (torch.zeros(3), 1, {"axes": (0, -1)}, "named twice"),
    (torch.zeros(2, 0), 1, {"mode": "reflect"}, "no cell"),
    (torch.zeros(2, 0), 1, {"mode": "mean"}, "no cell"),
    (torch.zeros(3), (-3, 1), {"mode": "edge"}, "no cell"),
    (torch.zeros(3), 2**31, {}, "widths is out of range"),
    (torch.zeros(3, 3, 3), 2**21, {"mode": "wrap"}, "does not fit into memory"),
    (torch.zeros(3), 1, {"value": 3}, "does not take value"),
    (torch.zeros(3), 1, {"mode": "edge", "constant_values": 3}, "does not take constant_values"),
    (torch.zeros(3), 1, {"mode": "mean", "stat_length": 0}, "stat_length"),
    (torch.zeros(3), 1, {"mode": "maximum", "stat_length": 1.5}, "stat_length"),
    (torch.zeros(3), 1, {"mode": "reflect", "reflect_type": "od"}, "reflect_type"),
    (torch.zeros(3), 1, {"constant_values": "a"}, "no number"),
    (torch.zeros(3), 1, {"constant_values": (1, 2, 3)}, "wrong length"),
    (torch.zeros(3), 1, {"constant_values": 1j}, "complex"),
    (torch.zeros(3, dtype=torch.uint8), 1, {"constant_values": 300}, "does not fit"),
    (torch.zeros(3, dtype=torch.int32), 1, {"constant_values": float("nan")}, "does not fit"),
    (torch.zeros(3), 1, {"mode": "linear_ramp", "end_values": None, "stat_length": 2}, "does not take"),
    (torch.zeros(3), 1, {"mode": lambda x, axis, before, after: x}, "gives"),
    (torch.zeros(3), 1, {"mode": lambda x, axis, before, after: (x, x)}, "gives"),
    (torch.zeros(3), 1, {"mode": lambda x, axis, before, after: (x, x), "stat_length": 2}, "does not take"),
]


@pytest.mark.parametrize(("x", "widths", "options", "message"), BAD)
def test_bad_input_is_told_apart(x: Any, widths: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        pad(x, widths, **options)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_one_kernel_writes_every_border(
    monkeypatch: pytest.MonkeyPatch, mode: str, dtype: torch.dtype
) -> None:
    found: list[Tensor | None] = []
    kernel = kernels.spread

    def spread(*args: Any) -> Tensor | None:
        found.append(kernel(*args))
        return found[-1]

    monkeypatch.setattr(kernels, "spread", spread)
    monkeypatch.setattr(padding, "LARGE", 0)
    x = random((2, 32, 11, 17), dtype)  # a cell is whole vectors of any length and dtype, channels last
    widths = ((0, 0), (0, 0), (2, 3), (1, 4))
    for seen in (x, last(x), x[..., 2:], x.transpose(2, 3), x[:, :, None, 3]):
        y = pad(seen, widths, mode)
        with monkeypatch.context() as slow:
            slow.setattr(kernels, "spread", lambda *_: None)
            assert torch.equal(border.spread(seen, mode, widths), y)
        assert y is found[-1]
        assert y.stride() == torch.empty_like(y, memory_format=torch.preserve_format).stride()
    kernels._plan.cache_clear()


def test_gradients_of_large_results_are_those_of_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    grads = []
    for least in (1 << 40, 0):
        monkeypatch.setattr(padding, "LARGE", least)
        monkeypatch.setattr(border, "LARGE", least)
        for mode in ("constant", "edge", "reflect", "symmetric", "wrap"):
            for x in (random((2, 3, 8, 9)), last(random((2, 3, 8, 9)))):
                y = pad(x.requires_grad_(), ((2, 1), (3, 2)), mode)
                grads.append(torch.autograd.grad(y, x, random(tuple(y.shape), seed=1))[0])
        assert pad(torch.ones(2, 2), 1, constant_values=-0.0).signbit().sum() == 12
    assert all(map(torch.equal, grads[:10], grads[10:]))
    twice = random((1, 2, 4, 5), torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: pad(x, ((1, 2), (2, 0)), constant_values=3.0), twice)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_a_trace_pads_with_torchs_own_operators(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(padding, "LARGE", 0)
    x = random((1, 2, 6, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its tracer deprecated
        traced: Any = torch.jit.trace(lambda t: pad(t, 2, mode), x)  # type: ignore[no-untyped-call]
    other = random((1, 2, 6, 7), seed=1)
    assert torch.equal(traced(other), pad(other, 2, mode))


def test_the_default_device_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "LARGE", 0)
    x = random((1, 2, 6, 7))
    with torch.device("meta"):
        found = {mode: pad(x, 1, mode) for mode in ("constant", "edge")}
    assert all(y.is_cpu and torch.equal(y, pad(x, 1, mode)) for mode, y in found.items())


@pytest.mark.parametrize("large", [False, True])
def test_values_beyond_the_dtype_are_refused(monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    monkeypatch.setattr(padding, "LARGE", 0 if large else 1 << 40)
    with pytest.raises(RuntimeError, match="overflow"):
        pad(random((2, 3), torch.float16), 1, constant_values=1e30)
    assert pad(random((2, 3), torch.float16), 1, constant_values=math.inf).isinf().sum() == 14


def test_long_axes_make_no_long_tables() -> None:
    kernels.spread(torch.zeros(1, 200_000), "edge", ((0, 0), (1, 1)))
    shape, stride = (2, 200_000), (200_000, 1)
    plan = kernels._plan(shape, stride, 4, "edge", ((0, 0), (2, 1)), 0)
    assert plan is not None
    assert sum(table.nbytes for table in plan.kept) < 100
