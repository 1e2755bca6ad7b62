"""Training, evaluation and prediction: a small loop on plain torch that stops and resumes exactly.

    evaluation = cnnatomy.train.fit(FitConfig(data="digits"), Path("runs/digits"))

`FitConfig` and `PRESETS` are read without torch; the rest loads it when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cnnatomy.train.config import PRESETS, FitConfig, preset
from cnnatomy.train.reporter import Epoch, Plan, Reporter, Silent, Tick

if TYPE_CHECKING:
    from cnnatomy.train.engine import fit
    from cnnatomy.train.evaluation import ClassScore, Evaluation, Mistake, judge
    from cnnatomy.train.inference import Prediction, evaluate, predict
    from cnnatomy.train.interruption import Interrupted
    from cnnatomy.train.run import Run
    from cnnatomy.train.trainer import Diverged

__all__ = [
    "PRESETS",
    "ClassScore",
    "Diverged",
    "Epoch",
    "Evaluation",
    "FitConfig",
    "Interrupted",
    "Mistake",
    "Plan",
    "Prediction",
    "Reporter",
    "Run",
    "Silent",
    "Tick",
    "evaluate",
    "fit",
    "judge",
    "predict",
    "preset",
]

_HOMES = {
    "ClassScore": "evaluation",
    "Diverged": "trainer",
    "Evaluation": "evaluation",
    "Interrupted": "interruption",
    "Mistake": "evaluation",
    "Prediction": "inference",
    "Run": "run",
    "evaluate": "inference",
    "fit": "engine",
    "judge": "evaluation",
    "predict": "inference",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: a command's help must not load torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
