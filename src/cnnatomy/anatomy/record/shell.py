"""A weightless copy of a model: the same modules over meta tensors, so that a run costs and changes nothing.

A meta tensor has a shape and no data: nothing is computed, nothing is allocated, and the model that the
caller holds (weights, buffers, training flag, hooks) is not the one that runs.
"""

from __future__ import annotations

import copy
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType, NoneType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cnnatomy.errors import ArgumentError

_PLAIN = (
    int,
    float,
    complex,
    bool,
    str,
    bytes,
    NoneType,
    type,
    FunctionType,
    BuiltinFunctionType,
    ModuleType,
)
_KEPT = frozenset(  # what cannot change, or is not the model's to change
    (*_PLAIN, torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format)
)
_WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    **dict.fromkeys(("DataParallel", "DistributedDataParallel", "Adopted"), "module"),
}
_HOW_HOOKS_RUN = (
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
)
_STANDARD = frozenset(vars(nn.Module()))


class _Lazy(Exception):
    """A weight has no size yet."""


class Unrunnable(Exception):
    """The model has no weightless copy; the text says why."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, out of what `torch.compile`, data parallelism and training put around it.

    Example:
        >>> unwrapped(nn.DataParallel(nn.ReLU()))
        ReLU()
    """
    while (inner := _WRAPPERS.get(type(model).__name__)) and hasattr(model, inner):
        model = getattr(model, inner)
    return model


class Shell(NamedTuple):
    """A copy of a model's structure."""

    module: nn.Module
    silenced: Counter[str]
    """How many hooks it left out, by whose they are."""
    fixed: list[tuple[Tensor, Tensor]]
    """Its tensors that are no parameters, such as buffers, each with the model's own."""


def shell_of(model: nn.Module) -> Shell:
    """A copy of the model's structure.

    Modules are copied one by one over meta tensors; other attributes as `copy.deepcopy` does, and what that
    cannot copy (locks, open files, generators) is left as it is.

    Raises:
        ArgumentError: a lazy layer has not seen an input, so its parameters have no size.
        Unrunnable: a weight cannot be a meta tensor.
    """
    copying = _Copying()
    try:
        shell = copying.module(model)
    except _Lazy:
        held = (*model.named_parameters(), *model.named_buffers())
        name = next((f"parameter {name!r}" for name, tensor in held if is_lazy(tensor)), "a parameter")
        raise ArgumentError(f"{name} has no size yet", hint="run the model once on an input") from None
    return Shell(shell, copying.silenced, copying.fixed)


def class_name(module: nn.Module) -> str:
    """Of its class, or of the class that it was scripted from.

    Example:
        >>> class_name(nn.Linear(2, 2))
        'Linear'
    """
    scripted = isinstance(module, torch.jit.ScriptModule)
    return str(module.original_name) if scripted else type(module).__name__


def set_mode(shell: nn.Module, train: bool) -> None:
    """Put every module in training or evaluation mode; exported programs have a flag and no say in it."""
    try:
        shell.train(train)
    except NotImplementedError:
        for module in shell.modules():
            module.training = train


def listen(module: nn.Module, entering: Callable[..., None], leaving: Callable[..., None]) -> None:
    """Call `entering` before all other hooks of a shell's module, and `leaving` after them, come what may.

    What `register_forward_pre_hook` and its like do, without handles that nobody keeps.
    """
    key = -1  # torch counts from 0
    module._forward_pre_hooks[key] = entering
    module._forward_pre_hooks_with_kwargs[key] = True
    module._forward_pre_hooks.move_to_end(key, last=False)  # type: ignore[attr-defined]
    module._forward_hooks[key] = leaving
    module._forward_hooks_always_called[key] = True


class _Passing(nn.Module):
    """In place of a wrapper inside a model: it calls what it wraps."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the wrapped module returns."""
        (inner,) = self.children()
        return inner(*args, **kwargs)


