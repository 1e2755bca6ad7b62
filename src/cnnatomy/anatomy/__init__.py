"""The anatomy of a network, before it runs: measured on meta tensors, totalled, presented.

`anatomy` records one forward pass and counts; an `Anatomy` holds operations, layers, memory and receptive
fields, and presents itself in the terminal, in a notebook and as Markdown, CSV or JSON. The package itself
can be called as well: `cnnatomy.anatomy(model, (3, 224, 224))`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnatomy.anatomy.advice import Advice
    from cnnatomy.anatomy.advice.advise import advise
    from cnnatomy.anatomy.compare.diff import diff
    from cnnatomy.anatomy.compare.difference import Difference
    from cnnatomy.anatomy.effective import effective
    from cnnatomy.anatomy.explain import Peer, explain_macs
    from cnnatomy.anatomy.field import Field, Fields, Law
    from cnnatomy.anatomy.fitting.fit import fit
    from cnnatomy.anatomy.fitting.fits import Fit, Fits
    from cnnatomy.anatomy.measure import anatomy
    from cnnatomy.anatomy.result import Anatomy, Cost, Layer, Memory, Operation, Total
    from cnnatomy.anatomy.solving import Option, Solution, solve
    from cnnatomy.anatomy.source import load

_HOMES = {
    "anatomy": "measure",
    "explain_macs": "explain",
    "Peer": "explain",
    "load": "source",
    "effective": "effective",
    **dict.fromkeys(("Anatomy", "Cost", "Layer", "Memory", "Operation", "Total"), "result"),
    **dict.fromkeys(("Advice", "advise"), "advice"),
    **dict.fromkeys(("Difference", "diff"), "compare"),
    **dict.fromkeys(("Field", "Fields", "Law"), "field"),
    **dict.fromkeys(("Fit", "Fits", "fit"), "fitting"),
    **dict.fromkeys(("Option", "Solution", "solve"), "solving"),
}

__all__ = [
    "Advice",
    "Anatomy",
    "Cost",
    "Difference",
    "Field",
    "Fields",
    "Fit",
    "Fits",
    "Law",
    "Layer",
    "Memory",
    "Operation",
    "Option",
    "Peer",
    "Solution",
    "Total",
    "advise",
    "anatomy",
    "diff",
    "effective",
    "explain_macs",
    "fit",
    "load",
    "solve",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use: the parts of an anatomy import each other in no fixed order."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


class _Callable(ModuleType):
    """`cnnatomy.anatomy` is this package, and stands for its function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return import_module(f"{__name__}.measure").anatomy(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
