"""Arguments checked where they are given, before anything deeper fails on them."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")
MOST = 2**63 - 1
"""The largest number that every file format and every generator of random numbers takes."""
MOST_THREADS, MOST_BATCH = 1024, 65_536


def shown(value: object) -> str:
    """A value and its type, in a few words.

    Example:
        >>> shown(2.5)
        '2.5 (float)'
    """
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def of_kind(what: str, value: object, kinds: type[T] | tuple[type[T], ...], expected: str) -> T:
    """Return the value if it is of one of these kinds.

    Raises:
        ArgumentError: it is of another.

    Example:
        >>> of_kind("the name of a model", "vgg16", str, "a string")
        'vgg16'
        >>> of_kind("the name of a model", 3, str, "a string")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: the name of a model: expected a string, got 3 (int)
    """
    if not isinstance(value, kinds):
        raise ArgumentError(what, expected=expected, got=shown(value))
    return value


def module(value: object) -> nn.Module:
    """Return the value if it is a network.

    Raises:
        ArgumentError: it is none.
    """
    from torch import nn

    if isinstance(value, type) and issubclass(value, nn.Module):
        expected, hint = "an nn.Module", f"{value.__name__}(...), one that is made"
        raise ArgumentError("this is no network", expected=expected, got="its class", hint=hint)
    return of_kind("this is no network", value, nn.Module, "an nn.Module")


def path(value: object, what: str) -> Path:
    """Return the value as a path if it is one, or its text.

    Raises:
        ArgumentError: it is neither.
    """
    if not isinstance(value, str | Path):
        raise ArgumentError(what, expected="a path", got=shown(value))
    return Path(value)


def paths(values: object, what: str) -> list[Path]:
    """Return several paths, each as `path` does; a single one is not several.

    Raises:
        ArgumentError: they are none.
    """
    if isinstance(values, str | Path) or not isinstance(values, Iterable):
        raise ArgumentError(what, expected="a list of paths", got=shown(values))
    return [path(value, what) for value in values]


def real(what: str, value: object, expected: str, holds: Callable[[float], bool]) -> float:
    """Return the value if it is a number, and one that is allowed.

    Raises:
        ArgumentError: it is not.

    Example:
        >>> real("seconds", float("nan"), "a number > 0", lambda n: n > 0)
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: seconds: expected a number > 0, got nan
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentError(what, expected=expected, got=shown(value))
    if not holds(value):
        raise ArgumentError(what, expected=expected, got=repr(value))
    return value


def whole_number(name: str, value: object, least: int, most: int | None = None) -> int:
    """Return `value` if it is an int from `least` to `most`; a bool, a float or another int is an error.

    A size that torch traces (`torch.SymInt`) stands for an int, and is not compared: that could fix it.

    Example:
        >>> whole_number("stride", 2, least=1)
        2
        >>> whole_number("stride", 0, least=1)
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: stride is out of range: expected an int >= 1, got 0
    """
    if type(value).__name__ == "SymInt":
        return cast("int", value)
    if isinstance(value, bool) or not isinstance(value, int):
        traced = "torch.export, if torch.jit.trace made a tensor of a size"
        raise ArgumentError(
            f"{name} is not a whole number",
            expected=f"an int >= {least}",
            got=shown(value),
            hint=traced if type(value).__name__ == "Tensor" else None,
        )
    if value < least:
        raise ArgumentError(f"{name} is out of range", expected=f"an int >= {least}", got=str(value))
    if most is not None and value > most:
        raise ArgumentError(f"{name} is out of range", expected=f"an int <= {most:,}", got=f"{value:,}")
    return value


def constant(number: float) -> float:
    """The same number as a float, by its exact fraction: one that a compiler traces becomes a constant.

    Raises:
        OverflowError, ValueError: it is infinite, or no number.

    Example:
        >>> constant(3), constant(0.1)
        (3.0, 0.1)
    """
    top, bottom = number.as_integer_ratio()
    return top / bottom


def count(name: str, value: object, least: int = 1, most: int = MOST) -> int:
    """Return a setting's value if it is a whole number, neither too small nor absurdly large.

    Example:
        >>> count("epochs", 2.5)
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: epochs: expected a whole number >= 1, got 2.5
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(name, expected=f"a whole number >= {least}", got=reprlib.repr(value))
    if value > most:
        raise ArgumentError(name, expected=f"a whole number of at most {most:,}", got=reprlib.repr(value))
    return value


def index(name: str, value: object, size: int) -> int:
    """Return `value` if it is an int in `[0, size)`.

    Example:
        >>> index("output", 2, size=3)
        2
        >>> index("output", 3, size=3)
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: output 3 does not exist: expected 0 .. 2, got 3
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < size:
        expected = f"0 .. {size - 1}" if size else "none, there are no cells"
        raise ArgumentError(f"{name} {value!r} does not exist", expected=expected, got=repr(value))
    return value


def is_place(at: Sequence[object], sizes: Sequence[int]) -> bool:
    """Whether whole numbers, those of NumPy too, are an index into a tensor of these sizes.

    Example:
        >>> is_place((1, 2), (3, 3)), is_place((1, 3), (3, 3)), is_place("ab", (3, 3))
        (True, False, False)
    """
    return len(at) == len(sizes) and all(
        isinstance(i, Integral) and 0 <= int(i) < n for i, n in zip(at, sizes, strict=True)
    )


def words(values: object, what: str) -> tuple[str, ...]:
    """Return several names; a single one is not several, one for each letter.

    Raises:
        ArgumentError: they are none.
    """
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ArgumentError(what, expected="a list of strings", got=shown(values))
    return tuple(of_kind(what, value, str, "a list of strings") for value in values)


def device(name: Any) -> torch.device:
    """Return the device of that name, on which a tensor can lie.

    Raises:
        ArgumentError: there is none here.

    Example:
        >>> device("meta")
        device(type='meta')
    """
    import torch

    try:
        found = torch.device(name)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        what = f"no device {reprlib.repr(name)} here"
        raise ArgumentError(what, expected="a device of torch", hint="cpu") from error
    return found
