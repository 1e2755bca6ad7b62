"""What files of a run say, checked as it is read: damage is told in a line, and nothing is cast."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import Tensor

from cnnatomy.checks import shown
from cnnatomy.errors import CheckpointError, CnnatomyError
from cnnatomy.train.reporter import Epoch

_LARGEST, _LONGEST = 9999, 300
Kind = tuple[Callable[[Any], bool], str]
"""What a fact must be, and that in words."""


@contextmanager
def damage_in(path: Path) -> Iterator[None]:
    """Say in one line that a file of a run is damaged, however what it holds ends the code that takes it.

    Raises:
        CheckpointError: anything was raised that is no line for the user.
    """
    try:
        yield
    except CnnatomyError as error:
        line, *more = str(error).splitlines()
        if not more:
            raise
        raise CheckpointError(f"{path} is damaged", got=line) from error
    except OSError:
        raise
    except Exception as error:  # what an odd value ends in depends on where it is first used
        got = f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}"
        raise CheckpointError(f"{path} is damaged", got=got) from error


def demand(path: Path, facts: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Hold what a file says to what it must say.

    Raises:
        CheckpointError: something is missing, or of another kind.
    """
    for name, (fits, expected) in kinds.items():
        if name not in facts:
            raise CheckpointError(f"{path} is damaged", expected=f"{name}, {expected}", got="nothing")
        if not fits(facts[name]):
            what = f"{path} is damaged: its {name}"
            raise CheckpointError(what, expected=expected, got=shown(facts[name]))


def demand_alike(path: Path, saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Hold tensors of a file to the kinds of numbers that they are to replace; NaN is no number.

    Raises:
        CheckpointError: one is of another kind, or holds NaN.
    """
    for name, tensor in saved.items():
        wanted = own[name].dtype if name in own else tensor.dtype
        if tensor.dtype != wanted:
            got, expected = (str(dtype).removeprefix("torch.") for dtype in (tensor.dtype, wanted))
            raise CheckpointError(f"{path} is damaged: {name!r}", expected=expected, got=got)
        if (tensor != tensor).any():
            raise CheckpointError(f"{path} is damaged: {name!r}", expected="numbers", got="NaN among them")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value)) and len(set(value)) == len(value) >= 2


def _are_sizes(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(_is_count(n) and 1 <= n <= _LARGEST for n in value)
    )


def _are_epochs(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) and _is_epoch(row) for row in value)


def _is_epoch(row: Mapping[str, Any]) -> bool:
    optional = {name for name in row if name.startswith(("validation_", "test_")) and row[name] is None}
    counts = _is_count(row.get("epoch")) and _is_count(row.get("step"))
    numbers = all(_is_number(cell) for name, cell in row.items() if name not in optional)
    return counts and numbers and row.keys() == {field.name for field in fields(Epoch)}


_TEXT: Kind = (_is_text, "text")
_TABLE: Kind = (lambda value: isinstance(value, dict), "a table")
MODEL: Mapping[str, Kind] = {
    **dict.fromkeys(("model", "output", "fit"), _TEXT),
    "pool": (lambda value: value is None or _is_text(value), "text or null"),
    "classes": (_are_names, "two different names at least"),
    "input_shape": (_are_sizes, f"channels, height and width of at most {_LARGEST}"),
}
"""What is said with weights, so that the network can be built that they are for."""
STATE: Mapping[str, Kind] = {
    **dict.fromkeys(("model", "scaler", "settings"), _TABLE),
    **dict.fromkeys(("seconds", "epoch_seconds"), (_is_number, "a number")),
    "step": (_is_count, "a whole number"),
    "history": (_are_epochs, "a row for each epoch"),
    "data": _TEXT,
}
"""What is said with a training's state, so that it can go on."""
