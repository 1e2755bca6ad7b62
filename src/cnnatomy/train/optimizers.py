"""Optimizers made by name, and their state as named tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cnnatomy import checks
from cnnatomy.errors import ArgumentError, CheckpointError
from cnnatomy.train.muon import Muon
from cnnatomy.train.optimizer_names import OPTIMIZERS, knobs_of

Groups = list[dict[str, Any]]

_SETTINGS = frozenset({"lr", "initial_lr", "peak", "weight_decay"})
"""Numbers of a group that a run's settings and its schedule decide, and no state."""
_NUMBER_DTYPES = {bool: torch.bool, int: torch.int64, float: torch.float64}


def make_optimizer(
    name: str,
    groups: Iterable[Mapping[str, Any]],
    *,
    lr: float | None = None,
    weight_decay: float | None = None,
    **knobs: float | None,
) -> Optimizer:
    """Make an optimizer of `OPTIMIZERS` for groups of parameters, such as those of `finetune.groups`.

    Each group is split: parameters of two and more dimensions have weight decay, norms and biases none. Each
    has its `peak`, the rate that a schedule takes a share of.

    Args:
        name: one of `OPTIMIZERS`.
        groups: each with its `params` and, if it has its own, its `lr`.
        lr: of groups that have none. None: the optimizer's default.
        weight_decay: None: the optimizer's default.
        knobs: what else this optimizer takes (`OPTIMIZERS[name].knobs`); None for its default.

    Raises:
        ArgumentError: there is no such optimizer, or it is told what can mean nothing to it.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        >>> made = make_optimizer("sgd", [{"params": network.parameters(), "lr": 0.1}], momentum=0.8)
        >>> [(len(g["params"]), g["peak"], g["weight_decay"]) for g in made.param_groups]
        [(1, 0.1, 0.0005), (3, 0.1, 0.0)]
    """
    values, record = knobs_of(name, knobs), OPTIMIZERS[name]
    decay = record.weight_decay if weight_decay is None else weight_decay
    checks.real("weight_decay", decay, "a number >= 0", lambda n: 0 <= n < math.inf)
    rate = record.lr if lr is None else lr
    checks.real("lr", rate, "a number > 0", lambda n: 0 < n < math.inf)
    whole = [{"lr": rate, **group, "params": list(group["params"])} for group in groups]
    return _MAKERS[name](whole, decay, values)


def _split(groups: Groups, decay: float) -> Groups:
    """Tell thin parameters from others, and join what has the same settings, since each group costs time."""
    parts: dict[str, dict[str, Any]] = {}
    for group in groups:
        for dense, own in ((True, decay), (False, 0.0)):
            chosen = [p for p in group["params"] if (p.dim() >= 2) == dense]
            settings = {key: value for key, value in group.items() if key not in ("params", "name")}
            settings |= {"peak": group["lr"], "weight_decay": own}
            if chosen:
                part = parts.setdefault(
                    repr(sorted(settings.items())), {**settings, "params": [], "name": ""}
                )
                part["params"] += chosen
                part["name"] = ", ".join(filter(None, [part["name"], group.get("name")]))
    return list(parts.values())


def _muon(groups: Groups, decay: float, values: Mapping[str, float]) -> Optimizer:
    """Orthogonal steps for the weights between; AdamW for norms, biases, the first weight and the last.

    The first reads pictures and the last has a row for each class: neither is a map between like things.
    """
    rest, betas = values["rest"], (values["beta1"], values["beta2"])
    weights = [p for group in groups for p in group["params"] if p.dim() >= 2]
    ends = {id(weight) for weight in (*weights[:1], *weights[-1:])}
    parts = []
    for group in _split(groups, decay):
        for turned in (True, False):
            chosen = [p for p in group["params"] if (p.dim() >= 2 and id(p) not in ends) == turned]
            rate = group["lr"] if turned else group["lr"] * rest
            if chosen:
                parts.append({**group, "params": chosen, "lr": rate, "peak": rate, "matrices": turned})
    own = {knob: values[knob] for knob in ("momentum", "nesterov", "iterations", "eps")}
    return Muon(parts, betas=betas, **own)  # type: ignore[arg-type]  # switches and whole numbers


def _sgd(groups: Groups, decay: float, values: Mapping[str, Any], **fixed: bool) -> Optimizer:
    return torch.optim.SGD(_split(groups, decay), fused=True, **{**values, **fixed})


def _adam(
    kind: Callable[..., Optimizer], groups: Groups, decay: float, values: Mapping[str, Any]
) -> Optimizer:
    betas = (values["beta1"], values["beta2"])
    return kind(_split(groups, decay), betas=betas, eps=values["eps"], fused=True)