class _Scripted(nn.Module):
    """A scripted module, whose own modules run out of Python's sight; its weights are real ones."""

    def __init__(self, scripted: nn.Module) -> None:
        super().__init__()
        self.__dict__["_inner"] = scripted  # not as a module: it takes no hooks
        self._parameters.update(scripted.named_parameters())
        self._buffers.update(scripted.named_buffers())

    def train(self, mode: bool = True) -> _Scripted:
        """Put it in training mode."""
        self.__dict__["_inner"].train(mode)
        return super().train(mode)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What it returns."""
        return self.__dict__["_inner"](*args, **kwargs)


class _Copying:
    """One copy: what was met is copied once, so that what was shared is shared."""

    def __init__(self) -> None:
        self.memo: dict[int, Any] = {}
        self.silenced: Counter[str] = Counter()
        self.fixed: list[tuple[Tensor, Tensor]] = []

    def module(self, module: nn.Module) -> nn.Module:
        """The module's copy."""
        if id(module) in self.memo:
            return self.memo[id(module)]  # type: ignore[no-any-return]
        if isinstance(module, torch.jit.ScriptModule):
            made = type(class_name(module), (_Scripted,), {})(copy.deepcopy(module))
            return self._kept(module, made)  # type: ignore[no-any-return]
        wraps = _WRAPPERS.get(type(module).__name__) in module._modules
        kind = type(type(module).__name__, (_Passing,), {}) if wraps else type(module)
        twin: nn.Module = self._kept(module, object.__new__(kind))
        held, state = module.__dict__, twin.__dict__
        if wraps:
            held = {name: value for name, value in held.items() if name in _STANDARD}
        state.update(held)
        for name, value in held.items():
            kind = type(value)
            if kind not in _KEPT:
                filled = name not in _STANDARD or value  # most of what a module holds is empty
                state[name] = self._attribute(name, value) if filled else kind()
        if "_compiled_call_impl" in state:
            state["_compiled_call_impl"] = None
        return twin

    def _attribute(self, name: str, value: Any) -> Any:
        if name not in _STANDARD or name in ("_parameters", "_buffers"):
            return self.value(value)
        if name == "_modules":
            return {key: None if part is None else self.module(part) for key, part in value.items()}
        if name in ("_forward_pre_hooks", "_forward_hooks"):
            return self._hooks(value)
        if name in _HOW_HOOKS_RUN:
            return type(value)(value)
        return type(value)()  # hooks of what is not run here, and what goes with hooks

    def value(self, value: Any) -> Any:
        """The copy of anything that a module may hold."""
        kind = type(value)
        if kind in _KEPT:
            return value
        if isinstance(value, Tensor):
            return self.tensor(value)
        if isinstance(value, nn.Module):
            return self.module(value)
        if id(value) in self.memo:
            return self.memo[id(value)]
        if kind is dict or kind is OrderedDict:
            made = self._kept(value, kind())
            made.update((key, self.value(part)) for key, part in value.items())
            return made
        if kind is list:
            items: list[Any] = self._kept(value, [])
            items.extend(map(self.value, value))
            return items
        if kind is tuple:
            return value if _KEPT.issuperset(map(type, value)) else tuple(map(self.value, value))
        try:
            return copy.deepcopy(value, self.memo)
        except Exception:  # whatever its class may raise
            return self._kept(value, value)

    def tensor(self, tensor: Tensor) -> Tensor:
        """A meta tensor in its place: of the same class of parameter, view and layout."""
        if id(tensor) in self.memo:
            return self.memo[id(tensor)]  # type: ignore[no-any-return]
        if is_lazy(tensor):
            raise _Lazy
        if tensor.layout is not torch.strided or tensor.is_quantized:
            kind = "quantized" if tensor.is_quantized else str(tensor.layout).removeprefix("torch.")
            raise Unrunnable(f"a {kind} weight has no weightless copy: measure the model before that step")
        bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        if type(tensor) is nn.Parameter or isinstance(tensor, nn.Parameter):  # the latter is slow
            bare = nn.Parameter(bare, tensor.requires_grad)
        elif type(tensor) is Tensor and not tensor.is_meta:
            self.fixed.append((bare, tensor))
        return self._kept(tensor, bare)  # type: ignore[no-any-return]

    def _kept(self, original: Any, made: Any) -> Any:
        self.memo[id(original)] = made
        return made

    def _hooks(self, hooks: dict[int, Any]) -> OrderedDict[int, Any]:
        """torch's own hooks (pruning, weight norm); all others are counted by whose they are."""
        kept: OrderedDict[int, Any] = OrderedDict()
        for key, hook in hooks.items():
            home = getattr(hook, "__module__", None) or type(hook).__module__
            if home.startswith("torch."):
                kept[key] = hook
            else:
                self.silenced[_library(home)] += 1
        return kept


def _library(home: str) -> str:
    """The installed package that a module is of; empty for what the caller wrote."""
    root = home.partition(".")[0]
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return root if {"site-packages", "dist-packages"} & set(Path(file).parts) else ""
