"""Swap operators in any network: modules by class or name, and function calls where torch.fx can follow."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.adapt.calls import called, function_of, known, rewritten
from cnnatomy.adapt.window_modules import Target, replacement
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers import Reducer

Key = str | type[nn.Module]


class NothingSwapped(ArgumentError):
    """A network that has none of the operators that were to be swapped."""


@dataclass(frozen=True)
class Swap:
    """One operator that gave way to another."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, repr=False)
class Conversion:
    """A network, and what was done to it.

    Args:
        model: the network.
        swaps: what gave way, by path; a function call has the path of the module that made it.
        left: function calls of the kinds to be swapped that stand in code which torch.fx cannot follow.
    """

    model: nn.Module
    swaps: tuple[Swap, ...]
    left: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        rows = [
            f"| `{one.path or 'the network itself'}` | `{one.before}` | `{one.after}` |" for one in self.swaps
        ]
        rows += [f"| `{path}` | a call | left as it is |" for path in self.left]
        return "\n".join(["| layer | was | is |", "| --- | --- | --- |", *rows]) if rows else str(self)

    def __str__(self) -> str:
        lines = [f"{swap.path or 'the network itself'}: {swap.before} -> {swap.after}" for swap in self.swaps]
        return "\n".join([*lines, *(f"{path}: left as it is" for path in self.left)]) or "nothing to swap"


def convert(model: nn.Module, swaps: Mapping[Key, Target], *, inplace: bool = False) -> Conversion:
    """Swap operators in a network, keeping every size: kernels, strides, padding, dilation, ceil_mode, grids.

    Keys name what goes: a class of module, or its name ("MaxPool2d", which also means calls of
    `F.max_pool2d`). Values say what comes: a reducer or its name; for `Upsample` a method of `resample`; for
    convolutions a padding mode; or a function from the old module to the new one. Weights, buffers, hooks and
    parametrizations of everything else stay. A module that stands in several places is swapped once, for all.

    Function calls are swapped in modules whose forward torch.fx can trace; the traced code then stands for
    the forward. Where it cannot, a warning names the module and what it calls.

    Args:
        model: any network.
        swaps: what becomes what.
        inplace: change the network itself, not a copy.

    Returns:
        The network with a report. If the network itself is swapped, `model` is the new module.

    Raises:
        NothingSwapped: there is nothing to swap.
        ArgumentError: a value means nothing for what it is to replace.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2))
        >>> done = convert(net, {"MaxPool2d": "soft"})
        >>> done.swaps[0].path, type(done.model[1]).__name__, type(net[1]).__name__
        ('1', 'Pool2d', 'MaxPool2d')
    """
    checks.module(model)
    expected = 'what becomes what, such as {"MaxPool2d": "soft"}'
    if not checks.of_kind("swaps", swaps, Mapping, expected):
        raise ArgumentError("swaps", expected=expected, got="none")
    for key, target in swaps.items():
        if not isinstance(key, str) and not (isinstance(key, type) and issubclass(key, nn.Module)):
            raise ArgumentError(
                "this names no operator", expected="a class of module or its name", got=repr(key)
            )
        _check_target(_named(key), target)
    model = model if inplace else copy.deepcopy(model)
    done: list[Swap] = []
    model = _modules(model, swaps, done)
    left = _functions(model, swaps, done)
    if not done and not left:
        met = sorted({type(module).__name__ for module in model.modules() if not list(module.children())})
        expected = " or ".join(map(_named, swaps))
        raise NothingSwapped("nothing was swapped", expected=expected, got=", ".join(met))
    for path in left:
        warnings.warn(f"left as it is, for torch.fx cannot follow it: {path}", UserWarning, stacklevel=2)
    return Conversion(model, tuple(done), tuple(left))


def _check_target(key: str, target: object) -> None:
    """Hold what comes for a key to what can: a class would take the old module for its first argument."""
    kind, hint = target if isinstance(target, type) else type(target), None
    if issubclass(kind, nn.Module):
        hint = f"lambda old: {kind.__name__}(...)"
    elif kind is target and issubclass(kind, Reducer):
        hint = f"{kind.__name__}()"
    if hint or not (isinstance(target, str | Reducer) or callable(target)):
        expected = "a reducer, a name, or a function of the old module"
        got = f"the class {kind.__name__}" if kind is target else checks.shown(target)
        raise ArgumentError(f"what becomes of {key}", expected=expected, got=got, hint=hint)


def _wanted(module: nn.Module, swaps: Mapping[Key, Target]) -> Target | None:
    """The target of the first key that a module answers to; a name means subclasses as well."""
    names = [
        kind.__name__
        for kind in type(module).__mro__
        if issubclass(kind, nn.Module) and kind is not nn.Module
    ]
    for key, target in swaps.items():
        if key in names if isinstance(key, str) else isinstance(module, key):
            return target
    return None


def _modules(model: nn.Module, swaps: Mapping[Key, Target], done: list[Swap]) -> nn.Module:
    made: dict[int, nn.Module] = {}
    like = next(model.parameters(), None)
    own = _wanted(model, swaps)
    if own is not None:
        return _swapped(model, own, "", done, like)
    for path, parent, name, child in list(_places(model)):
        target = _wanted(child, swaps)
        if target is None:
            continue
        if id(child) not in made:
            made[id(child)] = _swapped(child, target, path, done, like)
        setattr(parent, name, made[id(child)])
    return model


def _places(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, nn.Module]]:
    """Every place where a module stands: its path, its parent, its name there, and itself."""
    for path, parent in model.named_modules():
        for name, child in parent._modules.items():
            if child is not None:
                yield f"{path}.{name}" if path else name, parent, name, child


_HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs"),
)


def _swapped(
    module: nn.Module, target: Target, path: str, done: list[Swap], like: Tensor | None
) -> nn.Module:
    made = replacement(module, target).train(module.training)
    if like is not None and next(module.parameters(), None) is None:
        made.to(like.device, like.dtype if like.is_floating_point() else None)
    for name in _HOOKS:  # who listens to the old one listens to the new one
        if name in module.__dict__:
            made.__dict__[name] = module.__dict__[name]
    done.append(Swap(path, _short(module), _short(made)))
    return made


def _short(module: nn.Module) -> str:
    return " ".join(repr(module).split())


def _functions(model: nn.Module, swaps: Mapping[Key, Target], done: list[Swap]) -> list[str]:
    """Rewrite the calls in every module's own forward; name those that cannot be."""
    left: list[str] = []
    named = {function_of(_named(key)): target for key, target in swaps.items()}
    functions = {function: target for function, target in named.items() if known(function)}
    for path, module in list(model.named_modules()):
        if type(module).__module__.startswith(("torch.nn.", "cnnatomy.")):
            continue
        found = called(module, functions)
        changes = rewritten(module, functions) if found else []
        if changes is None:
            left.append(f"{path or type(module).__name__}: {', '.join(sorted(found))}")
        else:
            done += [Swap(path, before, _short(after)) for before, after in changes]
    return left


def _named(key: Key) -> str:
    return key if isinstance(key, str) else key.__name__
