"""Models that are not plain: each gives its whole pass or the reason why not, and none is left changed."""

from __future__ import annotations

import copy
import hashlib
import importlib
import re
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from cnnatomy.anatomy.measure import anatomy
from cnnatomy.anatomy.record.graph import Graph
from cnnatomy.anatomy.record.tracing import trace
from cnnatomy.errors import ArgumentError

Pair = namedtuple("Pair", ["first", "second"])
X = torch.randn(2, 4)


@dataclass
class Answer:
    features: Tensor
    score: Tensor


def fingerprint(model: nn.Module) -> list[Any]:
    """All that a caller can see of a model: values bit for bit, identities, flags, hooks, attributes."""
    found: list[Any] = [torch.get_rng_state().tolist(), torch.is_grad_enabled()]
    for path, module in model.named_modules():
        found.append((path, id(module), type(module), module.training))
        for name, value in vars(module).items():
            if isinstance(value, dict) and ("hooks" in name or name == "_modules"):
                found.append((name, [(key, id(part)) for key, part in value.items()]))
            elif isinstance(value, dict):
                found.append((name, [(key, *tensor_print(part)) for key, part in value.items()]))
            elif isinstance(value, list):
                found.append((name, id(value), [tensor_print(part) for part in value]))
            else:
                found.append((name, *tensor_print(value)))
    return found


def tensor_print(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, Tensor):
        simple = isinstance(value, int | float | str) or value is None
        return (value if simple else id(value),)
    grad = None if not value.is_leaf or value.grad is None else tensor_print(value.grad)
    if value.is_meta or value.layout is not torch.strided:
        return id(value), str(value.layout), grad
    data = value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return (
        *(id(value), value.data_ptr(), value._version, tuple(value.shape), value.stride(), value.dtype),
        *(value.requires_grad, hashlib.sha1(data).hexdigest(), grad),
    )


class Functional(nn.Module):
    """A module around a function, with what it is given as attributes."""

    def __init__(self, run: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self, *args, **kwargs)


