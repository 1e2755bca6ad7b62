"""cnnatomy: the workbench for convolutional networks on PyTorch.

Names load on first use, so that importing the package and asking for help cost next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnatomy import export, filters, nn
    from cnnatomy.adapt.accelerate import accelerate
    from cnnatomy.adapt.swap import convert
    from cnnatomy.anatomy import anatomy, diff, sizes, solve
    from cnnatomy.explain import explain
    from cnnatomy.models import network
    from cnnatomy.ops import convolve, convolve_transposed, pad, pool, resample, unpool, unpool_mean
    from cnnatomy.reducers import (
        L2,
        REGISTRY,
        Covariance,
        Expected,
        GeM,
        Importance,
        KMax,
        Kth,
        LogSumExp,
        Lp,
        Max,
        Mean,
        Median,
        Min,
        Mixed,
        Quantile,
        Reducer,
        Soft,
        Stochastic,
        Trimmed,
    )
    from cnnatomy.regions import (
        Adaptive,
        Bins,
        Boxes,
        Fractional,
        Pyramid,
        Region,
        Sliding,
        Whole,
    )
    from cnnatomy.runs import Run, train
    from cnnatomy.studies import Study, compare

__version__ = "0.1.0.dev0"

_HOMES = {
    "anatomy": "cnnatomy",
    "explain": "cnnatomy",
    "export": "cnnatomy",
    "filters": "cnnatomy",
    "nn": "cnnatomy",
    "train": "cnnatomy",
    "diff": "cnnatomy.anatomy",
    "sizes": "cnnatomy.anatomy",
    "solve": "cnnatomy.anatomy",
    "accelerate": "cnnatomy.adapt",
    "convert": "cnnatomy.adapt",
    "network": "cnnatomy.models",
    "Run": "cnnatomy.runs",
    "Study": "cnnatomy.studies",
    "compare": "cnnatomy.studies",
    "convolve": "cnnatomy.ops",
    "convolve_transposed": "cnnatomy.ops",
    "pad": "cnnatomy.ops",
    "pool": "cnnatomy.ops",
    "resample": "cnnatomy.ops",
    "unpool": "cnnatomy.ops",
    "unpool_mean": "cnnatomy.ops",
    "REGISTRY": "cnnatomy.reducers",
    "Reducer": "cnnatomy.reducers",
    "Adaptive": "cnnatomy.regions",
    "Bins": "cnnatomy.regions",
    "Boxes": "cnnatomy.regions",
    "Fractional": "cnnatomy.regions",
    "Pyramid": "cnnatomy.regions",
    "Region": "cnnatomy.regions",
    "Sliding": "cnnatomy.regions",
    "Whole": "cnnatomy.regions",
}

__all__ = [
    "L2",
    "REGISTRY",
    "Adaptive",
    "Bins",
    "Boxes",
    "Covariance",
    "Expected",
    "Fractional",
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
    "Pyramid",
    "Quantile",
    "Reducer",
    "Region",
    "Run",
    "Sliding",
    "Soft",
    "Stochastic",
    "Study",
    "Trimmed",
    "Whole",
    "accelerate",
    "anatomy",
    "compare",
    "convert",
    "convolve",
    "convolve_transposed",
    "diff",
    "explain",
    "export",
    "filters",
    "network",
    "nn",
    "pad",
    "pool",
    "resample",
    "sizes",
    "solve",
    "train",
    "unpool",
    "unpool_mean",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home == "cnnatomy":
        found: Any = import_module(f"cnnatomy.{name}")
    elif home is not None:
        found = getattr(import_module(home), name)
    else:  # a pooling, which is found by its file; names of modules are small
        kinds = import_module("cnnatomy.reducers").Reducer.kinds if name[:1].isupper() else {}
        found = kinds.get(name)
        if found is None or not found.__module__.startswith("cnnatomy."):
            raise AttributeError(f"module 'cnnatomy' has no attribute {name!r}")
    globals()[name] = found  # asked for once
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
