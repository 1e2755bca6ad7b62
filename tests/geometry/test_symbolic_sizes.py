"""Sizes that torch traces stay symbolic: one formula that is right for every size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from cnnatomy.geometry import Window, resolve


def traced(n: int) -> Any:
    """A symbolic size whose example is n."""
    context: StatelessSymbolicContext[Any, Any] = StatelessSymbolicContext(dynamic_sizes=[DimDynamic.DYNAMIC])
    fake = FakeTensorMode(shape_env=ShapeEnv()).from_tensor(torch.empty(n), symbolic_context=context)
    return fake.shape[0]


SIZES: dict[str, Callable[[int], int]] = {
    "output": lambda n: Window(3, 2, (1, 1)).output_size(n),
    "dilated": lambda n: Window(3, 3, (2, 1), 2).output_size(n),
    "transposed": lambda n: Window(3, 2, (1, 1)).transposed_size(n, 1),
    "same": lambda n: Window(3, 2, resolve("same", n, 3, 2)).output_size(n),
    "same, even": lambda n: Window(4, 3, resolve("same", n, 4, 3)).output_size(n),
    "keep": lambda n: Window(3, 2, resolve("keep", n, 3, 2)).output_size(n),
    "full": lambda n: Window(3, 1, resolve("full", n, 3)).output_size(n),
}


@pytest.mark.parametrize("name", SIZES)
def test_one_traced_formula_serves_every_size(name: str) -> None:
    n = traced(13)
    size: Any = SIZES[name](n)
    assert isinstance(size, torch.SymInt), "the size was fixed while tracing"
    for other in range(5, 40):
        assert size.node.expr.subs(n.node.expr, other) == SIZES[name](other), other


def test_rounding_up_traces_to_the_example_at_hand() -> None:
    for n in range(5, 12):
        window = Window(3, 2, (1, 1), ceil_mode=True)
        assert int(window.output_size(traced(n))) == window.output_size(n)


def test_sizes_in_an_exported_graph_stay_free() -> None:
    class Same(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n = x.shape[0]
            return x.new_zeros(Window(3, 2, resolve("same", n, 3, 2)).output_size(n))

    free = {0: torch.export.Dim("n", min=3, max=4096)}
    graph = torch.export.export(Same(), (torch.zeros(13),), dynamic_shapes=(free,)).module()
    assert [graph(torch.zeros(n)).shape[0] for n in (5, 6, 100, 101)] == [3, 3, 50, 51]
