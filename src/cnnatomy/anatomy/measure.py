"""Measure: one forward pass of a weightless copy on meta tensors, recorded layer by layer.

A meta tensor has a shape and no data: nothing is computed, nothing is allocated, and the model that the
caller holds (weights, buffers, training flag, hooks) is not the one that runs.
"""

from __future__ import annotations

import copy
import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from cnnatomy.anatomy.table import Row, Shape, Table, sizes
from cnnatomy.errors import ArgumentError

_MADE_FOR = ("in_channels", "in_features", "num_features", "num_channels", "input_size")
_NEEDS_DATA = re.compile(r"\bmeta\b|data.dependent", re.IGNORECASE)


class _Call(NamedTuple):
    path: str
    inputs: tuple[Shape, ...]


class _Recorder:
    """Listens to every layer of one forward pass: which ran, in which order, and what it returned."""

    def __init__(self) -> None:
        self.order: list[_Call] = []
        self.running: list[int] = []
        self.shapes: dict[int, tuple[Shape, ...]] = {}

    def attach(self, model: nn.Module) -> None:
        for path, module in model.named_modules():
            module.register_forward_pre_hook(self._opening(path), prepend=True, with_kwargs=True)
            module.register_forward_hook(self._closing)

    def _opening(self, path: str) -> Any:
        def enter(_module: nn.Module, args: Any, kwargs: Any) -> None:
            self.running.append(len(self.order))
            self.order.append(_Call(path, _shapes((args, kwargs))))

        return enter

    def _closing(self, _module: nn.Module, _args: Any, output: Any) -> None:
        self.shapes[self.running.pop()] = _shapes(output)


def inspect(model: nn.Module, input_shape: tuple[int, ...]) -> Table:
    """Every layer of a model with its output shape and parameters, measured without running the model itself.

    A row is one run of a layer that has no children, or that owns parameters; it counts the parameters of the
    layer itself, each parameter once, so that the rows sum to the model's unique parameters.

    Args:
        model: any module that takes one tensor; it is left as it is.
        input_shape: the shape of one input without the batch, such as (C, H, W); a batch of one is run,
            in evaluation mode.

    Returns:
        The table. If the forward pass needs the values of a tensor, the shapes measured so far, `complete`
        False and the `reason`; the parameters are counted in full all the same.

    Raises:
        ArgumentError: the shape is not of positive integers, a layer cannot take what it is given, or the
            model has lazy layers that have not seen an input.

    Example:
        >>> table = inspect(nn.Sequential(nn.Conv2d(1, 6, 5), nn.Flatten(), nn.Linear(6, 10)), (1, 5, 5))
        >>> [(row.path, row.output_shapes, row.parameters) for row in table.rows]
        [('0', ((1, 6, 1, 1),), 156), ('1', ((1, 6),), 0), ('2', ((1, 10),), 70)]
        >>> table.parameters
        226
    """
    whole = isinstance(input_shape, tuple) and all(isinstance(n, int) and n > 0 for n in input_shape)
    if not whole or not input_shape:
        raise ArgumentError(
            "the input shape is not a shape",
            expected="positive sizes without the batch, such as (1, 32, 32)",
            got=repr(input_shape),
        )
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    lazy = [name for name, tensor in model.named_parameters() if is_lazy(tensor)]
    if lazy:
        raise ArgumentError(f"parameter {lazy[0]!r} has no size yet", hint="run the model once on an input")
    recorder = _Recorder()
    notes: list[str] = []
    reason: str | None = None
    try:
        shell = _shell(model)
        if silenced := _silence(shell):
            notes.append(f"hooks of the caller, not run: {silenced}")
        recorder.attach(shell)
        with _weightless():
            shell(torch.empty(1, *input_shape, dtype=_dtype(model)))
    except Exception as error:
        reason = _reason(error, recorder, model, input_shape)
    rows = tuple(_rows(model, recorder))
    table = Table(
        type(model).__name__, tuple(input_shape), rows, recorder.shapes.get(0, ()), reason, tuple(notes)
    )
    unique = sum(parameter.numel() for parameter in model.parameters())
    assert table.parameters == unique, f"rows sum to {table.parameters}, the model has {unique}"
    return table


