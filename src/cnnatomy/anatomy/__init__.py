"""The anatomy of a network, before it runs: measured on meta tensors, totalled, presented.

`anatomy` records one forward pass and counts; an `Anatomy` holds operations, layers, memory and receptive
fields, and presents itself in the terminal, in a notebook and as Markdown, CSV or JSON. The package itself
can be called as well: `cnnatomy.anatomy(model, (3, 224, 224))`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnatomy.lazy import loader, make_callable

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

if not TYPE_CHECKING:  # a type checker sees the imports above, and reports names that are not there
    __getattr__ = loader(__name__, _HOMES)
make_callable(__name__, "measure")