class Recursive(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.here = nn.Linear(4, 4)
        self.below = Recursive(depth - 1) if depth else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.here(x)
        return x if self.below is None else x + self.below(x)


class Looking(nn.Module):
    """It holds its modules in lists and dicts too, and itself by a method."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.plan: list[Any] = [self.layers[1], {"first": self.layers[0]}]
        self.step = self._step
        self.partial = partial(self._step, scale=2)
        self.seen: list[int] = []

    def _step(self, x: Tensor, scale: int = 1) -> Tensor:
        self.seen.append(scale)
        return self.plan[0](self.plan[1]["first"](x)) * scale  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        self.calls = getattr(self, "calls", 0) + 1
        return self.step(self.partial(x))


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 2 * grad * ctx.saved_tensors[0]  # type: ignore[no-any-return]


def hooked() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    net[0].register_forward_hook(lambda *_: torch.zeros(1))
    net.register_full_backward_hook(lambda *_: None)
    return net


def with_attributes() -> nn.Module:
    locked = nn.Linear(4, 4)
    file = open(__file__)  # noqa: SIM115
    file.close()
    parts = {"lock": threading.Lock(), "file": file, "lines": (i for i in range(9)), "torch": torch}
    for name, part in parts.items():
        setattr(locked, name, part)
    locked.table, locked.lazy = {"scale": torch.randn(4)}, lambda x: locked.weight @ x  # type: ignore[assignment]
    return nn.Sequential(locked, nn.ReLU())


def old_weight_norm() -> nn.Module:
    with pytest.warns(FutureWarning):
        return nn.utils.weight_norm(nn.Linear(4, 4))


def pruned() -> nn.Module:
    net = nn.Linear(4, 4)
    prune.l1_unstructured(net, "weight", 3)  # type: ignore[no-untyped-call]
    return net


def trained() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).train()
    net(X).sum().backward()
    net[1].eval()
    return net


def dispatching() -> nn.Module:
    ways = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 5)})
    return Functional(lambda net, x: net.ways["b" if x.shape[0] == 2 else "a"](x), ways=ways)


def tied() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    net[2].weight = net[0].weight
    return net


def lstm(net: nn.Module, x: Tensor) -> Any:
    return net.lstm(x[None])[0]  # type: ignore[operator]


def jvp(net: Any, x: Tensor) -> Tensor:
    return torch.func.vmap(net.layer)(x)  # type: ignore[no-any-return]


def aliased(net: Any, x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 1:].relu_()
    y += 1
    return y


def squared(net: Any, x: Tensor) -> Any:
    return Square.apply(net.a(x))  # type: ignore[no-untyped-call]


def cast(net: Any, x: Tensor) -> Any:
    with torch.autocast("cpu", torch.bfloat16):
        return net.a(x)


L = partial(nn.Linear, 4, 4)
WHOLE: dict[str, Callable[[], nn.Module]] = {
    "without parameters": lambda: nn.Sequential(nn.ReLU(), nn.Softmax(1)),
    "a tuple": lambda: Functional(lambda net, x: (net.a(x), (x, 3)), a=L()),
    "a dict": lambda: Functional(lambda net, x: {"out": net.a(x), "none": None}, a=L()),
    "a named tuple": lambda: Functional(lambda net, x: Pair(net.a(x), x), a=L()),
    "a dataclass": lambda: Functional(lambda net, x: Answer(net.a(x), x.sum()), a=L()),
    "shared modules": lambda: Functional(lambda net, x: net.a(net.a(net.b(x))), a=(one := L()), b=one),
    "tied weights": tied,
    "in place": lambda: Functional(aliased),
    "hooks": hooked,
    "half precision": lambda: nn.Sequential(L(), nn.LayerNorm(4)).half(),
    "bfloat16": lambda: nn.Sequential(L(), nn.GELU()).to(torch.bfloat16),
    "complex": lambda: nn.Sequential(nn.Linear(4, 4, dtype=torch.complex64)),
    "recursive": lambda: Recursive(4),
    "called zero times": lambda: Functional(lambda net, x: x + 1, a=L()),
    "attributes that cannot be copied": with_attributes,
    "modules in lists, methods, state": Looking,
    "DataParallel": lambda: nn.DataParallel(nn.Sequential(L())),
    "DataParallel inside": lambda: nn.Sequential(nn.DataParallel(L()), nn.ReLU()),
    "weight norm": lambda: parametrizations.weight_norm(L()),
    "weight norm of old": old_weight_norm,
    "spectral norm": lambda: parametrizations.spectral_norm(L()),
    "orthogonal": lambda: parametrizations.orthogonal(L()),
    "pruned": pruned,
    "ModuleDict": dispatching,
    "half trained": trained,
    "frozen": lambda: nn.Sequential(L(), L().requires_grad_(False)),
    "checkpointed": lambda: Functional(lambda net, x: checkpoint(net.a, x, use_reentrant=False), a=L()),
    "functional only": lambda: Functional(
        lambda net, x: F.linear(F.relu(x), net.w), w=nn.Parameter(torch.randn(3, 4))
    ),
    "torch.func": lambda: Functional(jvp, layer=L()),
    "LSTM": lambda: Functional(lstm, lstm=nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True)),
    "GRU cell": lambda: nn.GRUCell(4, 3),
    "transformer": lambda: Functional(
        lambda net, x: net.t(x[None]),
        t=nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2),
    ),
    "attention": lambda: Functional(lambda net, x: net.a(x, x, x), a=nn.MultiheadAttention(4, 2)),
    "autograd.Function": lambda: Functional(squared, a=L()),
    "on meta": lambda: L(device="meta"),
    "einsum": lambda: Functional(
        lambda net, x: torch.einsum("bi,oi->bo", x, net.w), w=nn.Parameter(torch.randn(2, 4))
    ),
    "autocast": lambda: Functional(cast, a=L()),
    "no gradient": lambda: Functional(torch.no_grad()(lambda net, x: net.a(x)), a=L()),
    "a generator's modules": lambda: Functional(
        lambda net, x: sum(a(x) for a in net.all), all=nn.ModuleList([L(), L()])
    ),
}


def picture(model: nn.Module) -> Tensor:
    floats = (p.dtype for p in model.parameters())
    return X.to(next(floats, torch.float32))


@pytest.mark.parametrize("name", WHOLE)
def test_an_odd_model_gives_its_whole_pass_and_is_left_as_it_was(name: str) -> None:
    model = WHOLE[name]()
    x, before = picture(model), fingerprint(model)
    graph, taught = trace(model, [x]), trace(model, [x], training=True)
    assert fingerprint(model) == before
    assert (graph.reason, taught.reason) == (None, None)
    assert all(visit.stop >= 0 for visit in graph.visits)
    assert shapes(graph) == really(model, x)
    found = anatomy(model, x)
    assert found.complete
    unique = {id(p): p.numel() for p in model.parameters()}
    assert found.parameters == sum(unique.values())
    assert fingerprint(model) == before


def shapes(graph: Graph) -> list[tuple[int, ...]]:
    return [value.shape for value in graph.outputs.values()]


def really(model: nn.Module, x: Tensor) -> list[tuple[int, ...]]:
    """Shapes that the model itself returns, without the caller's hooks; on meta, without data."""
    if any(p.is_meta for p in model.parameters()):
        return [(2, 4)]
    if any(module._forward_hooks for module in model.modules()):
        return [(2, 4)]
    if any(
        "lock" in vars(module) or isinstance(vars(module).get("weight"), Tensor) for module in model.modules()
    ):
        return [(2, 4)]  # it cannot be copied
    with torch.no_grad():
        return [tuple(tensor.shape) for tensor in leaves(copy.deepcopy(model).eval()(x))]


def leaves(out: Any) -> Iterator[Tensor]:
    if isinstance(out, Tensor):
        yield out
    elif isinstance(out, dict | Answer):
        for part in (out if isinstance(out, dict) else vars(out)).values():
            yield from leaves(part)
    elif isinstance(out, tuple | list):
        for part in out:
            yield from leaves(part)


def branch(net: Any, x: Tensor) -> Tensor:
    x = net.a(x)
    return net.b(x) if x.sum() > 0 else x


class Picking(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[x.sum(1).nonzero()[:, 0]]


class Numpy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy())


class Missing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return {"b": x}["a"]


STOPPED: dict[str, tuple[Callable[[], nn.Module], str, int]] = {
    "an if": (
        lambda: Functional(branch, a=L(), b=L()),
        r"the model \(Functional\) cannot run without data",
        1,
    ),
    "an item": (
        lambda: nn.Sequential(L(), Functional(lambda net, x: x * x.max().item())),
        r"layer '1' \(Functional\) cannot run without data",
        1,
    ),
    "nonzero": (
        lambda: nn.Sequential(L(), Picking(), L()),
        r"layer '1' \(Picking\) cannot run without data",
        1,
    ),
    "numpy": (lambda: nn.Sequential(L(), nn.Sequential(Numpy())), r"layer '1.0' \(Numpy\) cannot run", 1),
    "a list": (
        lambda: Functional(lambda net, x: net.a(x).tolist(), a=L()),
        r"the model .* cannot run without",
        1,
    ),
    "a key": (lambda: nn.Sequential(L(), Missing()), r"layer '1' \(Missing\) raised KeyError: 'a'", 1),
    "sparse": (
        lambda: Functional(lambda net, x: net.w @ x.t(), w=nn.Parameter(torch.eye(4).to_sparse())),
        "a sparse_coo weight has no weightless copy",
        0,
    ),
}


@pytest.mark.parametrize("name", STOPPED)
def test_a_model_that_needs_data_gives_what_came_before_and_the_reason(name: str) -> None:
    build, reason, linear = STOPPED[name]
    model = build()
    before = fingerprint(model)
    for training in (False, True):
        graph = trace(model, [X], training=training)
        assert graph.reason is not None
        assert re.match(reason, graph.reason), graph.reason
        assert sum(call.name == "aten.addmm" for call in graph.calls) == linear
        assert not graph.outputs
    assert fingerprint(model) == before
    found = anatomy(model, X)
    assert not found.complete
    assert found.macs is None
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert fingerprint(model) == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_scripted_model_runs_whole() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)
    ).train()
    x = torch.randn(2, 1, 8, 8)
    names = [call.name for call in trace(net, [x]).calls]
    traced = torch.jit.trace(copy.deepcopy(net).eval(), x)  # type: ignore[no-untyped-call]
    for scripted in (torch.jit.script(net), traced):
        state = {name: tensor.clone() for name, tensor in scripted.state_dict().items()}
        training = [module.training for module in scripted.modules()]
        graph = trace(scripted, [x])
        assert graph.reason is None
        found = [call.name.replace("._", ".") for call in graph.calls if call.name != "aten.detach"]
        assert found == names
        assert (graph.model, graph.visits[0].type) == ("Sequential", "Sequential")
        assert [weight.name for weight in graph.weights] == list(dict(net.named_parameters())) + [
            name for name, _ in net.named_buffers()
        ]
        assert graph.outputs[""].shape == (2, 3)
        assert all(torch.equal(state[name], tensor) for name, tensor in scripted.state_dict().items())
        assert [module.training for module in scripted.modules()] == training


