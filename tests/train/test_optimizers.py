"""Optimizers by name are torch's; Muon's steps are those of the SVD; states come back to the bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError, CheckpointError
from cnnatomy.train.finetune import groups
from cnnatomy.train.muon import orthogonal
from cnnatomy.train.optimizer_names import OPTIMIZERS
from cnnatomy.train.optimizers import load_state_tensors, make_optimizer, state_tensors


def network(dtype: torch.dtype = torch.float32, last: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3, stride=2))
    made = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 3)).to(dtype)
    return made.to(memory_format=torch.channels_last) if last else made  # type: ignore[call-overload]


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, numbers: Iterable[int]) -> None:
    """Train on noise, each step with its own and at its own rate."""
    for number in numbers:
        x = torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(number))
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] / (1 + number)
        optimizer.zero_grad()
        score = model(x.to(next(model.parameters()).dtype))
        torch.autograd.backward(nn.functional.cross_entropy(score, torch.tensor([0, 1, 2, 0, 1])))
        optimizer.step()


def same_bits(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_names_are_read_without_torch() -> None:
    code = "import sys, cnnatomy.train.optimizer_names; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


TORCHS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
    "gd": lambda p: torch.optim.SGD(p, lr=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.05),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
}


@pytest.mark.parametrize("name", TORCHS)
def test_each_name_is_torchs_optimizer_of_that_name(name: str) -> None:
    ours, theirs = network(torch.float64), network(torch.float64)
    mine = make_optimizer(name, groups(ours, 0.01))
    dense = [p for p in theirs.parameters() if p.dim() > 1]
    thin = [p for p in theirs.parameters() if p.dim() == 1]
    his = TORCHS[name]([{"params": dense, "peak": 0.01}, {"params": thin, "peak": 0.01, "weight_decay": 0}])
    steps(ours, mine, range(6))
    steps(theirs, his, range(6))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_groups_keep_their_rates_and_thin_parameters_do_not_decay(name: str) -> None:
    model = network()
    made = make_optimizer(name, groups(model, 0.02, decay=0.5), weight_decay=0.3)
    seen = [p for group in made.param_groups for p in group["params"]]
    assert sorted(map(id, seen)) == sorted(map(id, model.parameters()))
    rates = {id(p): g["lr"] for g in groups(model, 0.02, decay=0.5) for p in g["params"]}
    for group in made.param_groups:
        for parameter in group["params"]:
            share = 0.03 if group.get("matrices") is False else 1.0
            assert group["peak"] == group["lr"] == rates[id(parameter)] * share
            assert group["weight_decay"] == (0.3 if parameter.dim() > 1 else 0)
            assert group["name"]


def test_groups_of_the_same_settings_are_one() -> None:
    model = network()
    made = make_optimizer("adamw", groups(model, 0.02))
    assert [(group["name"], group["weight_decay"]) for group in made.param_groups] == [
        ("0 .. 1, 3, 5", 0.05),
        ("0 .. 1, 3, 5", 0.0),
    ]
    assert len(make_optimizer("adamw", groups(model, 0.02, decay=0.5)).param_groups) == 6


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns_with_its_own_rate(name: str) -> None:
    model = network()
    made = make_optimizer(name, [{"params": model.parameters()}])
    x = torch.randn(30, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(30) % 3
    losses = []
    for _ in range(60):
        made.zero_grad()
        losses.append(nn.functional.cross_entropy(model(x), labels))
        torch.autograd.backward(losses[-1])
        made.step()
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(("name", "told", "said"), [
    ("adan", {}, r"unknown optimizer.*got 'adan'; try 'adam'"),
    ("adamw", {"momentum": 0.5}, "adamw takes no momentum: expected beta1, beta2 or eps"),
    ("gd", {"momentum": 0.5}, "gd takes no momentum: expected nothing else"),
    ("sgd", {"momentum": 1.0}, "momentum: expected a number from 0 to below 1"),
    ("sgd", {"momentum": 0}, "nesterov: expected a momentum above 0"),
    ("sgd", {"nesterov": 1}, "nesterov: expected True or False, got 1"),
    ("adam", {"lr": -1}, "lr: expected a number > 0, got -1"),
    ("adam", {"weight_decay": float("nan")}, "weight_decay: expected a number >= 0, got nan"),
    ("muon", {"iterations": 0}, "iterations is out of range"),
])  # fmt: skip
def test_what_is_told_wrongly_is_one_clear_error(name: str, told: dict[str, float], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        make_optimizer(name, [{"params": nn.Linear(2, 2).parameters()}], **told)


@settings(deadline=None)
@given(st.integers(1, 24), st.integers(1, 40), st.integers(0, 99), st.floats(1e-3, 1e3))
def test_orthogonal_is_uv_within_what_the_iteration_leaves_open(
    rows: int, columns: int, seed: int, size: float
) -> None:
    matrix = size * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    u, values, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    inner = u.mT @ orthogonal(matrix.double()) @ v.mT
    counted = values > 0.02 * values.square().sum().sqrt()  # smaller ones need more iterations
    turned = inner.diagonal()[counted]
    assert ((turned > 0.6) & (turned < 1.25)).all()
    assert (inner - inner.diagonal().diag()).abs().max() < 1e-6


def test_orthogonal_is_the_polynomial_of_the_singular_values() -> None:
    values = torch.tensor([1.0, 0.3, 0.05, 1e-3], dtype=torch.float64)
    expected = values / values.norm()
    for _ in range(5):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    u, v = (torch.linalg.qr(torch.randn(n, 4, dtype=torch.float64)).Q for n in (6, 9))
    torch.testing.assert_close(orthogonal(u @ values.diag() @ v.mT), u @ expected.diag() @ v.mT)
    stack = torch.randn(3, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(orthogonal(stack), torch.stack([orthogonal(one) for one in stack]))
    assert orthogonal(torch.zeros(3, 2)).eq(0).all()


def test_muon_steps_weights_orthogonally_and_the_rest_as_adamw() -> None:
    model, other = network(torch.float64), network(torch.float64)
    options: dict[str, Any] = {"momentum": 0.8, "nesterov": False, "weight_decay": 0.1}
    made = make_optimizer("muon", [{"params": model.parameters()}], lr=0.02, **options)
    turned = {id(p) for g in made.param_groups if g["matrices"] for p in g["params"]}
    names = [name for name, p in model.named_parameters() if id(p) in turned]
    assert names == ["3.weight"], "neither norms nor biases nor the first and the last weight"
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    steps(model, made, range(1))
    for name in names:
        parameter = dict(model.named_parameters())[name]
        assert parameter.grad is not None
        old = before[name]
        moved = orthogonal((0.2 * parameter.grad).flatten(1), 3).view_as(parameter)
        expected = old / old.norm() - 0.02 * moved / moved.norm()
        torch.testing.assert_close(parameter, old.norm() * expected / expected.norm())
    rest = [(n, p) for n, p in other.named_parameters() if n not in names]
    adamw = torch.optim.AdamW(
        [{"params": [p], "weight_decay": 0.1 * (p.dim() > 1), "peak": 0.02 * 0.03} for _, p in rest]
    )
    steps(other, adamw, range(1))
    for name, parameter in rest:
        torch.testing.assert_close(dict(model.named_parameters())[name], parameter)


def _any_optimizer(name: str, model: nn.Module) -> torch.optim.Optimizer:
    parameters = [{"params": [p], "lr": 1e-3, "peak": 1e-3} for p in model.parameters()]
    if name in OPTIMIZERS:
        return make_optimizer(name, groups(model, 0.01, decay=0.5), weight_decay=0.1)
    if name == "amsgrad":
        return torch.optim.Adam(parameters, amsgrad=True)
    options: dict[str, Any] = {"momentum": 0.9, "centered": True} if name == "RMSprop" else {}
    made: torch.optim.Optimizer = getattr(torch.optim, name)(parameters, **options)
    return made


OTHERS = ("Adadelta", "Adafactor", "Adamax", "ASGD", "NAdam", "RAdam", "Rprop", "RMSprop", "amsgrad")


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", [*OPTIMIZERS, *OTHERS])
def test_kept_and_given_back_the_steps_are_the_same_to_the_bit(name: str, last: bool) -> None:
    whole, first, second = (network(last=last) for _ in range(3))
    steps(whole, _any_optimizer(name, whole), range(9))
    before = _any_optimizer(name, first)
    steps(first, before, range(4))
    kept = {n: t.clone().contiguous() for n, t in state_tensors(before, first.named_parameters()).items()}
    assert all(path.startswith("optimizer") for path in kept)
    assert bool(kept) == (name != "gd")
    second.load_state_dict(first.state_dict())
    after = _any_optimizer(name, second)
    load_state_tensors(after, second.named_parameters(), kept | {"model/0.weight": torch.zeros(1)})
    again = state_tensors(after, second.named_parameters())
    assert again.keys() == kept.keys()
    for path, saved in again.items():
        assert torch.equal(saved, kept[path])
        assert saved.dtype == kept[path].dtype
        key, parameter = path.split("/")[1], dict(second.named_parameters())[path.split("/")[2]]
        if key != "step" and saved.shape == parameter.shape:
            assert saved.stride() == parameter.stride()
    steps(second, after, range(4, 9))
    assert same_bits(second, whole)


class Counting(torch.optim.SGD):
    """Keeps numbers beside its tensors and in its groups, as some optimizers do."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, lr=0.1)
        self.defaults |= {"k": 0, "sum": 0.0, "on": False}
        for group in self.param_groups:
            group |= {"k": 0, "sum": 0.0, "on": False}

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["k"] += 1
            group["sum"] += 0.1
            group["on"] = not group["on"]
            for parameter in group["params"]:
                self.state[parameter]["seen"] = self.state[parameter].get("seen", 0) + 3


