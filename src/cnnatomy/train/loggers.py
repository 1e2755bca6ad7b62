"""Callbacks that hand a run's figures to TensorBoard, Weights & Biases or MLflow, behind one protocol."""

from __future__ import annotations

import os
import time
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cnnatomy.data.data_catalog import one_of
from cnnatomy.errors import ArgumentError
from cnnatomy.train.evaluation import Evaluation
from cnnatomy.train.reporter import Epoch, Plan, Silent, Tick

PROJECT = "cnnatomy"
"""The project, or experiment, that runs are gathered under."""


class Logger(Silent):
    """A callback that writes figures by name and step; subclasses say how to open, write and close.

    Names are train/loss, train/accuracy and train/images_per_second while an epoch goes on; lr and epoch/...
    for what was measured when it ended; result/... for the evaluation at the end. A record that cannot be
    opened is an error before the first step; one that cannot be written any more is warned of once, and left.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.step, self.works = folder, 0, True

    @abstractmethod
    def open(self, plan: Plan) -> None:
        """Begin, or go on with, the record of this run."""

    @abstractmethod
    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Add figures of a step."""

    @abstractmethod
    def close(self) -> None:
        """End the record."""

    def start(self, plan: Plan) -> None:
        """Open the record."""
        self.step = plan.first_step
        try:
            self.open(plan)
        except Exception as error:  # whatever the package raises
            what = f"{type(self).__name__} cannot keep a record of this run"
            raise ArgumentError(what, got=_line(error)) from error

    def tick(self, tick: Tick) -> None:
        """Write the figures of the epoch so far."""
        names = ("loss", "accuracy", "images_per_second")
        self._keep({f"train/{name}": getattr(tick, name) for name in names}, tick.step)

    def epoch(self, epoch: Epoch) -> None:
        """Write what was measured."""
        measured = {n: v for n, v in _figures(vars(epoch)).items() if n not in ("epoch", "step", "lr")}
        own = {"lr": epoch.lr, "epoch/number": epoch.epoch}  # files of MLflow allow no plain "epoch" beside
        self._keep(own | {f"epoch/{name}": value for name, value in measured.items()}, epoch.step)

    def finish(self, evaluation: Evaluation) -> None:
        """Write the result, and close the record."""
        result = {f"result/{name}": value for name, value in _figures(evaluation.to_json()).items()}
        self._keep(result, self.step, last=True)

    def _keep(self, figures: Mapping[str, float], step: int, last: bool = False) -> None:
        """Write, and close after the last figures; what fails must not end a training."""
        self.step = step
        if not self.works:
            return
        try:
            self.write(figures, step)
            if last:
                self.close()
        except Exception as error:  # whatever the package raises, such as where its server is gone
            self.works = False
            warnings.warn(f"{type(self).__name__} keeps no more of this run: {_line(error)}", stacklevel=4)


def _line(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _figures(values: Mapping[str, Any]) -> dict[str, float]:
    """What of a record is a number."""
    return {n: v for n, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}


class TensorBoard(Logger):
    """Event files in the run's folder, under `tensorboard`: `tensorboard --logdir runs` shows them."""

    def open(self, plan: Plan) -> None:
        """Open the event file; of a resumed run, what came after its checkpoint is written anew."""
        purge = {"purge_step": plan.first_step} if plan.first_step else {}
        writer = import_module("torch.utils.tensorboard").SummaryWriter
        self._writer = writer(log_dir=str(self.folder / "tensorboard"), **purge)
        if not plan.first_step:
            lines = (f"    {name} = {value!r}" for name, value in plan.settings.flat().items())
            self._writer.add_text("settings", "\n".join(lines))

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Add scalars."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        if "epoch/number" in figures:
            self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


class WandB(Logger):
    """A run of Weights & Biases, which WANDB_MODE=offline keeps in the run's folder."""

    def open(self, plan: Plan) -> None:
        """Open the run, or go on with it."""
        wandb = import_module("wandb")
        known = self.folder / "wandb.id"
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=self.folder.name,
            dir=str(self.folder),
            config=plan.settings.to_json(),
            id=known.read_text() if known.exists() else None,
            resume="allow",
        )
        known.write_text(self._run.id)

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Log figures."""
        self._run.log(dict(figures), step=step)

    def close(self) -> None:
        """End the run."""
        self._run.finish()


class MLflow(Logger):
    """A run of MLflow, where MLFLOW_TRACKING_URI says, or where MLflow keeps runs otherwise."""

    def open(self, plan: Plan) -> None:
        """Open the run, or go on with it."""
        mlflow = import_module("mlflow")
        self._client, self._entities = mlflow.MlflowClient(), mlflow.entities
        known = self.folder / "mlflow.id"
        if known.exists():
            self._run = known.read_text()
            self._client.update_run(self._run, status="RUNNING")
            return
        experiment = mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT))
        made = self._client.create_run(experiment.experiment_id, run_name=self.folder.name)
        self._run = made.info.run_id
        known.write_text(self._run)
        pairs = plan.settings.flat().items()
        self._client.log_batch(
            self._run, params=[self._entities.Param(name, str(value)) for name, value in pairs]
        )

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Log figures, all with the time of the first."""
        now = int(time.time() * 1000)
        made = [self._entities.Metric(name, value, now, step) for name, value in figures.items()]
        self._client.log_batch(self._run, metrics=made)

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._run)


LOGGERS: Mapping[str, tuple[type[Logger], str]] = MappingProxyType(
    {
        "tensorboard": (TensorBoard, "torch.utils.tensorboard"),
        "wandb": (WandB, "wandb"),
        "mlflow": (MLflow, "mlflow"),
    }
)
"""Every logger by the name of its package, with the module that it needs."""


def logger(name: str, folder: Path) -> Logger:
    """Make the callback that writes a run's figures; the folder is that of the run.

    Raises:
        ArgumentError: there is no such logger, or its package is not installed.

    Example:
        >>> logger("tensorbord", Path("runs/1"))
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: unknown logger: expected ... got 'tensorbord'; try 'tensorboard'
    """
    kind, module = LOGGERS[one_of("logger", name, LOGGERS)]
    try:
        import_module(module)
    except ImportError as error:
        hint = f"pip install 'cnnatomy[{name}]'"
        raise ArgumentError(f"{name} cannot be imported", got=str(error), hint=hint) from error
    return kind(folder)
