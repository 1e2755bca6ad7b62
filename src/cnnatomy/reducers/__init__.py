"""What a pooling computes: one file for each, and the registry that tests, help and docs derive from."""

from __future__ import annotations

from difflib import get_close_matches

from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import Reducer
from cnnatomy.reducers.max import Max
from cnnatomy.reducers.mean import Mean
from cnnatomy.reducers.min import Min

REGISTRY: dict[str, type[Reducer]] = Reducer.registry
"""Every pooling by its name; one that you define joins it."""


_MADE: dict[str, Reducer] = {}  # one of each, since names are looked up at every call


def reducer(which: Reducer | str) -> Reducer:
    """A reducer from itself or from its name in the registry.

    Raises:
        ArgumentError: there is no pooling of that name.

    Example:
        >>> reducer("max")
        Max()
        >>> reducer("maxx")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: no such pooling: expected max, mean or min, got 'maxx'; try 'max'
    """
    if isinstance(which, Reducer):
        return which
    if isinstance(which, str) and which in REGISTRY:
        made = _MADE.get(which)
        if made is None or type(made) is not REGISTRY[which]:
            made = _MADE[which] = REGISTRY[which]()
        return made
    names = sorted(REGISTRY)
    near = get_close_matches(str(which), names, n=1)
    expected = ", ".join(names[:-1]) + " or " + names[-1]
    raise ArgumentError(
        "no such pooling", expected=expected, got=repr(which), hint=repr(near[0]) if near else None
    )


__all__ = ["REGISTRY", "Max", "Mean", "Min", "Reducer", "reducer"]
