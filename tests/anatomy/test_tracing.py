"""Recorded passes against the same model run on real tensors."""

from __future__ import annotations

import copy
import subprocess
import sys
import threading
from typing import Any

import pytest
import torch
from anatomy.random_chains import Chain
from anatomy.real_run import Truth, really
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cnnatomy import Mean, Sliding, pool
from cnnatomy.anatomy.record import meta_kernels
from cnnatomy.anatomy.record.graph import Graph
from cnnatomy.anatomy.record.tracing import trace
from cnnatomy.errors import ArgumentError


def results(graph: Graph) -> list[tuple[str, list[tuple[Any, ...]]]]:
    calls = (*graph.calls, *graph.backward)
    return [(str(c.operator), [(v.shape, v.strides, v.dtype) for v in c.outputs]) for c in calls]


def real_or_nothing(model: Chain, backward: bool) -> Truth:
    try:
        return really(model, [model.x], backward=backward, train=backward)
    except (RuntimeError, ValueError):  # a window does not fit, or one value cannot be normalized
        assume(False)
        raise


def check_inference(seed: int) -> int:
    model = Chain(seed)
    truth = real_or_nothing(model, backward=False)
    graph = trace(model, [model.x])
    assert graph.reason is None
    assert results(graph) == truth.calls
    return len(truth.calls)


def check_training(seed: int) -> None:
    model = Chain(seed)
    truth = real_or_nothing(model, backward=True)
    graph = trace(model, [model.x], training=True)
    assert (graph.reason, graph.notes) == (None, ())
    forward, found = len(graph.calls), results(graph)
    assert found[:forward] == truth.calls[:forward]

    def without_strides(calls: Any) -> list[Any]:  # gradients' layouts are oneDNN's to choose
        return [(name, [(shape, dtype) for shape, _, dtype in made]) for name, made in calls]

    assert without_strides(found[forward:]) == without_strides(truth.calls[forward:])


@settings(max_examples=60)
@given(st.integers(0, 10**9))
def test_every_result_has_the_shape_the_strides_and_the_dtype_of_a_real_run(seed: int) -> None:
    check_inference(seed)


@settings(max_examples=30)
@given(st.integers(0, 10**9))
def test_a_training_pass_is_that_of_a_real_run_forward_and_backward(seed: int) -> None:
    check_training(seed)


@pytest.mark.slow
@settings(max_examples=3000)
@given(st.integers(0, 10**9))
def test_every_result_is_that_of_a_real_run_at_length(seed: int) -> None:
    check_inference(seed)
    check_training(seed)


AMBIGUOUS = (
    torch.rand(2, 10, 9, 1).permute(0, 3, 1, 2),  # one channel: either layout
    torch.rand(2, 1, 1, 6).permute(0, 3, 1, 2),  # one cell
    torch.rand(2, 8, 5, 4).to(memory_format=torch.channels_last)[:, 2:6],  # part of a tensor
)
UNARY = [getattr(torch.ops.aten, name).default for name in (*meta_kernels._UNARY, "empty_like", "ones_like")]


@pytest.mark.parametrize("operator", UNARY, ids=str)
def test_quick_answers_about_layouts_that_may_be_read_two_ways_are_the_operators_own(operator: Any) -> None:
    for x in AMBIGUOUS:
        args = (x, 0.1) if "clamp" in str(operator) else (x,)
        told = meta_kernels.answer(operator, args, {})
        assert told is None or told.stride() == operator(*args).stride()


@pytest.mark.parametrize("name", meta_kernels._BINARY)
def test_quick_answers_about_broadcasting_are_the_operators_own(name: str) -> None:
    operator, answered = getattr(torch.ops.aten, name).Tensor, 0
    for x in AMBIGUOUS:
        c, w = x.shape[1], x.shape[3]
        smalls = [torch.rand(shape) for shape in ((), (c, 1, 1), (1, 1, 1, w), (2, c, 1, 1), x.shape)]
        pairs = [(x, 2.0), (x, x)] + [pair for small in smalls for pair in ((x, small), (small, x))]
        for pair in pairs:
            told, real = meta_kernels.answer(operator, pair, {}), operator(*pair)
            assert told is None or (told.shape, told.stride()) == (real.shape, real.stride())
            answered += told is not None
    assert answered >= 10