def test_a_compiled_model_is_read_as_the_model_that_was_compiled() -> None:
    for model in (
        torch.compile(nn.Sequential(L(), nn.ReLU())),
        nn.Sequential(torch.compile(L()), nn.ReLU()),  # type: ignore[call-overload]
    ):
        assert isinstance(model, nn.Module)
        graph = trace(model, [X])
        assert graph.reason is None
        assert [call.name for call in graph.calls] == ["aten.t", "aten.addmm", "aten.relu"]
    inside = nn.Sequential(L(), nn.ReLU())
    inside[0].compile()
    assert trace(inside, [X]).reason is None


def test_a_lazy_model_must_have_seen_an_input() -> None:
    with pytest.raises(ArgumentError, match=r"parameter '0.weight' has no size yet.*run the model once"):
        trace(nn.Sequential(nn.LazyLinear(3)), [X])
    hidden = L()
    hidden.aside = [nn.UninitializedParameter()]  # type: ignore[assignment]
    with pytest.raises(ArgumentError, match="a parameter has no size yet"):
        trace(hidden, [X])


def test_one_parameter_under_two_names_is_counted_once_and_shared_with_nothing() -> None:
    twice = nn.Linear(3, 3, bias=False)
    twice.again = twice.weight
    (layer,) = anatomy(twice, (3,)).layers
    assert (layer.trainable, layer.shared) == (9, 0)


