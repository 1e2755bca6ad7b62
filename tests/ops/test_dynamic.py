"""Every module and function in graphs of open sizes: compiled once for all, and recorded with symbols."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import modules as examples
import pytest
import torch
from support import random
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

pytestmark = pytest.mark.costly(3)  # each traces a graph


def _itself(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


CALLS: dict[str, tuple[Callable[[], Any], tuple[Any, ...]]] = {
    **{name: (make, examples.given(name)) for name, make in examples.modules().items()},
    **{
        name: (partial(_itself, function), (examples.x().abs(),))
        for name, function in examples.functions().items()
    },
}
FIXED = [name for name in CALLS if "Boxes" in name or "RoIPool" in name or "covariance" in name]
"""Boxes and moments are laid out for the size at hand."""


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def test_there_are_many() -> None:
    assert len(CALLS) > 150


@pytest.mark.parametrize("name", [name for name in CALLS if not name.startswith("RoIPool")])
def test_compiled_for_open_sizes(name: str) -> None:
    make, args = CALLS[name]
    call, graphs = make(), list[GraphModule]()
    call = call.eval() if isinstance(call, torch.nn.Module) else call

    def backend(graph: GraphModule, _: Any) -> GraphModule:
        graphs.append(graph)
        return graph

    def run(*given: Tensor) -> Any:
        return call(*given)

    compiled: Any = torch.compile(run, fullgraph=True, dynamic=True, backend=backend)
    torch.testing.assert_close(compiled(*args), call(*args), equal_nan=True)
    if len(args) == 1 and args[0].dim() == 4 and name not in FIXED:
        for size in ((12, 10), (16, 14)):
            x = random((3, 4, *size)).abs()
            torch.testing.assert_close(compiled(x), call(x), equal_nan=True)
        assert len(graphs) == 1


@pytest.mark.parametrize("name", [name for name in CALLS if not name.startswith("RoIPool")])
def test_recorded_with_symbols(name: str) -> None:
    make, args = CALLS[name]
    call = make().eval() if name in examples.modules() else make()

    def run(*given: Tensor) -> Any:
        return call(*given)

    graph = make_fx(run, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*args)
    torch.testing.assert_close(graph(*args), call(*args), equal_nan=True)
