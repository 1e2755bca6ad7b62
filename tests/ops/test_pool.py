"""`pool` as an operator: derivatives of every order and mode, transforms, compilers, exporters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import torch
from support import last, random
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

import cnnatomy
import cnnatomy.ops
from cnnatomy import Adaptive, Region, Sliding, Whole
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import REGISTRY, Reducer

REGIONS: list[Region] = [Sliding(2), Sliding(3, 2, 1), Sliding(2, 1, 2, 2), Adaptive(3), Whole()]
every_reducer = pytest.mark.parametrize("what", [REGISTRY[name]() for name in sorted(REGISTRY)], ids=str)
every_region = pytest.mark.parametrize("region", REGIONS, ids=str)


def distinct(*shape: int) -> Tensor:
    """Random float64 values without ties, so that finite differences see no kink."""
    order = torch.randperm(math.prod(shape), generator=torch.Generator().manual_seed(3))
    return order.view(shape).double() / 7


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@every_reducer
@every_region
def test_derivatives(what: Reducer, region: Region) -> None:
    x = distinct(2, 2, 6, 5).requires_grad_()

    def run(t: Tensor) -> Tensor:
        y: Tensor = cnnatomy.pool(t, region, what)
        return torch.where(y.isfinite(), y, 0)  # windows wholly in the padding

    assert torch.autograd.gradcheck(run, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, x)


@every_reducer
@every_region
def test_function_transforms(what: Reducer, region: Region) -> None:
    x = distinct(3, 2, 6, 5)

    def run(t: Tensor) -> Tensor:
        return torch.nan_to_num(cnnatomy.pool(t, region, what), 0, 0, 0)

    def cost(t: Tensor) -> Tensor:
        return (run(t) ** 3).sum()

    leaf = x.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(cost(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(cost)(x), wanted)
    torch.testing.assert_close(torch.func.jacfwd(cost)(x), wanted)
    torch.testing.assert_close(torch.func.jacfwd(run)(x), torch.func.jacrev(run)(x))
    torch.testing.assert_close(torch.vmap(run, in_dims=1)(x.unsqueeze(1)), run(x).unsqueeze(0))
    each = torch.vmap(torch.func.grad(cost))(x.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(each, wanted)
    hessian = torch.func.hessian(cost)(x[:1, :1])
    assert hessian.shape == (1, 1, 6, 5, 1, 1, 6, 5)
    assert bool(hessian.isfinite().all())


@every_reducer
@every_region
def test_library_operators(what: Reducer, region: Region) -> None:
    x = distinct(2, 3, 6, 5).requires_grad_()
    torch.library.opcheck(torch.ops.cnnatomy.pool, (x, region.text, what.text))
    y, saved = torch.ops.cnnatomy.pool(x.detach(), region.text, what.text)
    grad = random(tuple(y.shape), torch.float64).requires_grad_()
    torch.library.opcheck(
        torch.ops.cnnatomy.pool_backward, (grad, saved, region.text, what.text, [6, 5], False)
    )
    if what.selects:
        torch.library.opcheck(torch.ops.cnnatomy.pool_indices, (saved, region.text, [6, 5]))

    def through_library(t: Tensor) -> Tensor:
        out: Tensor = torch.ops.cnnatomy.pool(t, region.text, what.text)[0]
        return torch.where(out.isfinite(), out, 0)

    assert torch.autograd.gradgradcheck(through_library, x)


@every_reducer
@every_region
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_whole(what: Reducer, region: Region, dynamic: bool) -> None:
    def run(t: Tensor) -> Tensor:
        return torch.nan_to_num(cnnatomy.pool(t.sin(), region, what), 0, 0, 0)

    compiled = torch.compile(run, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for size in ((2, 3, 8, 6), (1, 3, 9, 12)):
        x, again = (random(size).requires_grad_() for _ in range(2))
        y, wanted = compiled(x), run(again)
        torch.testing.assert_close(y, wanted)
        grad = random(tuple(y.shape), seed=5)
        torch.autograd.backward((y, wanted), (grad, grad))
        torch.testing.assert_close(x.grad, again.grad)


def test_region_and_reducer_made_inside_a_compiled_function() -> None:
    def run(t: Tensor) -> Tensor:
        y: Tensor = cnnatomy.pool(t, Sliding(3, 2, "same"), "mean")
        return y

    x = random((1, 2, 9, 9))
    torch.testing.assert_close(torch.compile(run, fullgraph=True, backend="aot_eager")(x), run(x))


@every_region
def test_exported(region: Region) -> None:
    class Net(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = cnnatomy.pool(x, region, "max")
            return y

    x = random((2, 3, 12, 12))
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(Net(), (x,), dynamic_shapes={"x": {0: batch}})
    assert any("cnnatomy.pool" in str(node.target) for node in program.graph.nodes)
    wider = random((5, 3, 12, 12))
    torch.testing.assert_close(program.module()(wider), Net()(wider), equal_nan=True)


@every_region
def test_indices_point_at_the_values(region: Region) -> None:
    x = random((2, 3, 9, 8), ties=True)
    y, indices = cnnatomy.pool(x, region, "max", return_indices=True)
    picked = x.flatten(2).gather(2, indices.clamp(min=0).flatten(2)).view(y.shape)
    assert torch.equal(torch.where(indices < 0, -math.inf, picked), y)
    meta_y, meta_indices = cnnatomy.pool(x.to("meta"), region, "max", return_indices=True)
    assert (meta_y.shape, meta_indices.shape) == (y.shape, indices.shape)
    assert meta_indices.dtype == torch.int64


def test_meta_tensors_have_the_real_shape_and_format() -> None:
    for make in (lambda x: x, last):
        x = make(random((2, 3, 9, 8)))
        for region in REGIONS:
            y, fake = cnnatomy.pool(x, region, "mean"), cnnatomy.pool(x.to("meta"), region, "mean")
            assert (y.shape, y.stride()) == (fake.shape, fake.stride())


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8], ids=str)
def test_integers_take_the_reference(dtype: torch.dtype) -> None:
    x = torch.randint(0, 100, (1, 2, 8, 8), generator=torch.Generator().manual_seed(0)).to(dtype)
    y = cnnatomy.pool(x, Sliding(3, 2, 1), "max")
    assert y.dtype == dtype
    assert torch.equal(y.double(), cnnatomy.pool(x.double(), Sliding(3, 2, 1), "max"))


def test_backward_saves_one_byte_per_output_and_not_the_input() -> None:
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    x = random((2, 4, 16, 16)).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = cnnatomy.pool(x, Sliding(2), "max")
        cnnatomy.pool(x, Sliding(2), "mean")
    assert [t.numel() * t.element_size() for t in saved] == [y.numel()]


@every_reducer
def test_a_graph_captured_without_gradients_runs_with_them(what: Reducer) -> None:
    class Net(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = cnnatomy.pool(x, Sliding(3, 2, 1), what)
            return y

    plain = random((1, 2, 7, 7))
    captured = torch.export.export(Net(), (plain,)).module()
    x, again = (random((1, 2, 7, 7), seed=4).requires_grad_() for _ in range(2))
    captured(x).square().sum().backward()
    torch.autograd.backward(Net()(again).square().sum())
    torch.testing.assert_close(x.grad, again.grad)


@every_reducer
def test_forward_mode_on_watched_tensors(what: Reducer) -> None:
    class Marked(Tensor):
        pass

    x, tangent = random((1, 2, 6, 6)), random((1, 2, 6, 6), seed=2)

    def run(t: Tensor) -> Tensor:
        y: Tensor = cnnatomy.pool(t, Sliding(3, 2, 1), what)
        return y

    wanted = torch.func.jvp(run, (x,), (tangent,))[1]
    with FlopCounterMode(display=False):
        watched = torch.func.jvp(run, (x,), (tangent,))[1]
        gradient = torch.func.grad(lambda t: run(t).square().sum())(x)
    torch.testing.assert_close(watched, wanted)
    torch.testing.assert_close(gradient, torch.func.grad(lambda t: run(t).square().sum())(x))
    marked = torch.func.jvp(run, (x.as_subclass(Marked),), (tangent,))[1]
    torch.testing.assert_close(marked.as_subclass(Tensor), wanted)


def test_a_compiled_graph_refuses_forward_mode_rather_than_drop_it() -> None:
    x, tangent = random((1, 1, 6, 6)), random((1, 1, 6, 6), seed=2)

    def push(a: Tensor, b: Tensor) -> Any:
        return torch.func.jvp(lambda t: cnnatomy.pool(t, Sliding(2)), (a,), (b,))[1]

    with pytest.raises(Exception, match="would drop the tangents"):
        torch.compile(push, fullgraph=True, backend="eager")(x, tangent)


CUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "crop": lambda x: x[:, :, 1:, 1:],
    "channels": lambda x: x[:, :3],
    "one channel": lambda x: x[:, :1],
    "one cell": lambda x: x[:, :, :1, :1],
    "step": lambda x: x[:, :, ::2],
    "expand": lambda x: x[:1].expand(3, -1, -1, -1),
    "transpose": lambda x: x.transpose(2, 3),
}


@pytest.mark.parametrize("cut", list(CUTS))
@pytest.mark.parametrize("make", [lambda x: x, last], ids=["contiguous", "channels_last"])
def test_shape_and_strides_are_foretold(cut: str, make: Callable[[Tensor], Tensor]) -> None:
    x = CUTS[cut](make(random((2, 6, 9, 9))))
    for what in ("max", "mean"):
        for region in (Adaptive(1), Adaptive(2)):
            with FakeTensorMode() as mode:
                fake = cnnatomy.pool(mode.from_tensor(x), region, what)
            y = cnnatomy.pool(x, region, what)
            assert (y.shape, y.stride()) == (fake.shape, fake.stride())


def test_gradients_keep_the_memory_format_of_the_input() -> None:
    for what in ("max", "mean"):
        for region in (Sliding(2), Whole()):
            x = last(random((2, 8, 7, 7))).requires_grad_()
            for run in (cnnatomy.pool, torch.compile(cnnatomy.pool, backend="aot_eager")):
                (grad,) = torch.autograd.grad(run(x, region, what).flatten(1).pow(2).sum(), x)
                assert grad.is_contiguous(memory_format=torch.channels_last)


def test_inductor_takes_a_cropped_channels_last_input() -> None:
    def run(t: Tensor) -> Tensor:
        y: Tensor = cnnatomy.pool(t[:, :, 1:, 1:], Adaptive(2), "max")
        return y + 1

    x = last(random((2, 3, 9, 9)))
    torch.testing.assert_close(torch.compile(run, fullgraph=True)(x), run(x))


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64, torch.float8_e5m2], ids=str)
def test_other_dtypes_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ArgumentError, match="no pooling of this dtype"):
        cnnatomy.pool(torch.ones(1, 1, 4, 4).to(dtype), Sliding(2))


def test_large_integers_are_averaged_exactly() -> None:
    x = torch.full((1, 1, 4), 2**40 + 1)
    assert cnnatomy.pool(x, Sliding(2), "mean").tolist() == [[[2**40 + 1] * 2]]


def test_watched_tensors_go_through_the_library() -> None:
    x = random((1, 1, 4, 4))
    with FlopCounterMode(display=False):
        assert torch.equal(cnnatomy.pool(x, Sliding(2)), torch.nn.functional.max_pool2d(x, 2))

    class Marked(Tensor):
        pass

    marked = x.as_subclass(Marked)
    assert type(cnnatomy.pool(marked, Sliding(2))) is Marked


def test_symbolic_trace_keeps_the_call() -> None:
    class Net(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = cnnatomy.pool(x, Sliding(2), "mean")
            return y

    traced = torch.fx.symbolic_trace(Net())
    x = random((1, 1, 4, 4))
    assert torch.equal(traced(x), Net()(x))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: cnnatomy.pool(random((4,)), Sliding(2)), "spatial axes"),
        (lambda: cnnatomy.pool(cast(Any, [1.0]), Sliding(2)), "a torch.Tensor, got list"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), cast(Any, 2)), r"try Sliding\(2\)"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), cast(Any, "max"), cast(Any, Sliding(2))), "no region"),
        (lambda: cnnatomy.pool(random((1, 1, 2, 2, 2, 2)), Sliding(2)), "spatial axes"),
        (lambda: cnnatomy.pool(random((4, 4)), Sliding(2), rank=2), "axes, got shape"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), Sliding(2), "mean", return_indices=True), "selects"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), Sliding(5)), "window|fit|large"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), Sliding(0)), "kernel"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), Sliding(2, padding=cast(Any, "sane"))), "same"),
        (lambda: cnnatomy.pool(random((1, 1, 4, 4)), Sliding(2), "maximum"), "no such pooling"),
    ],
)
def test_errors_say_what_is_wrong(call: Callable[[], Tensor], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        call()
