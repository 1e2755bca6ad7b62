"""`pool` as an operator in graphs: compiled, exported, traced and watched, with every reducer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from support import (
    REGIONS,
    SEED,
    examples,
    inputs_for,
    kernels,
    label,
    last,
    pairs,
    pooling,
    random,
    run_apart,
)
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

import cnnatomy
import cnnatomy.ops
from cnnatomy import Adaptive, Region, Sliding, Whole
from cnnatomy.backends.pooled import curved
from cnnatomy.reducers import REGISTRY, Reducer, reducer

pytestmark = pytest.mark.costly(2)  # each compiles kernels

every_reducer = pytest.mark.parametrize("what", examples(), ids=label)
PAIRS = [pair for pair in pairs(REGIONS, often=8, seldom=24) if not pair.values[0].mixes]
"""Without those that are plain torch: they take long to trace, and have tests of their own."""
everywhere = pytest.mark.parametrize(("what", "region"), PAIRS)


class Net(torch.nn.Module):
    """A pooling of tensors, which a graph can be made of."""

    def __init__(self, what: Reducer, region: Region) -> None:
        super().__init__()
        self.run = pooling(what, region)

    def forward(self, *inputs: Tensor) -> Any:
        """0 where a window has no tap."""
        return self.run(*inputs).nan_to_num(0, 0, 0)


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def same_gradients(ours: Callable[..., Any], theirs: Callable[..., Any], inputs: tuple[Tensor, ...]) -> None:
    """Compare results and, with a random cotangent, gradients."""
    found = []
    for run in (ours, theirs):
        leaves = [tensor.clone().requires_grad_() for tensor in inputs]
        y = run(*leaves)
        found.append((y, *torch.autograd.grad(y, leaves, random(tuple(y.shape), y.dtype, seed=5))))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@everywhere
@pytest.mark.parametrize("dynamic", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_compiled_whole(what: Reducer, region: Region, dynamic: bool) -> None:
    net = Net(what, region)
    compiled = torch.compile(net, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for shape in ((2, 3, 8, 6), (3, 3, 9, 12)):
        same_gradients(compiled, net, inputs_for(what, shape))


@everywhere
def test_exported_for_any_batch(what: Reducer, region: Region) -> None:
    net, inputs = Net(what, region), inputs_for(what, (2, 3, 9, 8))
    batch = torch.export.Dim("batch", min=2, max=64)
    sizes = [{0: batch} if tensor.dim() == 4 else None for tensor in inputs]
    program = torch.export.export(net, inputs, dynamic_shapes={"inputs": tuple(sizes)})
    assert any("cnnatomy.pool" in str(node.target) for node in program.graph.nodes)
    same_gradients(program.module(), net, inputs_for(what, (5, 3, 9, 8), seed=4))


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)  # opcheck, torch 2.14
@pytest.mark.parametrize("what", kernels(), ids=label)
def test_library_operators(what: Reducer) -> None:
    region, ops = Sliding(3, 2, 1), torch.ops.cnnatomy
    seed, inputs = SEED if what.draws else None, inputs_for(what, (2, 3, 6, 5), torch.float64)
    leaves = [tensor.requires_grad_() for tensor in inputs]
    for indices in (False, *([True] if what.selects else [])):
        torch.library.opcheck(ops.pool, (leaves, seed, region.text, what.text, indices))
    y, *saved = ops.pool([tensor.detach() for tensor in inputs], seed, region.text, what.text, False)
    grad = random(tuple(y.shape), torch.float64).requires_grad_()
    held, result = leaves if curved(what) else [], y if "y" in what.reads else None
    torch.library.opcheck(
        ops.pool_backward, (grad, held, result, saved, region.text, what.text, [6, 5], False)
    )
    if what.selects:
        torch.library.opcheck(ops.pool_indices, (saved[0], region.text, [6, 5]))

    def through_library(*tensors: Tensor) -> Any:
        return ops.pool(list(tensors), seed, region.text, what.text, False)[0]

    assert torch.autograd.gradcheck(through_library, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(through_library, leaves, fast_mode=True)


@pytest.mark.parametrize("name", ["l2", "soft", "importance"])
def test_second_derivatives_as_an_operator(name: str) -> None:
    """`opcheck` watches operators in dispatch modes, which the transforms inside of this one must bear."""
    what = reducer(name)
    inputs = inputs_for(what, (2, 3, 6, 5), torch.float64)
    pulls = [random((2, 3, 6, 5), torch.float64, seed=8) for _ in inputs]
    given = (pulls, random((2, 3, 3, 3), torch.float64), list(inputs), Sliding(3, 2, 1).text, what.text)
    torch.library.opcheck(torch.ops.cnnatomy.pool_curve, given)


@every_reducer
def test_forward_mode_on_watched_tensors(what: Reducer) -> None:
    class Marked(Tensor):
        pass

    inputs = inputs_for(what, (1, 3, 6, 6))
    tangents = tuple(random(tuple(tensor.shape), seed=2) for tensor in inputs)
    run = pooling(what, Sliding(3, 2, 1))

    def slopes(*tensors: Tensor) -> Any:
        return torch.func.grad(lambda *t: run(*t).square().sum(), tuple(range(len(tensors))))(*tensors)

    wanted = torch.func.jvp(run, inputs, tangents)[1]
    with FlopCounterMode(display=False):
        torch.testing.assert_close(torch.func.jvp(run, inputs, tangents)[1], wanted)
        watched = slopes(*inputs)
    torch.testing.assert_close(watched, slopes(*inputs))
    marked = tuple(tensor.as_subclass(Marked) for tensor in inputs)
    assert type(run(*marked)) is Marked
    torch.testing.assert_close(torch.func.jvp(run, marked, tangents)[1].as_subclass(Tensor), wanted)


def strides(y: Tensor) -> list[int]:
    """Of the axes that have neighbours."""
    return [stride for size, stride in zip(y.shape, y.stride(), strict=True) if size > 1]


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(what, id=label(what), marks=() if what in map(reducer, REGISTRY) else pytest.mark.slow)
        for what in examples()
    ],
)
def test_meta_tensors_have_the_real_shape_and_format(what: Reducer) -> None:
    for lanes, region in ((False, Sliding(3, 2, 1)), (True, Whole()), (False, REGIONS[-1])):
        inputs = inputs_for(what, (2, 3, 9, 8))
        inputs = tuple(last(tensor) if lanes and tensor.dim() == 4 else tensor for tensor in inputs)
        y = pooling(what, region)(*inputs)
        fake = pooling(what, region)(*(tensor.to("meta") for tensor in inputs))
        assert (y.shape, y.dtype) == (fake.shape, fake.dtype)
        assert strides(y) == strides(fake)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["max", "soft", "median"])
def test_inductor_takes_a_cropped_channels_last_input(what: str) -> None:
    def run(t: Tensor) -> Tensor:
        y: Tensor = cnnatomy.pool(t[:, :, 1:, 1:], what, Adaptive(2))
        return y + 1

    x = last(random((2, 3, 9, 9)))
    same_gradients(torch.compile(run, fullgraph=True), run, (x,))


def test_region_and_reducer_made_inside_a_compiled_function() -> None:
    def run(t: Tensor) -> Tensor:
        y: Tensor = cnnatomy.pool(t, "mean", Sliding(3, 2, "same"))
        return y

    x = random((1, 2, 9, 9))
    torch.testing.assert_close(torch.compile(run, fullgraph=True, backend="aot_eager")(x), run(x))


def test_a_compiled_graph_refuses_forward_mode_rather_than_drop_it() -> None:
    script = """
        import torch, cnnatomy
        def push(a, b):
            return torch.func.jvp(lambda t: cnnatomy.pool(t, "max", cnnatomy.Sliding(2)), (a,), (b,))[1]
        x = torch.rand(1, 1, 6, 6)
        try:
            torch.compile(push, fullgraph=True, backend="eager")(x, x)
        except Exception as error:
            print("would drop the tangents" in str(error))
    """
    assert run_apart(script) == "True"  # a compiler that has failed before may have given up


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
                fake = cnnatomy.pool(mode.from_tensor(x), what, region)
            y = cnnatomy.pool(x, what, region)
            assert (y.shape, y.stride()) == (fake.shape, fake.stride())


@pytest.mark.parametrize("what", ["max", "mean", "soft"])
@pytest.mark.parametrize("region", [Sliding(2), Whole()], ids=str)
def test_gradients_keep_the_memory_format_of_the_input(region: Region, what: str) -> None:
    x = last(random((2, 8, 7, 7))).requires_grad_()
    for run in (cnnatomy.pool, torch.compile(cnnatomy.pool, backend="aot_eager")):
        (grad,) = torch.autograd.grad(run(x, what, region).flatten(1).pow(2).sum(), x)
        assert grad.is_contiguous(memory_format=torch.channels_last)


def test_symbolic_trace_keeps_the_call() -> None:
    class Traced(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = cnnatomy.pool(x, "mean", Sliding(2))
            return y

    traced = torch.fx.symbolic_trace(Traced())
    x = random((1, 1, 4, 4))
    assert torch.equal(traced(x), Traced()(x))
