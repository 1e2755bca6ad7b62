"""Sizes and places as people type them."""

from __future__ import annotations

import re

from cnnatomy.errors import ArgumentError


def size_of(name: str, text: str) -> int | tuple[int, ...]:
    """A size on all axes, or one for each.

    Raises:
        ArgumentError: it is no size.

    Example:
        >>> size_of("--kernel", "3"), size_of("--kernel", "3x5")
        (3, (3, 5))
    """
    if not re.fullmatch(r"[1-9][0-9]{0,5}(x[1-9][0-9]{0,5})*", text):
        expected = "a whole number >= 1, or one for each axis such as 3x5"
        raise ArgumentError(name, expected=expected, got=repr(text))
    sizes = tuple(int(one) for one in text.split("x"))
    return sizes[0] if len(sizes) == 1 else sizes


def place_of(name: str, text: str | None) -> tuple[int, ...] | None:
    """A place on a map.

    Raises:
        ArgumentError: it is no place.

    Example:
        >>> place_of("--at", "4,4")
        (4, 4)
    """
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text):
        raise ArgumentError(name, expected="a place such as 4,4", got=repr(text))
    return tuple(int(one) for one in text.split(","))
