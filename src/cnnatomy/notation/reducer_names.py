"""The registry's poolings as notation calls them; nothing here needs torch."""

from __future__ import annotations

from cnnatomy.notation.network_spec import Pooling, Scalar
from cnnatomy.reducers import REGISTRY, Reducer, reducer
from cnnatomy.reducers.shared import reducer_text

DEFAULT = ""
"""The reducer of a pooling that names none (POOL): the registry's first choice."""
EACH_CHANNEL = "channels"
"""`learned=channels` means one parameter for each channel."""


def spoken(name: str) -> str:
    """What notation calls a pooling of the registry: by the literature's name, where it has one.

    Example:
        >>> spoken("mean"), spoken("soft")
        ('avg', 'soft')
    """
    return next(iter(REGISTRY[name].aliases), name) if name else name


def names() -> list[str]:
    """Every name that a pooling goes by, the longest first."""
    return sorted(reducer_text.names(), key=lambda name: (-len(name), name))


def instead(pooling: str) -> str:
    """Where a global pooling is said: nothing takes its place from outside.

    Example:
        >>> instead("globalsoft")
        "globalsoft in the model's text, in place of its global pooling"
    """
    return f"{pooling} in the model's text, in place of its global pooling"


def named(which: str, args: list[tuple[str, Scalar]]) -> Pooling:
    """A pooling with its arguments named, the nameless ones in the order of the reducer's fields.

    Raises:
        ArgumentError: there is no such pooling, or it takes no such argument.
    """
    if not which:
        return Pooling(which)
    kind, _ = reducer_text.read(which)
    pooling = Pooling(kind.name, tuple(reducer_text.ordered(kind, args).items()))
    instance(pooling, channels=1)
    return pooling


def instance(pooling: Pooling, channels: int) -> Reducer:
    """The reducer itself.

    Raises:
        ArgumentError: an argument is out of its range.

    Example:
        >>> instance(Pooling("gem", (("p", 3.0), ("learned", "channels"))), channels=8).learned
        8
    """
    if not pooling.reducer:
        return reducer("max")
    given = {name: channels if value == EACH_CHANNEL else value for name, value in pooling.args}
    return reducer_text.made(REGISTRY[pooling.reducer], given)
