"""Training, evaluation and prediction: a small loop on plain torch that stops and resumes exactly.

    run = cnnatomy.train("digits", "lenet5", epochs=4)

Called, the package trains (`cnnatomy.runs`); its parts are what that and the command line use. `Settings`
and `PRESETS` are read without torch; the rest loads it when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnatomy.lazy import loader, make_callable
from cnnatomy.train.reporter import Choice, Epoch, Plan, Reporter, Silent, StopTraining, Tick
from cnnatomy.train.settings import PRESETS, Settings, preset

if TYPE_CHECKING:
    from cnnatomy.train.batch_evaluation import judge
    from cnnatomy.train.evaluation import Evaluation, Mistake
    from cnnatomy.train.inference import evaluate
    from cnnatomy.train.interruption import Interrupted
    from cnnatomy.train.prediction import Prediction, predict, stream
    from cnnatomy.train.run_folder import RunFolder
    from cnnatomy.train.statistics import ClassScore
    from cnnatomy.train.trainer import Diverged

__all__ = [
    "PRESETS",
    "Choice",
    "ClassScore",
    "Diverged",
    "Epoch",
    "Evaluation",
    "Interrupted",
    "Mistake",
    "Plan",
    "Prediction",
    "Reporter",
    "RunFolder",
    "Settings",
    "Silent",
    "StopTraining",
    "Tick",
    "evaluate",
    "judge",
    "predict",
    "preset",
    "stream",
]

_HOMES = {
    "ClassScore": "statistics",
    "Diverged": "trainer",
    "Evaluation": "evaluation",
    "Interrupted": "interruption",
    "Mistake": "evaluation",
    "Prediction": "prediction",
    "RunFolder": "run_folder",
    "evaluate": "inference",
    "judge": "batch_evaluation",
    "predict": "prediction",
    "stream": "prediction",
}

if not TYPE_CHECKING:  # a type checker sees the imports above, and reports names that are not there
    __getattr__ = loader(__name__, _HOMES)
make_callable(__name__, "cnnatomy.runs.call")
