"""Convolution against torch, against a sum written out in NumPy, and under the ways a graph is made."""

from __future__ import annotations

import importlib.util
import math
import sys
import types
import unittest
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import close, last, random
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import resolve
from cnnatomy.ops import convolution
from cnnatomy.ops.convolution import convolve
from cnnatomy.ops.transposed import convolve_transposed

NUMPY = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}
OURS: dict[str, Callable[..., Tensor]] = {
    **{f"nn.functional.conv{rank}d": convolve for rank in (1, 2, 3)},
    **{f"nn.functional.conv_transpose{rank}d": convolve_transposed for rank in (1, 2, 3)},
}


def written_out(
    x: np.ndarray[Any, Any], weight: np.ndarray[Any, Any], stride: int, pair: tuple[int, int], dilation: int
) -> np.ndarray[Any, Any]:
    """One channel of one axis, tap by tap: y[t] = sum over j of weight[j] * x[t * s - before + j * d]."""
    outputs = (len(x) + sum(pair) - (len(weight) - 1) * dilation - 1) // stride + 1
    cells = np.concatenate([np.zeros(pair[0]), x, np.zeros(pair[1])])
    ends = [j * dilation + (outputs - 1) * stride + 1 for j in range(len(weight))]
    taps = [tap * cells[j * dilation : ends[j] : stride] for j, tap in enumerate(weight)]
    return np.asarray(sum(taps))


def by_the_book(x: Tensor, weight: Tensor, mode: str, pairs: Any, **options: Any) -> Tensor:
    """Pad with NumPy, then convolve with torch without padding."""
    like_numpy: Any = NUMPY.get(mode, mode)
    padded = np.pad(x.numpy(), [(0, 0), (0, 0), *pairs], mode=like_numpy)
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[x.dim() - 2]
    return function(torch.from_numpy(padded), weight, **options)


def samples(name: str) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """torch's own sample inputs of an operator."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        if importlib.util.find_spec("expecttest") is None:  # torch's test classes derive from its one class
            stand_in: Any = types.ModuleType("expecttest")
            stand_in.TestCase = unittest.TestCase
            patch.setitem(sys.modules, "expecttest", stand_in)
        methods = pytest.importorskip("torch.testing._internal.common_methods_invocations")
    [entry] = [entry for entry in methods.op_db if entry.name == name]
    for dtype in (torch.float32, torch.complex128):
        if dtype in entry.dtypes:
            for sample in entry.sample_inputs("cpu", dtype, requires_grad=True):
                yield (sample.input, *sample.args), sample.kwargs


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's advice to itself
@pytest.mark.parametrize("name", OURS)
def test_equals_torch_on_its_own_sample_inputs_to_the_bit(name: str) -> None:
    theirs = getattr(F, name.rsplit(".", 1)[1])
    count = 0
    for args, options in samples(name):
        inputs = [arg for arg in args if isinstance(arg, Tensor) and arg.requires_grad]
        y, truth = OURS[name](*args, **options), theirs(*args, **options)
        assert torch.equal(y, truth)
        cotangent = torch.randn_like(truth)
        grads = torch.autograd.grad(y, inputs, cotangent), torch.autograd.grad(truth, inputs, cotangent)
        assert all(torch.equal(ours, torchs) for ours, torchs in zip(*grads, strict=True))
        count += 1
    assert count > 10


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "size", "pair"),
    [
        (5, 3, 2, 3, (1, 1)),
        (6, 3, 2, 3, (0, 1)),
        (13, 6, 5, 3, (1, 2)),
        (7, 1, 2, 4, (0, 0)),
        (4, 2, 1, 4, (0, 1)),
    ],
)
def test_same_is_tensorflows_rule(n: int, kernel: int, stride: int, size: int, pair: tuple[int, int]) -> None:
    """Known values: (13, 6, 5) is the example that TensorFlow's documentation of padding works through."""
    x, weight = random((1, 1, n), torch.float64), random((1, 1, kernel), torch.float64, seed=1)
    y = convolve(x, weight, stride=stride, padding="same")
    assert resolve("same", n, kernel, stride) == pair
    assert y.shape[-1] == size
    close(y, F.conv1d(F.pad(x, pair), weight, stride=stride))


