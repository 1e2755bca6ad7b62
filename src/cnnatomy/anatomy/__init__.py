"""The anatomy of a network, before it runs: measured on meta tensors, totalled, presented.

`anatomy` records one forward pass and counts; an `Anatomy` holds operations, layers, memory and receptive
fields, and presents itself in the terminal, in a notebook and as Markdown, CSV or JSON. The package itself
can be called as well: `cnnatomy.anatomy(model, (3, 224, 224))`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnatomy.lazy import loader, make_callable

if TYPE_CHECKING:
    from cnnatomy.anatomy.ask.advice import Advice
    from cnnatomy.anatomy.ask.advice.advise import advise
    from cnnatomy.anatomy.ask.compare.diff import diff
    from cnnatomy.anatomy.ask.compare.difference import Difference
    from cnnatomy.anatomy.ask.effective import effective
    from cnnatomy.anatomy.ask.explain_macs import Peer, explain_macs
    from cnnatomy.anatomy.ask.sizing.input_sizes import InputSize, InputSizes
    from cnnatomy.anatomy.ask.sizing.size_finding import sizes
    from cnnatomy.anatomy.ask.solving import Option, Solution, solve
    from cnnatomy.anatomy.field import Field, Fields, Law
    from cnnatomy.anatomy.figures import Cost, Layer, Memory, Operation, Total
    from cnnatomy.anatomy.measure import anatomy
    from cnnatomy.anatomy.record.model_source import load
    from cnnatomy.anatomy.result import Anatomy

_HOMES = {
    "anatomy": "measure",
    "explain_macs": "ask.explain_macs",
    "Peer": "ask.explain_macs",
    "load": "record.model_source",
    "effective": "ask.effective",
    "Anatomy": "result",
    **dict.fromkeys(("Cost", "Layer", "Memory", "Operation", "Total"), "figures"),
    **dict.fromkeys(("Advice", "advise"), "ask.advice"),
    **dict.fromkeys(("Difference", "diff"), "ask.compare"),
    **dict.fromkeys(("Field", "Fields", "Law"), "field"),
    **dict.fromkeys(("InputSize", "InputSizes", "sizes"), "ask.sizing"),
    **dict.fromkeys(("Option", "Solution", "solve"), "ask.solving"),
}

__all__ = [
    "Advice",
    "Anatomy",
    "Cost",
    "Difference",
    "Field",
    "Fields",
    "InputSize",
    "InputSizes",
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
    "load",
    "sizes",
    "solve",
]

if not TYPE_CHECKING:  # a type checker sees the imports above, and reports names that are not there
    __getattr__ = loader(__name__, _HOMES)
make_callable(__name__, f"{__name__}.measure")