_MAKERS: Mapping[str, Callable[[Groups, float, Mapping[str, Any]], Optimizer]] = {
    "adamw": lambda groups, decay, values: _adam(torch.optim.AdamW, groups, decay, values),
    "adam": lambda groups, decay, values: _adam(torch.optim.Adam, groups, decay, values),
    "sgd": _sgd,
    "momentum": _sgd,
    "nesterov": lambda groups, decay, values: _sgd(groups, decay, values, nesterov=True),
    "gd": _sgd,
    "rmsprop": lambda groups, decay, values: torch.optim.RMSprop(_split(groups, decay), **values),
    "adagrad": lambda groups, decay, values: torch.optim.Adagrad(_split(groups, decay), fused=True, **values),
    "muon": _muon,
}


def state_tensors(optimizer: Optimizer, named: Iterable[tuple[str, nn.Parameter]]) -> dict[str, Tensor]:
    """Give all that an optimizer remembers as tensors named `optimizer/KEY/PARAMETER`.

    Numbers beside the tensors are `optimizer.number/KEY/PARAMETER`, and those in its groups that have left
    their defaults, rates and decays apart, `optimizer.group/KEY/INDEX`.

    Raises:
        ArgumentError: it remembers what is neither tensor nor number, as L-BFGS does.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> made = make_optimizer("momentum", [{"params": layer.parameters()}])
        >>> layer(torch.ones(1, 2)).sum().backward()
        >>> made.step()
        >>> list(state_tensors(made, layer.named_parameters()))
        ['optimizer/momentum_buffer/weight', 'optimizer/momentum_buffer/bias']
    """
    found: dict[str, Tensor] = {}
    for name, parameter in named:
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                found[f"optimizer/{key}/{name}"] = value
            elif type(value) in _NUMBER_DTYPES:
                found[f"optimizer.number/{key}/{name}"] = _tensor(value)
            elif value is not None:
                what = f"the state of {type(optimizer).__name__} cannot be kept"
                raise ArgumentError(what, expected="tensors and numbers", got=f"{key} {checks.shown(value)}")
    for index, group in enumerate(optimizer.param_groups):
        for key in sorted(optimizer.defaults.keys() - _SETTINGS):
            number: Any = group.get(key)
            if type(number) in _NUMBER_DTYPES and number != optimizer.defaults[key]:
                found[f"optimizer.group/{key}/{index}"] = _tensor(number)
    return found


def load_state_tensors(
    optimizer: Optimizer, named: Iterable[tuple[str, nn.Parameter]], tensors: Mapping[str, Tensor]
) -> None:
    """Give a fresh optimizer what `state_tensors` gave, to the bit; tensors of other names are left alone.

    Raises:
        CheckpointError: a tensor belongs to a parameter or a group that is not there.
    """
    parameters, groups = dict(named), optimizer.param_groups
    fused = {id(p): bool(g.get("fused") or g.get("capturable")) for g in groups for p in g["params"]}
    for path, saved in tensors.items():
        kind, _, rest = path.partition("/")
        key, _, name = rest.partition("/")
        if kind == "optimizer.group" and name.isdecimal() and int(name) < len(groups):
            groups[int(name)][key] = saved.item()
        elif kind in ("optimizer", "optimizer.number") and name in parameters:
            parameter = parameters[name]
            if not _covers(saved, parameter):
                expected, got = str(tuple(parameter.shape)), str(tuple(saved.shape))
                raise CheckpointError(f"the optimizer's {path}", expected=expected, got=got)
            on_device = key != "step" or fused.get(id(parameter), False)
            own = saved.item() if kind == "optimizer.number" else _like(parameter, saved, on_device)
            optimizer.state[parameter][key] = own
        elif kind in ("optimizer", "optimizer.number", "optimizer.group"):
            raise CheckpointError(
                f"the optimizer has no place for {path}", hint="the network it was kept for"
            )


def _tensor(number: float) -> Tensor:
    return torch.tensor(number, dtype=_NUMBER_DTYPES[type(number)])


def _covers(saved: Tensor, parameter: Tensor) -> bool:
    """Whether this is one number, or one for each of the parameter's or for whole rows or columns of it."""
    sizes = zip(saved.shape, parameter.shape, strict=False)
    return not saved.dim() or (saved.dim() == parameter.dim() and all(n in (1, own) for n, own in sizes))


def _like(parameter: Tensor, saved: Tensor, on_device: bool) -> Tensor:
    """Copy a saved tensor into the parameter's layout, which fused optimizers rely on."""
    if saved.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=saved.dtype, requires_grad=False).copy_(saved)
    return saved.to(parameter.device if on_device else "cpu", copy=True)
