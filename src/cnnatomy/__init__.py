"""cnnatomy: the workbench for convolutional networks on PyTorch.

Names load on first use, so that importing the package and asking for help cost next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnatomy import anatomy, nn
    from cnnatomy.ops import pool
    from cnnatomy.reducers import REGISTRY, Max, Mean, Min, Reducer
    from cnnatomy.regions import Adaptive, Region, Sliding, Whole

__version__ = "0.1.0.dev0"

_HOMES = {
    "anatomy": "cnnatomy",
    "nn": "cnnatomy",
    "pool": "cnnatomy.ops",
    "REGISTRY": "cnnatomy.reducers",
    "Max": "cnnatomy.reducers",
    "Mean": "cnnatomy.reducers",
    "Min": "cnnatomy.reducers",
    "Reducer": "cnnatomy.reducers",
    "Adaptive": "cnnatomy.regions",
    "Region": "cnnatomy.regions",
    "Sliding": "cnnatomy.regions",
    "Whole": "cnnatomy.regions",
}

__all__ = [
    "REGISTRY",
    "Adaptive",
    "Max",
    "Mean",
    "Min",
    "Reducer",
    "Region",
    "Sliding",
    "Whole",
    "anatomy",
    "nn",
    "pool",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cnnatomy' has no attribute {name!r}")
    home = _HOMES[name]
    return import_module(f"{home}.{name}") if home == "cnnatomy" else getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