@pytest.mark.parametrize(
    "sizes",
    [(1, 2, 3, 5, 6, 13, 30, 64), pytest.param(range(1, 65), marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def test_same_equals_the_definition_written_out(sizes: Sequence[int]) -> None:
    wrong = count = 0
    for stride, kernel, dilation in product(range(1, 5), range(1, 8), range(1, 4)):
        weight = random((1, 1, kernel), torch.float64, seed=kernel)
        for n in sizes:
            x = random((1, 1, n), torch.float64, seed=n)
            size = math.ceil(n / stride)
            total = max((size - 1) * stride + (kernel - 1) * dilation + 1 - n, 0)
            pair = total // 2, total - total // 2
            truth = written_out(x.flatten().numpy(), weight.flatten().numpy(), stride, pair, dilation)
            y = convolve(x, weight, stride=stride, padding="same", dilation=dilation).flatten().numpy()
            wrong += not (y.shape == truth.shape == (size,) and np.allclose(y, truth, rtol=1e-12, atol=1e-12))
            count += 1
    assert (wrong, count) == (0, 4 * 7 * 3 * len(sizes))


PAIRS = st.tuples(st.integers(0, 5), st.integers(0, 5))


@given(
    st.integers(1, 3),
    st.integers(0, 10**6),
    st.lists(
        st.tuples(st.integers(3, 9), st.integers(1, 3), st.integers(1, 4), PAIRS), min_size=3, max_size=3
    ),
    st.sampled_from([1, 2]),
)
def test_widths_of_zeros_may_differ_on_every_axis(rank: int, seed: int, axes: Any, groups: int) -> None:
    sizes, kernel, stride, pairs = (list(values) for values in zip(*axes[:rank], strict=True))
    x = random((2, 4, *sizes), torch.float64, seed).requires_grad_()
    weight = random((6, 4 // groups, *kernel), torch.float64, seed + 1).requires_grad_()
    y = convolve(x, weight, None, stride, pairs, groups=groups)
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[rank]
    flat = [width for pair in reversed(pairs) for width in pair]
    truth = function(F.pad(x, flat), weight, stride=stride, groups=groups)
    close(y, truth)
    cotangent = torch.randn_like(truth)
    for ours, theirs in zip(
        torch.autograd.grad(y, [x, weight], cotangent),
        torch.autograd.grad(truth, [x, weight], cotangent),
        strict=True,
    ):
        close(ours, theirs, sums=10)


def test_a_border_that_no_window_reads_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = random((1, 1, 6)), random((1, 1, 3))
    expected = F.conv1d(F.pad(x, (1, 0)), weight, stride=2)
    monkeypatch.setattr(F, "pad", None)
    assert torch.equal(convolve(x, weight, stride=2, padding=((1, 0),)), expected)
    assert torch.equal(
        convolve(x[..., :-1], weight, stride=2, padding=((0, 1),)), F.conv1d(x[..., :-1], weight, stride=2)
    )


MODES = [
    "replicate",
    "reflect",
    "circular",
    "symmetric",
    "edge",
    "wrap",
    "linear_ramp",
    "mean",
    "maximum",
    "median",
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_every_mode_equals_numpys_padding_and_a_convolution(mode: str, rank: int) -> None:
    pairs = [(1, 2), (0, 1), (2, 0)][:rank]
    x, weight = random((2, 3, *(5, 4, 6)[:rank]), torch.float64), random((4, 3, *(3,) * rank), torch.float64)
    truth = by_the_book(x, weight, mode, pairs, stride=2)
    close(convolve(x, weight, stride=2, padding=pairs, padding_mode=mode), truth)


@pytest.mark.parametrize("format", ["contiguous", "channels_last"])
def test_a_large_batch_goes_in_pieces_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    x, weight, bias = random((7, 3, 9, 8)), random((4, 3, 3, 3)), random((4,))
    x = last(x) if format == "channels_last" else x
    whole = convolve(x, weight, bias, padding="same", padding_mode="reflect")
    monkeypatch.setattr(convolution, "PIECE", 2 * x[0].numel() * 4)
    pieces: list[Tensor] = []
    inner = convolution._in_pieces

    def watched(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        pieces.append(inner(x, function))
        return pieces[-1]

    monkeypatch.setattr(convolution, "_in_pieces", watched)
    y = convolve(x, weight, bias, padding="same", padding_mode="reflect")
    assert y is pieces[0]
    assert y.stride() == whole.stride()
    close(y, whole)
    convolve(x, weight.requires_grad_(), bias, padding="same", padding_mode="reflect")
    assert len(pieces) == 1


@given(
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 3),
)
def test_transposed_to_any_size_is_the_gradient_of_the_convolution(
    n: int, kernel: int, stride: int, dilation: int, before: int, after: int, extra: int
) -> None:
    """The transpose takes an output's gradient to its input's, whatever the widths and the wanted size."""
    size = (n - 1) * stride + (kernel - 1) * dilation + 1 - before - after + extra
    if size < 1 or extra >= stride:
        return
    weight, y = random((3, 2, kernel), torch.float64), random((2, 3, n), torch.float64, seed=1)
    x = torch.zeros(2, 2, size, dtype=torch.float64, requires_grad=True)
    [truth] = torch.autograd.grad(convolve(x, weight, None, stride, ((before, after),), dilation), x, y)
    options: dict[str, Any] = {"stride": stride, "padding": ((before, after),), "dilation": dilation}
    close(convolve_transposed(y, weight, **options, output_size=size), truth)
    close(convolve_transposed(y, weight, **options, output_padding=extra), truth)
    close(convolve_transposed(y, weight, **options, output_size=(2, 2, size)), truth)


@pytest.mark.parametrize("rule", ["valid", "same", "keep", "full", "causal"])
def test_transposed_under_a_rule_is_the_gradient_of_the_convolution_under_it(rule: Any) -> None:
    for n, kernel, stride, dilation in product(range(2, 7), range(1, 5), range(1, 4), range(1, 3)):
        weight, y = random((3, 2, kernel), torch.float64), random((1, 3, n), torch.float64, seed=n)
        span = (kernel - 1) * dilation + 1
        sizes = {
            "same": n * stride,
            "keep": n,
            "valid": (n - 1) * stride + span,
            "full": (n - 1) * stride - span + 2,
            "causal": (n - 1) * stride + 1,
        }
        if sizes[rule] < 1:
            continue
        x = torch.zeros(1, 2, sizes[rule], dtype=torch.float64, requires_grad=True)
        [truth] = torch.autograd.grad(convolve(x, weight, None, stride, rule, dilation), x, y)
        close(convolve_transposed(y, weight, None, stride, rule, 0, 1, dilation), truth)


def test_second_derivatives_in_both_modes() -> None:
    x, weight = (
        random((1, 1, 3, 4), torch.float64).requires_grad_(),
        random((1, 1, 2, 3), torch.float64).requires_grad_(),
    )
    cases: list[tuple[str, Any]] = [("zeros", ((0, 1), (2, 1))), ("reflect", "same"), ("mean", 1)]
    for mode, padding in cases:

        def function(x: Tensor, weight: Tensor, mode: str = mode, padding: Any = padding) -> Tensor:
            return convolve(x, weight, stride=2, padding=padding, padding_mode=mode).tanh()

        assert torch.autograd.gradcheck(function, (x, weight), check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, (x, weight))


WAYS: list[dict[str, Any]] = [
    {"padding": 1},
    {"padding": "same", "stride": 2},
    {"padding": ((0, 1), (1, 0)), "stride": 2},
    {"padding": "same", "padding_mode": "replicate", "stride": 2},
    {"padding": ((2, 1), "keep"), "padding_mode": "reflect"},
]


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_compiles_exports_and_transforms(options: dict[str, Any]) -> None:
    x, weight, bias = random((3, 2, 7, 8)), random((4, 2, 3, 3)), random((4,))

    class Layer(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return convolve(x, weight, bias, **options)

    truth = convolve(x, weight, bias, **options)
    close(torch.compile(Layer(), fullgraph=True, backend="aot_eager")(x), truth)
    batch = torch.export.Dim("batch", min=2, max=64)
    exported = torch.export.export(Layer(), (x,), dynamic_shapes=({0: batch},)).module()
    close(exported(torch.cat([x, x])), torch.cat([truth, truth]))
    close(torch.func.vmap(Layer())(torch.stack([x, x + 1])), torch.stack([truth, Layer()(x + 1)]))
    mapped = torch.func.vmap(lambda w: convolve(x, w, bias, **options))(torch.stack([weight, weight * 2]))
    close(mapped[1], convolve(x, weight * 2, bias, **options))
    _, tangent = torch.func.jvp(Layer(), (x,), (x,))  # type: ignore[misc]
    close(tangent, truth - bias.view(-1, 1, 1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", WAYS, ids=str)
def test_dtypes_formats_autocast_and_empty_batches(dtype: torch.dtype, options: dict[str, Any]) -> None:
    x, weight = random((2, 3, 8, 7), dtype), random((4, 3, 3, 3), dtype, seed=1)
    truth = convolve(x.double(), weight.double(), **options)
    y = convolve(x, weight, **options)
    assert y.dtype == dtype
    close(y, truth, sums=4)
    strided = convolve(last(x), weight, **options)
    assert strided.is_contiguous(memory_format=torch.channels_last)
    close(strided, truth, sums=4)
    close(convolve(x[0], weight, **options), truth[0], sums=4)
    assert convolve(x[:0], weight, **options).shape == (0, *truth.shape[1:])
    if dtype == torch.bfloat16:
        with torch.autocast("cpu", dtype):
            assert convolve(x.float(), weight.float(), **options).dtype == dtype


@pytest.mark.parametrize("rule", ["same", ((1, 2), (0, 1))], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_transposed_compiles_exports_maps_and_keeps_the_format(rule: Any, dtype: torch.dtype) -> None:
    x, weight = random((2, 3, 5, 4), dtype), random((3, 2, 3, 3), dtype, seed=1)

    class Layer(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return convolve_transposed(x, weight, stride=2, padding=rule)

    truth = convolve_transposed(x.double(), weight.double(), stride=2, padding=rule)
    close(Layer()(x), truth, sums=4)
    close(Layer()(last(x)), truth, sums=4)
    close(torch.compile(Layer(), fullgraph=True, backend="aot_eager")(x), truth, sums=4)
    exported = torch.export.export(Layer(), (x,), dynamic_shapes=({0: torch.export.Dim("n", min=2, max=9)},))
    close(exported.module()(torch.cat([x, x]))[:2], truth, sums=4)
    close(torch.func.vmap(Layer())(x[:, None])[:, 0], truth, sums=4)


def test_sizes_may_be_symbolic() -> None:
    weight = random((2, 2, 3, 3))

    class Layer(torch.nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return convolve(x, weight, padding="same", stride=2), convolve(
                x, weight, padding=((2, 1), (0, 1))
            )

    wide = torch.export.Dim("wide", min=4, max=64)
    exported = torch.export.export(Layer(), (random((1, 2, 8, 9)),), dynamic_shapes=({3: wide},)).module()
    for n in (5, 6, 9, 20):
        x = random((1, 2, 8, n))
        for ours, theirs in zip(exported(x), Layer()(x), strict=True):
            close(ours, theirs)


X, W = torch.zeros(1, 4, 5, 5), torch.zeros(6, 4, 3, 3)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((torch.zeros(1, 3, 5, 5), W), {}, "channels of the input do not fit the weight: expected 4, got 3"),
        ((X, W), {"groups": 2}, "channels of the input do not fit the weight: expected 8, got 4"),
        ((X, W), {"groups": 4}, "groups do not divide the channels: expected a divisor of 6, got 4"),
        ((X, W), {"groups": 0}, "groups is out of range"),
        ((X[0, 0], W), {}, r"convolution wants \(N, C, \*spatial\): expected a tensor of 4 axes, or 3"),
        ((X[None], W), {"padding": "same"}, r"convolution wants \(N, C, \*spatial\)"),
        (([1.0], W), {}, "got list"),
        ((X, W[0, 0]), {}, "this is no weight of a convolution"),
        ((X, W, torch.zeros(4)), {}, "the bias does not fit the weight: expected 6 values"),
        ((X, torch.zeros(6, 4, 9, 3)), {"padding": 1}, "window"),
        ((X, torch.zeros(6, 4, 9, 3)), {"padding": ((1, 2), 0)}, "window"),
        ((X, W), {"padding": "sane"}, "padding 'sane' is unknown: .* try 'same'"),
        ((X, W), {"padding": -1}, "padding is out of range"),
        ((X, W), {"padding": (1, 2, 3)}, "padding has the wrong length"),
        ((X, W), {"padding_mode": "reflct"}, "padding_mode 'reflct' is unknown: .* try 'reflect'"),
        ((X, W), {"padding_mode": 3}, "padding_mode 3 is unknown"),
        ((X, W), {"stride": 0}, "stride is out of range"),
        ((X, W), {"stride": (1, 2, 3)}, "stride has the wrong length"),
        ((X, W), {"dilation": 1.5}, "dilation is not a whole number"),
    ],
)
def test_what_cannot_be_convolved_says_why(args: Any, options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        convolve(*args, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"output_size": 14, "stride": 2},
            "no output_padding makes 5 cells into 14: expected 11 .. 12, got 14",
        ),
        ({"output_size": (1, 2, 3)}, "output_size has the wrong length"),
        ({"output_padding": 2, "stride": 2}, "output_padding is too large: expected 0 .. 1, got 2"),
        ({"output_padding": 1, "stride": 2, "padding": "same"}, "padding 'same' says the size"),
        ({"padding": 4}, "leaves nothing of the transposed output"),
        ({"groups": 4}, "groups do not divide the channels: expected a divisor of 6, got 4"),
        ({"bias": torch.zeros(5)}, "the bias does not fit the weight: expected 4 values"),
    ],
)
def test_what_cannot_be_transposed_says_why(options: Any, message: str) -> None:
    x = torch.zeros(1, 6, 5, 5)
    with pytest.raises(ArgumentError, match=message):
        convolve_transposed(x, W, **options)