def test_a_quick_answer_never_lets_a_wrong_shape_pass() -> None:
    aten, x = torch.ops.aten, torch.empty(1, 3, 8, 8, device="meta")
    w = torch.empty(4, 5, 3, 3, device="meta")
    window: tuple[Any, ...] = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
    assert meta_kernels.answer(aten.convolution.default, (x, w, None, *window), {}) is None
    fitting = torch.empty(4, 3, 3, 3, device="meta")
    bias = torch.empty(5, device="meta")
    assert meta_kernels.answer(aten.convolution.default, (x, fitting, bias, *window), {}) is None
    assert meta_kernels.answer(aten.convolution.default, (x, fitting, None, *window), {}).shape == (
        1,
        4,
        6,
        6,
    )
    other = torch.empty(1, 3, 7, 8, device="meta")
    assert meta_kernels.answer(aten.add.Tensor, (x, other), {}) is None
    assert meta_kernels.answer(aten.add_.Tensor, (other, x), {}) is None
    assert meta_kernels.answer(aten.cat.default, ([x, other], 1), {}) is None
    assert meta_kernels.answer(aten.cat.default, ([x, other], 2), {}).shape == (1, 3, 15, 8)
    assert meta_kernels.answer(aten.mm.default, (x[0, 0], x[0, 0, :7]), {}) is None
    assert meta_kernels.answer(aten.max_pool2d_with_indices.default, (x, [2, 2], [2, 2], [2, 2]), {}) is None


COLD = """
import sys, torch
from torch import nn
layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(True), nn.MaxPool2d(2), nn.Conv2d(8, 8, 1, groups=8)]
layers += [nn.SiLU(), nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
from cnnatomy.anatomy.record.tracing import trace
before = set(sys.modules)
assert trace(nn.Sequential(*layers), [torch.empty(1, 3, 32, 32)]).reason is None
assert not {name.split(".")[0] for name in set(sys.modules) - before} & {"sympy", "mpmath"}
assert "torch._dynamo" not in sys.modules and "sympy" not in sys.modules
"""


def test_a_first_pass_imports_neither_sympy_nor_the_compiler() -> None:
    subprocess.run([sys.executable, "-c", COLD], check=True, timeout=300)