def _shell(model: nn.Module) -> nn.Module:
    """A copy of the model's structure in evaluation mode, meta tensors in place of all its tensors."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for tensor in tree_leaves(vars(module)):  # parameters, buffers, and what lies in plain attributes
            if isinstance(tensor, Tensor) and id(tensor) not in memo:
                bare = torch.empty_like(tensor.detach(), device="meta")
                parameter = isinstance(tensor, nn.Parameter)
                memo[id(tensor)] = nn.Parameter(bare, tensor.requires_grad) if parameter else bare
    return copy.deepcopy(model, memo).eval()


def _silence(shell: nn.Module) -> int:
    """Takes the caller's hooks off the copy, and leaves torch's own (pruning, weight norm); says how many."""
    silenced = 0
    for module in shell.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key, hook in list(hooks.items()):
                home = getattr(hook, "__module__", None) or type(hook).__module__
                if not home.startswith("torch."):
                    del hooks[key]
                    silenced += 1
        module._backward_hooks.clear()
    return silenced


@contextmanager
def _weightless() -> Iterator[None]:
    """New tensors are meta tensors, no graph is built, and attention does not skip its own layers."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.device("meta"), torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _dtype(model: nn.Module) -> torch.dtype:
    floats = (p.dtype for p in model.parameters() if p.dtype.is_floating_point)
    return next(floats, torch.get_default_dtype())


def _shapes(value: Any) -> tuple[Shape, ...]:
    return tuple(tuple(leaf.shape) for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


def _reason(error: Exception, recorder: _Recorder, model: nn.Module, input_shape: Shape) -> str:
    """Say why the forward pass stopped if it needed values; raise an error naming the layer if it did not."""
    said = " ".join(str(error).split()) or type(error).__name__
    if not recorder.running:
        return f"no layer could be run: {said}"
    stopped = recorder.order[recorder.running[-1]]
    layer = _name(model, stopped.path)
    if isinstance(error, NotImplementedError) or _NEEDS_DATA.search(said):
        return f"{layer} cannot run without data: {said.split('. ')[0]}"
    given = " and ".join(map(sizes, stopped.inputs)) or "no tensor"
    raise ArgumentError(
        f"{layer} cannot take {given}, from a model input of {sizes(input_shape)}: {said.rstrip('.')}"
    ) from error


def _name(model: nn.Module, path: str) -> str:
    """The layer's path, class, and the size it was made for if it says one."""
    module = model.get_submodule(path)
    made_for = (f", {name}={getattr(module, name)}" for name in _MADE_FOR if hasattr(module, name))
    kind = f"({type(module).__name__}{next(made_for, '')})"
    return f"layer {path!r} {kind}" if path else f"the model {kind}"


def _rows(model: nn.Module, recorder: _Recorder) -> Iterator[Row]:
    """The rows in the order the layers started, then the owners of parameters that were never called."""
    modules = dict(model.named_modules())
    times = Counter(call.path for call in recorder.order)
    seen: set[int] = set()
    nth: Counter[str] = Counter()
    for index, (path, _) in enumerate(recorder.order):
        nth[path] += 1
        if _has_row(modules[path]):
            key = f"{path}#{nth[path]}" if times[path] > 1 else path
            yield _row(key, modules[path], recorder.shapes.get(index, ()), seen)
    for path, module in modules.items():
        if not times[path] and any(True for _ in module.parameters(recurse=False)):
            yield _row(path, module, (), seen)


def _has_row(module: nn.Module) -> bool:
    own = any(True for _ in module.parameters(recurse=False))
    return own or all(name == "parametrizations" for name, _ in module.named_children())


def _row(path: str, module: nn.Module, shapes: tuple[Shape, ...], seen: set[int]) -> Row:
    counts = {"trainable": 0, "frozen": 0, "shared": 0}
    for parameter in module.parameters(recurse=False):
        kind = "shared" if id(parameter) in seen else "trainable" if parameter.requires_grad else "frozen"
        counts[kind] += math.prod(parameter.shape)
        seen.add(id(parameter))
    return Row(path, type(module).__name__, shapes, **counts)