def test_inputs_may_be_a_dict_or_come_by_name() -> None:
    model = Functional(lambda net, batch: net.a(batch["x"]) + batch["y"], a=L())
    found = anatomy(model, [{"x": (4,), "y": torch.randn(1, 4)}])
    assert (found.complete, list(found.inputs), found.outputs) == (True, ["0.x", "0.y"], {"": (1, 4)})
    model = Functional(lambda net, x, *, y: net.a(x) + y, a=L())
    assert list(anatomy(model, {"x": (4,), "y": (4,)}).inputs) == ["x", "y"]


def test_what_is_shared_is_one_layer_called_twice_and_attention_shows_its_layers() -> None:
    graph = trace(WHOLE["shared modules"](), [X])
    assert [(v.path, v.nth) for v in graph.visits] == [("", 1), ("a", 1), ("a", 2), ("a", 3)]
    paths = {visit.path for visit in trace(WHOLE["transformer"](), [X]).visits}
    assert {"t.layers.0.linear1", "t.layers.1.self_attn", "t.layers.1.norm2"} <= paths


def test_the_callers_hooks_are_not_run_and_are_told_of() -> None:
    heard: list[Any] = []
    net = nn.Sequential(L())
    net[0].register_forward_hook(lambda *given: heard.append(given))
    net.register_forward_pre_hook(lambda *given: heard.append(given))
    assert trace(net, [X]).notes == ("hooks of the caller, not run: 2",)
    assert not heard


def test_hooks_of_a_library_are_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "site-packages" / "offloading"
    home.mkdir(parents=True)
    (home / "__init__.py").write_text("def listen(*given):\n    raise RuntimeError\n")
    monkeypatch.syspath_prepend(home.parent)
    net = nn.Sequential(L(), L())
    for layer in net:
        layer.register_forward_hook(importlib.import_module("offloading").listen)
    net.register_forward_pre_hook(lambda *_: None)
    assert trace(net, [X]).notes == (
        "hooks of the caller, not run: 1",
        "hooks of offloading, not run: 2",
    )
