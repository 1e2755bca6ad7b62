"""Why a pass stopped: it needed the values of a tensor, or a layer cannot take what it was given."""

from __future__ import annotations

import re

from torch import nn

from cnnatomy.anatomy.graph import Graph
from cnnatomy.anatomy.table import sizes
from cnnatomy.errors import ArgumentError

_MADE_FOR = ("in_channels", "in_features", "num_features", "num_channels", "input_size", "num_embeddings")
_NEEDS_DATA = re.compile(r"\bmeta\b|data.dependent|unallocated storage|\.item\(\)|fake tensor", re.IGNORECASE)
_NEEDS_INTEGERS = re.compile(
    r"scalar types?:? Long, Int|expected .*(Long|Int).* but got|indices.*integ", re.I
)


def reason_of(error: Exception, graph: Graph, shell: nn.Module) -> str:
    """Say why a pass stopped if it needed values; raise an error naming the layer if it did not."""
    said = " ".join(str(error).split()) or type(error).__name__
    if graph.outputs:
        return f"the backward pass cannot run without data: {_short(said)}"
    if graph.stopped is None:
        return f"no layer could be run: {_short(said)}"
    visit = graph.visits[graph.stopped]
    layer = _name(shell, visit.path)
    if isinstance(error, NotImplementedError) or _NEEDS_DATA.search(said):
        return f"{layer} cannot run without data: {_short(said)}"
    if not isinstance(error, RuntimeError | ValueError | IndexError | TypeError | AssertionError):
        return f"{layer} raised {type(error).__name__}: {_short(said)}"
    given = " and ".join(sizes(value.shape) for value in visit.inputs) or "no tensor"
    source = " and ".join(sizes(value.shape[1:]) for value in graph.inputs.values()) or "no tensor"
    hint = "dtype=torch.int64" if _NEEDS_INTEGERS.search(said) else None
    raise ArgumentError(
        f"{layer} cannot take {given}, from a model input of {source}: {said.rstrip('.')}", hint=hint
    ) from error


def _short(said: str) -> str:
    return said.split(". ")[0][:300]


def _name(shell: nn.Module, path: str) -> str:
    """The layer's path, class, and the size it was made for if it says one."""
    module = shell.get_submodule(path)
    made_for = (f", {name}={getattr(module, name)}" for name in _MADE_FOR if hasattr(module, name))
    kind = f"({type(module).__name__}{next(made_for, '')})"
    return f"layer {path!r} {kind}" if path else f"the model {kind}"
