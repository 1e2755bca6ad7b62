"""Every number of an operator, forward and backward: `cnnatomy.explain(what, x)`.

`explain` writes one plane of an operator down as a record, holds it to the operator and to autograd, and
returns an `Explanation`, whose views only show the record: text, notebook, page and picture. The package
itself can be called as well: `cnnatomy.explain(torch.nn.MaxPool2d(2), x)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnatomy.lazy import loader, make_callable

if TYPE_CHECKING:
    from cnnatomy.explain.explaining import explain
    from cnnatomy.explain.explanation import Explanation
    from cnnatomy.explain.record_checks import Disagreement

_HOMES = {"explain": "explaining", "Explanation": "explanation", "Disagreement": "record_checks"}

__all__ = ["Disagreement", "Explanation", "explain"]

if not TYPE_CHECKING:  # a type checker sees the imports above, and reports names that are not there
    __getattr__ = loader(__name__, _HOMES)
make_callable(__name__, f"{__name__}.explaining")