class Branching(nn.Module):
    """A module that is called twice, one that raises and is caught, and a nested one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.wrong = nn.Sequential(nn.Linear(5, 4))

    def forward(self, x: Tensor) -> dict[str, Any]:
        x = self.inner(x)
        try:
            self.wrong(x)
        except RuntimeError:
            x = x + 1
        return {"out": self.inner(x), "all": [x, (x, 3)]}


def test_the_stack_of_modules_is_right_when_one_raises_and_is_caught() -> None:
    graph = trace(Branching(), [torch.randn(2, 4)])
    assert graph.reason is None
    visits = [(v.path, v.nth, v.parent, v.stop >= 0) for v in graph.visits]
    inner = [("inner", 1, 0, True), ("inner.0", 1, 1, True), ("inner.1", 1, 1, True)]
    wrong = [("wrong", 1, 0, False), ("wrong.0", 1, 4, False)]
    again = [("inner", 2, 0, True), ("inner.0", 2, 6, True), ("inner.1", 2, 6, True)]
    assert visits == [("", 1, None, True), *inner, *wrong, *again]
    added = next(call for call in graph.calls if call.name == "aten.add")
    assert graph.visits[added.visit].path == ""
    assert list(graph.outputs) == ["out", "all.0", "all.1.0"]


def test_backward_calls_stand_in_the_visits_of_the_layers_that_they_differentiate() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Sequential(nn.Conv2d(2, 2, 3, groups=2)))
    graph = trace(model, [torch.randn(1, 1, 9, 9)], training=True)
    found = [(call.name, graph.visits[call.visit].path) for call in graph.backward if "backward" in call.name]
    conv = "aten.convolution_backward"
    assert found == [(conv, "2.0"), ("aten.tanh_backward", "1"), (conv, "0")]


def test_views_share_their_storage_and_writes_through_them_are_seen() -> None:
    class Writing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x.new_zeros(4, 4)
            y[1:3] = x[:2]
            return y.t()

    graph = trace(Writing(), [torch.randn(2, 4)])
    copied = next(call for call in graph.calls if call.name == "aten.copy_")
    written, out = copied.written()[0], graph.outputs[""]
    assert (written.storage, written.offset, written.shape) == (out.storage, 4, (2, 4))
    assert out.strides == (1, 4)


def test_tensors_that_the_model_makes_itself_have_no_memory_and_keep_their_aliases() -> None:
    table = torch.randn(3, 4)
    first, third = table[0], table[2]

    class Making(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            huge = torch.zeros(10**7, 10**5, device="cpu")
            return x + huge[:1, :4] + first + third + torch.tensor([1.0, 2, 3, 4])

    graph = trace(Making(), [torch.randn(1, 4)])
    assert graph.reason is None
    assert graph.outputs[""].shape == (1, 4)
    seconds = [call.inputs[1] for call in graph.calls if call.name == "aten.add"]
    assert seconds[1].storage == seconds[2].storage
    assert seconds[2].offset == 8


def test_our_own_operators_stand_in_the_stream_with_their_region_and_reducer() -> None:
    class Pooling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return pool(x, Mean(), Sliding(2))  # type: ignore[no-any-return]

    for training in (False, True):
        net = nn.Sequential(nn.Conv2d(1, 2, 3), Pooling())
        graph = trace(net, [torch.randn(1, 1, 8, 8)], training=training)
        (call,) = [call for call in graph.calls if call.name == "cnnatomy.pool"]
        assert call.argument("reducer").startswith("Mean(")
        assert call.outputs[0].shape == (1, 2, 3, 3)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 2, 3)),
            (1, 3, 9, 9),
            r"layer '0' \(Conv2d, in_channels=1\) cannot take 1×3×9×9",
        ),
        (nn.Conv2d(1, 2, 5), (1, 1, 3, 3), r"the model \(Conv2d, in_channels=1\) cannot take 1×1×3×3"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(9, 2)),
            (1, 2, 4),
            r"layer '1' \(Linear, in_features=9\) .* 1×8",
        ),
        (nn.Embedding(9, 2), (1, 4), r"\(Embedding, num_embeddings=9\).*; try dtype=torch.int64"),
    ],
)
def test_what_does_not_fit_is_an_error_naming_the_layer(model: nn.Module, shape: Any, message: str) -> None:
    for training in (False, True):
        with pytest.raises(ArgumentError, match=message):
            trace(model, [torch.randn(shape)], training=training)


def test_a_training_pass_that_cannot_train_runs_in_evaluation_mode_and_says_so() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    graph = trace(model, [torch.randn(1, 1, 3, 3)], training=True)
    assert graph.reason is None
    assert "evaluation mode: " in graph.notes[0]
    assert "more than 1 value per channel" in graph.notes[0]


def test_passes_in_several_threads_do_not_mix() -> None:
    models = [nn.Sequential(*(nn.Linear(n, n) for _ in range(30))) for n in range(2, 8)]
    alone = [results(trace(model, [torch.randn(1, n)])) for n, model in enumerate(models, 2)]
    found: dict[int, Any] = {}

    def run(n: int) -> None:
        found[n] = results(trace(copy.deepcopy(models[n - 2]), [torch.randn(1, n)]))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(2, 8)] == alone
    assert torch.backends.mha.get_fastpath_enabled()
