"""Why a pass stopped: it needed the values of a tensor, or a layer cannot take what it was given."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import torch
from torch import nn

import cnnatomy
from cnnatomy.anatomy.record.assumed_values import QUESTIONS
from cnnatomy.anatomy.record.graph import Graph
from cnnatomy.anatomy.shapes import sizes
from cnnatomy.errors import ArgumentError

_MADE_FOR = ("in_channels", "in_features", "num_features", "num_channels", "input_size", "num_embeddings")
_INSTALLED = ("site-packages", "dist-packages")
_ANSWERABLE = {
    "nonzero": "nonzero",
    "masked_select": "nonzero",
    "item()": "item",
    "tolist()": "item",
    "unique": "unique",
    "nms": "nms",
}
"""The questions that a caller can answer, by a word of torch's message."""
_UNANSWERABLE = {
    "repeat_interleave": "how often cells are repeated depends on values",
    "bincount": "how many values there are of each kind depends on them",
}
"""What else is asked of values, by such a word."""
_NEEDS_DATA = re.compile(r"\bmeta\b|data.dependent|unallocated storage|\.item\(\)|fake tensor", re.IGNORECASE)
_NEEDS_INTEGERS = re.compile(
    r"scalar types?:? Long, Int|expected .*(Long|Int).* but got|indices.*integ", re.I
)


def reason_of(error: Exception, graph: Graph, shell: nn.Module, assumed: bool) -> str:
    """Say why a pass stopped if it needed values, or would need others than were assumed.

    Raises:
        ArgumentError: it did not: a layer cannot take what it is given.
    """
    said = " ".join(str(error).split()) or type(error).__name__
    if graph.outputs:
        return f"the backward pass cannot run without data: {_short(said)}"
    if graph.stopped is None:
        return f"no layer could be run: {_short(said)}"
    visit = graph.visits[graph.stopped]
    layer = _name(shell, visit.path)
    if isinstance(error, NotImplementedError) or _NEEDS_DATA.search(said):
        return f"{layer} cannot run without data: {_plainly(said)}{_line(error)}{_remedy(said)}"
    if assumed:
        return f"{layer} cannot run with what was assumed: {_short(said)}{_line(error)}"
    if not isinstance(error, RuntimeError | ValueError | IndexError | TypeError | AssertionError):
        return f"{layer} raised {type(error).__name__}: {_short(said)}"
    given = " and ".join(sizes(value.shape) for value in visit.inputs) or "no tensor"
    source = " and ".join(sizes(value.shape[1:]) for value in graph.inputs.values()) or "no tensor"
    hint = "dtype=torch.int64" if _NEEDS_INTEGERS.search(said) else None
    raise ArgumentError(
        f"{layer} cannot take {given}, from a model input of {source}: {said.rstrip('.')}", hint=hint
    ) from error


def _plainly(said: str) -> str:
    """What was asked of a tensor that has no values, in words; torch's own where there are none for it."""
    for word, name in _ANSWERABLE.items():
        if word in said:
            return QUESTIONS[name].words
    return next((words for word, words in _UNANSWERABLE.items() if word in said), _short(said))


def _remedy(said: str) -> str:
    """What the caller may assume to get further."""
    name = next((name for word, name in _ANSWERABLE.items() if word in said), None)
    if name is None:
        return ""
    answer = "all, or a count" if QUESTIONS[name].counts else "a number"
    return f"; assume {name}={answer}, to go on"


def _line(error: Exception) -> str:
    """Where in the model's code an error came up: the innermost line not of torch or of this package."""
    own = [Path(module.__file__ or "").parent for module in (torch, cnnatomy)]
    frames: list[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    places = (at for at, one in enumerate(frames) if one.name == "__torch_dispatch__")
    frames = frames[: next(places, None)]  # behind it are the operator's own
    theirs = [one for one in frames if not any(Path(one.filename).is_relative_to(home) for home in own)]
    if not theirs:
        return ""
    parts = Path(theirs[-1].filename).parts
    home = next((at + 1 for at in range(len(parts)) if parts[at] in _INSTALLED), len(parts) - 1)
    return f" ({'/'.join(parts[home:])}:{theirs[-1].lineno}: {theirs[-1].line})"


def _short(said: str) -> str:
    return said.split(". ")[0][:300]


def _name(shell: nn.Module, path: str) -> str:
    """The layer's path, class, and the size it was made for if it says one."""
    module = shell.get_submodule(path)
    made_for = (f", {name}={getattr(module, name)}" for name in _MADE_FOR if hasattr(module, name))
    kind = f"({type(module).__name__}{next(made_for, '')})"
    return f"layer {path!r} {kind}" if path else f"the model {kind}"
