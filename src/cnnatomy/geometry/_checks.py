"""The checks that every part of the geometry asks of its arguments."""

from __future__ import annotations

from typing import cast

from cnnatomy.errors import ArgumentError


def whole_number(name: str, value: object, least: int) -> int:
    """Return `value` if it is an int of at least `least`; a bool, a float or a smaller int is an error.

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
        raise ArgumentError(
            f"{name} is not a whole number",
            expected=f"an int >= {least}",
            got=f"{value!r} ({type(value).__name__})",
        )
    if value < least:
        raise ArgumentError(f"{name} is out of range", expected=f"an int >= {least}", got=str(value))
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
