"""Checks that the parameters of several poolings share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from cnnatomy.checks import constant
from cnnatomy.errors import ArgumentError


def real(record: Any, name: str, expected: str, allowed: Callable[[float], bool]) -> None:
    """Hold a field to a real number that is allowed, and make it a float, so that equal records print alike.

    Raises:
        ArgumentError: the field is another number, or none.
    """
    value = getattr(record, name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not allowed(value):
        raise ArgumentError(f"{type(record).__name__} has no such {name}", expected=expected, got=repr(value))
    object.__setattr__(record, name, constant(value) if math.isfinite(value) else float(value))


def word(record: Any, name: str, words: Sequence[str]) -> None:
    """Hold a field to one of a few words.

    Raises:
        ArgumentError: the field is another.
    """
    value = getattr(record, name)
    if not isinstance(value, str) or value not in words:
        expected = " or ".join(map(repr, words))
        raise ArgumentError(f"{type(record).__name__} has no such {name}", expected=expected, got=repr(value))


def learned(record: Any) -> None:
    """Hold the field `learned` to a number of values: 0 for none, 1 that channels share, or one for each.

    Raises:
        ArgumentError: the field is no such number.
    """
    value = record.learned
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        expected = "0 for none, 1 that all channels share, or the number of channels"
        raise ArgumentError("so many values cannot be learned", expected=expected, got=repr(value))
