"""Every module in torch's own tools that put something else in the place of its parameters, or trace it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import modules as examples
import pytest
import torch
from support import random
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.utils import parametrize, prune

import cnnatomy.nn as own
from cnnatomy.ops.pooling import pool
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Sliding

MODULES, FUNCTIONS = examples.modules(), examples.functions()
LEARNING = [name for name, make in MODULES.items() if list(make().parameters())]
every = pytest.mark.parametrize("name", LEARNING)


def moved(name: str) -> tuple[Any, dict[str, Tensor], Tensor]:
    """A module, other values of its parameters, and what it gives with those."""
    torch.manual_seed(0)
    module = MODULES[name]().eval()
    values = {key: value.detach() * 1.25 + 0.1 for key, value in module.named_parameters()}
    before = module(*examples.given(name))
    other = MODULES[name]().eval()
    other.load_state_dict({**module.state_dict(), **values})
    wanted = other(*examples.given(name)).detach()
    assert not torch.equal(before, wanted)
    return module, values, wanted


def test_every_class_has_an_example() -> None:
    public = {name: getattr(own, name) for name in own.__all__}
    ours = {name for name, kind in public.items() if getattr(kind, "__module__", "").startswith("cnnatomy")}
    assert {name.partition("(")[0] for name in MODULES} == {n for n in ours if isinstance(public[n], type)}
    assert len(LEARNING) >= 30


@every
def test_functional_call(name: str) -> None:
    module, values, wanted = moved(name)
    assert torch.equal(functional_call(module, values, examples.given(name)), wanted)


class Moved(nn.Module):
    def forward(self, value: Tensor) -> Tensor:
        return value * 1.25 + 0.1


@every
def test_parametrize(name: str) -> None:
    module, values, wanted = moved(name)
    for path in values:
        home, _, key = path.rpartition(".")
        parametrize.register_parametrization(module.get_submodule(home), key, Moved())
    torch.testing.assert_close(module(*examples.given(name)), wanted)


@every
def test_prune(name: str) -> None:
    module, values, _ = moved(name)
    module.load_state_dict({**module.state_dict(), **values})
    masks = {path: torch.ones_like(value) for path, value in values.items()}
    for path, value in values.items():
        masks[path].view(-1)[0] = 0 if value.numel() > 1 else 1  # of a single one, nothing would be left
        home, _, key = path.rpartition(".")
        prune.custom_from_mask(module.get_submodule(home), key, masks[path])  # type: ignore[no-untyped-call]
    other = MODULES[name]().eval()
    other.load_state_dict({**other.state_dict(), **{path: values[path] * masks[path] for path in values}})
    found, wanted = (one(*examples.given(name)).detach() for one in (module, other))
    torch.testing.assert_close(found, wanted, equal_nan=True)  # a power of 0 divides by 0 either way


@every
def test_gradients_of_each_example(name: str) -> None:
    module, values, _ = moved(name)
    x = examples.given(name)[0]

    def loss(parameters: dict[str, Tensor], one: Tensor) -> Tensor:
        y: Tensor = functional_call(module, parameters, (one.unsqueeze(0),))
        return y.square().sum()

    found = vmap(grad(loss), in_dims=(None, 0))(values, x)
    for i, one in enumerate(x):
        for path, wanted in grad(loss)(values, one).items():
            torch.testing.assert_close(found[path][i], wanted, rtol=1e-4, atol=1e-4)


@every
def test_replicas_of_data_parallel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, values, wanted = moved(name)
    module.load_state_dict({**module.state_dict(), **values})

    def broadcast(tensors: list[Tensor], devices: list[int], detach: bool = False) -> list[list[Tensor]]:
        return [[tensor * 1 for tensor in tensors] for _ in devices]  # copies of any device are no leaves

    home: Any = sys.modules["torch.nn.parallel.replicate"]
    monkeypatch.setattr(home, "_broadcast_coalesced_reshape", broadcast)
    for replica in home.replicate(module, [0, 1]):
        assert not list(replica.parameters())
        assert torch.equal(replica(*examples.given(name)), wanted)


SYMBOLIC = [name for name in MODULES if not name.startswith("RoIPool")]  # which reads boxes as numbers


@pytest.mark.costly(4)
@pytest.mark.parametrize("name", SYMBOLIC)
def test_symbolic_trace_of_modules(name: str) -> None:
    module, args = MODULES[name]().eval(), examples.given(name)
    traced = torch.fx.symbolic_trace(module)
    torch.testing.assert_close(traced(*args), module(*args))
    with torch.no_grad():
        for parameter in module.parameters():  # a graph holds the parameters, and not what they were
            parameter.mul_(1.25)
    torch.testing.assert_close(traced(*args), module(*args))


@pytest.mark.costly(4)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_symbolic_trace_of_functions(name: str) -> None:
    function, x = FUNCTIONS[name], examples.x().abs()
    traced = torch.fx.symbolic_trace(_Called(function))
    torch.testing.assert_close(traced(x), function(x), equal_nan=True)


class _Called(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("what", examples.learned(), ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("autocast", [False, True])
def test_learned_poolings_keep_the_dtype(what: Reducer, dtype: torch.dtype, autocast: bool) -> None:
    x = random((2, 3, 6, 6), dtype).abs() + 0.5
    for kind in (torch.float64, torch.float32, torch.bfloat16):
        inputs: Any = {name: torch.tensor(start, dtype=kind) for name, start in what.learns.items()}
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = pool(x, what, Sliding(3, 2, 1), **inputs)
        assert y.dtype is dtype
        wide: Any = {name: value.double() for name, value in inputs.items()}
        truth = pool(x.double(), what, Sliding(3, 2, 1), **wide).to(dtype)
        least = {"rtol": 1e-5, "atol": 1e-5} if dtype is torch.float64 else {}
        torch.testing.assert_close(y, truth, **least)  # type: ignore[arg-type]