def test_numbers_that_change_are_kept_as_what_they_are() -> None:
    layer = nn.Linear(2, 1)
    made, fresh = Counting(layer.parameters()), Counting(layer.parameters())
    for _ in range(3):
        made.step()
    made.param_groups[0]["lr"] = 0.7
    kept = state_tensors(made, layer.named_parameters())
    load_state_tensors(fresh, layer.named_parameters(), kept)
    (group,), (old,) = fresh.param_groups, made.param_groups
    assert [repr(group[key]) for key in ("k", "sum", "on")] == [repr(old[key]) for key in ("k", "sum", "on")]
    assert repr(fresh.state[layer.weight]["seen"]) == "9"
    assert group["lr"] == 0.1, "rates are the schedule's"


def test_states_that_fit_nowhere_are_told() -> None:
    layer = nn.Linear(2, 1)
    made = make_optimizer("adam", [{"params": layer.parameters()}])
    for path in ("optimizer/exp_avg/other", "optimizer.group/eps/7"):
        with pytest.raises(CheckpointError, match=f"no place for {path}"):
            load_state_tensors(made, layer.named_parameters(), {path: torch.zeros(1)})
    lbfgs = torch.optim.LBFGS(layer.parameters())

    def closure() -> Tensor:
        lbfgs.zero_grad()
        loss: Tensor = layer(torch.ones(1, 2)).square().sum()
        torch.autograd.backward(loss)
        return loss

    lbfgs.step(closure)  # type: ignore[no-untyped-call]
    with pytest.raises(
        ArgumentError, match="the state of LBFGS cannot be kept: expected tensors and numbers"
    ):
        state_tensors(lbfgs, layer.named_parameters())
