"""What a pooling computes: one file for each, and the registry that tests, help and docs derive from."""

from __future__ import annotations

from dataclasses import is_dataclass
from importlib import import_module
from pkgutil import iter_modules

from cnnatomy.checks import shown
from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import Reducer
from cnnatomy.reducers.covariance import Covariance
from cnnatomy.reducers.expected import Expected
from cnnatomy.reducers.gem import GeM
from cnnatomy.reducers.importance import Importance
from cnnatomy.reducers.kmax import KMax
from cnnatomy.reducers.kth import Kth
from cnnatomy.reducers.l2 import L2
from cnnatomy.reducers.logsumexp import LogSumExp
from cnnatomy.reducers.lp import Lp
from cnnatomy.reducers.max import Max
from cnnatomy.reducers.mean import Mean
from cnnatomy.reducers.median import Median
from cnnatomy.reducers.min import Min
from cnnatomy.reducers.mixed import Mixed
from cnnatomy.reducers.quantile import Quantile
from cnnatomy.reducers.shared.reducer_text import made, read
from cnnatomy.reducers.soft import Soft
from cnnatomy.reducers.stochastic import Stochastic
from cnnatomy.reducers.trimmed import Trimmed
from cnnatomy.spec import brief

for _file in iter_modules(__path__):
    if not _file.ispkg:  # `contract` and `shared` hold no poolings
        import_module(f"{__name__}.{_file.name}")

REGISTRY = Reducer.registry
"""Every pooling by its name; one that you define joins it."""


def reducer(which: Reducer | str) -> Reducer:
    """A reducer from itself, or from its name in any spelling, with arguments or without.

    Raises:
        ArgumentError: there is no pooling of that name, or it takes no such argument.

    Example:
        >>> reducer("max"), reducer("avg"), reducer("GeM(p=2)")
        (Max(), Mean(count_include_pad=False, divisor=None), GeM(p=2.0, clamp=1e-06, learned=0))
        >>> reducer("maxx")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: no pooling is called 'maxx': ...; try 'max'
    """
    if isinstance(which, Reducer):
        return which
    said = str(which)  # what is no text either has no hash or cannot be read
    kind, known = _MADE.get(said, (None, None))
    if known is None or REGISTRY.get(known.name) is not kind:
        kind, given = read(which)
        known = made(kind, given)
        _MADE[said] = kind, known
    return known


_MADE: dict[
    str, tuple[type[Reducer], Reducer]
] = {}  # by what was said, since names are looked up at every call


def demand_first(call: str, reducer: object, where: object) -> None:
    """See that a call has its reducer before what it pools over: `call` is its text up to the reducer.

    Raises:
        ArgumentError: they are in the other order, or the reducer is left out.

    Example:
        >>> demand_first("Pool2d(", 2, "max")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: the reducer comes before the window: ...; try Pool2d('max', 2)
    """
    if isinstance(reducer, str | Reducer):
        return
    if isinstance(reducer, type) and issubclass(reducer, Reducer):
        raise ArgumentError("a reducer is wanted, not its class", hint=f"{reducer.__name__}()")
    named = where if isinstance(where, str | Reducer) else "max"
    shortly = brief(reducer) if is_dataclass(reducer) and not isinstance(reducer, type) else repr(reducer)
    hint = f"{call}{named!r}, {shortly})"
    raise ArgumentError("the reducer comes before the window", got=f"{shown(reducer)} first", hint=hint)


__all__ = [
    "L2",
    "REGISTRY",
    "Covariance",
    "Expected",
    "GeM",
    "Importance",
    "KMax",
    "Kth",
    "LogSumExp",
    "Lp",
    "Max",
    "Mean",
    "Median",
    "Min",
    "Mixed",
    "Quantile",
    "Reducer",
    "Soft",
    "Stochastic",
    "Trimmed",
    "demand_first",
    "reducer",
]
