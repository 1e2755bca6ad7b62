"""The registry's poolings as notation calls them, and their arguments; nothing here needs torch."""

from __future__ import annotations

from dataclasses import fields

from cnnatomy.errors import ArgumentError
from cnnatomy.notation.network_spec import Pooling, Scalar
from cnnatomy.reducers import REGISTRY, Mean, Reducer, reducer

ALIASES = {"avg": Mean.name, "average": Mean.name}
"""Names that the literature has for poolings of the registry; the first one is printed."""
DEFAULT = ""
"""The reducer of a pooling that names none (POOL): the registry's first choice, `cnnatomy.pool`'s default."""
EACH_CHANNEL = "channels"
"""`learned=channels` means one parameter for each channel."""


def spoken(name: str) -> str:
    """What notation calls a pooling of the registry.

    Example:
        >>> spoken("mean"), spoken("soft")
        ('avg', 'soft')
    """
    return next((alias for alias, known in ALIASES.items() if known == name), name)


def names() -> list[str]:
    """Every name that a pooling goes by, the longest first."""
    return sorted((*REGISTRY, *ALIASES), key=lambda name: (-len(name), name))


def registered(said: str) -> str:
    """The registry's name for what was said."""
    low = said.casefold()
    return ALIASES.get(low, low)


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
    kind = type(reducer(which))
    order = [one.name for one in fields(kind)]  # type: ignore[arg-type]  # reducers are dataclasses
    given: dict[str, Scalar] = {}
    for place, (name, value) in enumerate(args):
        name = name or (order[place] if place < len(order) else "")
        if name not in order or name in given:
            what = f"{which} pooling takes no such argument"
            raise ArgumentError(what, expected=", ".join(order) or "none", got=name or str(value))
        given[name] = value
    made = Pooling(which, tuple((name, given[name]) for name in order if name in given))
    instance(made, channels=1)
    return made


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
    kind = REGISTRY[pooling.reducer]
    given = {name: channels if value == EACH_CHANNEL else value for name, value in pooling.args}
    try:
        return kind(**given)
    except ArgumentError:
        raise
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{pooling.reducer} pooling: {error}") from error
