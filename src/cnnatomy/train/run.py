"""A run's folder: everything one training leaves behind.

| file                   | what it holds                                                                   |
|------------------------|---------------------------------------------------------------------------------|
| config.json            | the configuration, every automatic value settled                                |
| log.csv                | one row for each finished epoch (`Epoch` names the columns)                     |
| last.safetensors       | the last epoch's weights, with what using them takes: model, classes, fit policy |
| best.safetensors       | the same for the best epoch                                                     |
| checkpoint.safetensors | all that resuming needs: weights, optimizer, step, history, configuration, data |
| metrics.json           | the result on the test pictures; written when training has ended                |

Every file is replaced whole. The best epoch is the one of the highest accuracy on the pictures held out for
validation; without any, of the lowest training loss. What is used unless asked otherwise, and what
metrics.json judges, is the best epoch if pictures were held out, else the last. Test pictures choose nothing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

import cnnatomy
from cnnatomy import checks
from cnnatomy.errors import ArgumentError, CheckpointError
from cnnatomy.models import build, find
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.config import FitConfig
from cnnatomy.train.files import read_tensors, write_json, write_tensors, write_whole
from cnnatomy.train.reporter import Epoch


@dataclass(frozen=True)
class Run:
    """The folder of one run."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", checks.path(self.path, "a run's folder"))

    @property
    def checkpoint(self) -> Path:
        """Where the state to resume from lies."""
        return self.path / "checkpoint.safetensors"

    def demand_free(self) -> None:
        """Raise a CheckpointError if the folder already holds anything."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            hint = "resume it, or another folder" if self.checkpoint.exists() else "another folder"
            raise CheckpointError(f"{self.path} already exists", expected="an empty or new folder", hint=hint)

    def create(self, config: FitConfig) -> None:
        """Make the folder and write down the configuration."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "config.json", config.to_json())

    def config(self) -> FitConfig:
        """Read the configuration.

        Raises:
            CheckpointError: this is no run's folder, or its configuration is damaged.
        """
        try:
            values = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
            return FitConfig.from_json(values)
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{self.path} is not a run", expected="a folder with config.json"
            ) from error
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{self.path}/config.json cannot be read", got=str(error)) from error

    def write_log(self, epochs: Iterable[Epoch]) -> None:
        """Write log.csv anew."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in epochs)
        write_whole(self.path / "log.csv", text.getvalue().encode())

    def log(self) -> list[Epoch]:
        """Read log.csv; no rows before the first epoch has ended.

        Raises:
            CheckpointError: it is damaged.
        """
        path = self.path / "log.csv"
        if not path.exists():
            return []
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return [_epoch(row) for row in csv.DictReader(file)]
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            raise CheckpointError(f"{path} cannot be read", got=f"{type(error).__name__}: {error}") from error

    def weights(self, which: str) -> Path:
        """Where the `"best"` or the `"last"` epoch's weights lie."""
        return self.path / f"{which}.safetensors"

    def write_model(
        self, which: str, model: Classifier, config: FitConfig, fingerprint: str, epoch: int
    ) -> None:
        """Write the weights with what is needed to use them."""
        facts = {
            "cnnatomy": cnnatomy.__version__,
            "model": config.model,
            "pool": config.pool,
            "output": model.output,
            "classes": model.classes,
            "input_shape": model.input_shape,
            "fit": config.fit,
            "data": config.data,
            "fingerprint": fingerprint,
            "epoch": epoch,
        } | model.facts()
        write_tensors(self.weights(which), model.state_dict(), facts)

    def load_model(self, which: str | None = None) -> tuple[Classifier, dict[str, Any]]:
        """Build the trained model, in evaluation mode, and give what is known about it.

        Args:
            which: `"best"` or `"last"`; left out, the one that validation calls for.

        Raises:
            ArgumentError: there are no such weights in any run.
            CheckpointError: there are no weights yet, or the file is damaged or of another version.
        """
        chosen = which if which is not None else ("best" if self.config().validation else "last")
        if not isinstance(chosen, str) or chosen not in ("best", "last"):
            raise ArgumentError("no such weights", expected="best or last", got=repr(which))
        self.config()
        path = self.weights(chosen)
        if not path.exists():
            raise CheckpointError(f"{self.path} has no weights yet", expected="one finished epoch at least")
        tensors, facts = read_tensors(path)
        shape = tuple(facts["input_shape"])
        output = facts["output"] if facts["output"] in find(facts["model"]).outputs else None
        classes, pool = facts["classes"], facts["pool"]
        model = build(facts["model"], classes=classes, output=output, input=shape, pool=pool)
        model.recall(facts)
        load_exactly(model, tensors, path)
        return model.eval(), facts


def load_exactly(model: Classifier, tensors: dict[str, Tensor], path: Path) -> None:
    """Load weights whose names and shapes must all be the model's.

    Raises:
        CheckpointError: they are not.
    """
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"the weights of {path} do not fit the model", got=reason) from error


def _epoch(row: dict[str, str]) -> Epoch:
    whole = {name: int(row.pop(name)) for name in ("epoch", "step")}
    real = {name: float(text) if text else None for name, text in row.items()}
    return Epoch(**whole, **real)  # type: ignore[arg-type]
