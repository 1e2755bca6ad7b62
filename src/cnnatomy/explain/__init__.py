"""Every number of an operator, forward and backward: `cnnatomy.explain(what, x)`.

`explain` writes one plane of an operator down as a record, holds it to the operator and to autograd, and
returns an `Explanation`, whose views only show the record: text, notebook, page and picture. The package
itself can be called as well: `cnnatomy.explain(torch.nn.MaxPool2d(2), x)`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnatomy.explain.checks import Disagreement
    from cnnatomy.explain.explaining import explain
    from cnnatomy.explain.explanation import Explanation

_HOMES = {"explain": "explaining", "Explanation": "explanation", "Disagreement": "checks"}

__all__ = ["Disagreement", "Explanation", "explain"]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


class _Callable(ModuleType):
    """`cnnatomy.explain` is this package, and stands for its function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return import_module(f"{__name__}.explaining").explain(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
