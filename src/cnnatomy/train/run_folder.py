"""A run's folder: everything one training leaves behind.

| file                   | what it holds                                                                   |
|------------------------|---------------------------------------------------------------------------------|
| run.toml               | the settings, every automatic value settled: `train --config` takes it          |
| plan.json              | what was settled and why, notes on the pictures, and which were left out        |
| log.csv                | one row for each finished epoch (`Epoch` names the columns)                     |
| last.safetensors       | the last epoch's weights, with what using them takes: model, classes, fit policy |
| best.safetensors       | the same for the best epoch                                                     |
| checkpoint.safetensors | all that resuming needs: weights, optimizer, step, history, settings, data      |
| answers.safetensors    | what each test picture is and was taken for, in the order of the data           |
| metrics.json           | the result on the test pictures; written last, when training has ended          |

Every file is replaced whole. The best epoch is the one of the highest accuracy on the validation pictures;
without any, of the lowest training loss. What is used unless asked otherwise, and what metrics.json judges,
is the best epoch if there were validation pictures, else the last. Test pictures choose nothing.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import cnnatomy
from cnnatomy import checks
from cnnatomy.errors import ArgumentError, CheckpointError
from cnnatomy.files.locking import alone
from cnnatomy.files.toml import read_toml, to_toml
from cnnatomy.models import adopt, build, consented, find
from cnnatomy.models.classifier import Classifier
from cnnatomy.models.named import OBJECT
from cnnatomy.train.atomic_files import (
    read_tensors,
    remove_unfinished,
    write_json,
    write_tensors,
    write_whole,
)
from cnnatomy.train.evaluation import Answers
from cnnatomy.train.reporter import Epoch
from cnnatomy.train.settings import Settings
from cnnatomy.train.stored_values import MODEL, damage_in, demand, demand_alike

_LOCK = ".lock"
ANSWERS = ("labels", "predicted", "probability", "of_label")
"""What is kept of every test picture."""
RUNS = Path("runs")
LONGEST_REASON = 400
LONGEST_NAME = 40
"""Letters of a run's folder that a network in notation may take."""


@dataclass(frozen=True)
class RunFolder:
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
        taken = self.path.exists() and not self.path.is_dir()
        if taken or (self.path.exists() and any(one.name != _LOCK for one in self.path.iterdir())):
            hint = "resume it, or another folder" if self.checkpoint.exists() else "another folder"
            raise CheckpointError(f"{self.path} already exists", expected="an empty or new folder", hint=hint)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder while something trains in it.

        Raises:
            CheckpointError: another process trains in it.
        """
        with alone(self.path / _LOCK, f"training in {self.path}"):
            remove_unfinished(self.path)
            yield

    def write_checkpoint(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write all that resuming needs anew."""
        write_tensors(self.checkpoint, tensors, facts)

    def create(self, settings: Settings) -> None:
        """Make the folder if it is not there, and write down the settings."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = to_toml(settings.to_json())
        write_whole(self.path / "run.toml", text.encode("utf-8", "replace"))

    def settings(self) -> Settings:
        """Read the settings.

        Raises:
            CheckpointError: this is no run's folder, or its settings are damaged.
        """
        path = self.path / "run.toml"
        if not path.is_file():
            around = self.path if self.path.is_dir() else self.path.parent
            runs = sorted(str(found.parent) for found in around.glob("*/run.toml"))
            near = get_close_matches(str(self.path), runs, n=1, cutoff=0.0)
            hint = near[0] if near else None
            raise CheckpointError(f"{self.path} is not a run", expected="a folder with run.toml", hint=hint)
        try:
            return Settings.from_json(read_toml(path))
        except ArgumentError as error:
            raise CheckpointError(f"{path} cannot be read", got=str(error)) from error

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
        if not path.is_file():
            return []
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return [_epoch(row) for row in csv.DictReader(file)]
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            raise CheckpointError(f"{path} cannot be read", got=f"{type(error).__name__}: {error}") from error

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one of the run's JSON files; nothing where it has not been written yet.

        Raises:
            CheckpointError: it is damaged.
        """
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            return dict(checks.of_kind(name, json.loads(path.read_text("utf-8")), dict, "a JSON object"))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path} cannot be read", got=str(error)) from error

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write one of the run's JSON files anew."""
        write_json(self.path / name, value)

    def write_answers(self, answers: Answers, data: str) -> None:
        """Write what each test picture is and was taken for, with the fingerprint of the data."""
        columns = {name: getattr(answers, name) for name in ANSWERS}
        write_tensors(self.path / "answers.safetensors", columns, {"data": data})

    def answers(self) -> tuple[dict[str, Tensor], str]:
        """What each test picture is and was taken for, column by column (`ANSWERS`), and the fingerprint.

        Raises:
            CheckpointError: it was not written, or is damaged.
        """
        path = self.path / "answers.safetensors"
        tensors, facts = read_tensors(path)
        if set(tensors) != set(ANSWERS) or not isinstance(facts.get("data"), str):
            raise CheckpointError(f"{path} is damaged", expected=", ".join(ANSWERS))
        return tensors, facts["data"]

    def weights(self, which: str) -> Path:
        """Where the `"best"` or the `"last"` epoch's weights lie."""
        return self.path / f"{which}.safetensors"

    def write_model(
        self, which: str, model: Classifier, settings: Settings, epoch: int, about: Mapping[str, Any]
    ) -> None:
        """Write the weights with what is needed to use them, and what else is known about the data."""
        facts = {
            "cnnatomy": cnnatomy.__version__,
            "model": settings.network.model,
            "pool": settings.network.pool,
            "output": model.output,
            "classes": model.classes,
            "input_shape": model.input_shape,
            "fit": settings.data.fit,
            "data": settings.data.source,
            "epoch": epoch,
            **about,
        } | model.facts()
        write_tensors(self.weights(which), model.state_dict(), facts)

    def load_model(
        self, which: str | None = None, *, module: nn.Module | None = None, code: str | None = None
    ) -> tuple[Classifier, dict[str, Any]]:
        """Build the trained model, in evaluation mode, and give what is known about it.

        Args:
            which: `"best"` or `"last"`; left out, the one that validation calls for.
            module: the network that takes the weights, where the run was given an object or code.
            code: the text of the network again, as net.py:Net, where the run was given code: a run's folder
                alone must not start any.

        Raises:
            ArgumentError: there are no such weights in any run; or the run's network is code or was an
                object, and it is not given again.
            CheckpointError: there are no weights yet, or the file is damaged or of another version.
        """
        chosen = which if which is not None else self.chosen()
        if not isinstance(chosen, str) or chosen not in ("best", "last"):
            raise ArgumentError("no such weights", expected="best or last", got=repr(which))
        self.settings()
        path = self.weights(chosen)
        if not path.exists():
            raise CheckpointError(f"{self.path} has no weights yet", expected="one finished epoch at least")
        tensors, facts = read_tensors(path)
        demand(path, facts, MODEL)
        shape, classes = tuple(facts["input_shape"]), facts["classes"]
        with damage_in(path):
            if module is not None:
                model = adopt(module, classes=classes, input_size=shape)
            else:
                name = consented(facts["model"], code)
                output = facts["output"] if facts["output"] in find(name).outputs else None
                model = build(name, classes=classes, output=output, input_size=shape, pool=facts["pool"])
            model.recall(facts)
            load_exactly(model, tensors, path)
        return model.eval(), facts

    def chosen(self) -> str:
        """Which weights are the result: the best epoch's where pictures were held out to choose it."""
        log = self.log()
        return "best" if log and log[-1].validation_accuracy is not None else "last"


def next_run(settings: Settings) -> Path:
    """The first folder runs/DATA-MODEL-NUMBER that does not exist yet; MODEL only where it was named."""
    data = re.sub(r"[^\w.-]+", "-", Path(settings.data.source).resolve().stem)
    named = settings.network.model or ""
    named = named.rpartition(".")[2] if named.startswith(OBJECT) else named
    model = re.sub(r"[^\w.-]+", "-", named).strip("-")[:LONGEST_NAME].rstrip("-")
    name = "-".join(filter(None, (data, model)))
    number = 1
    while (run := RUNS / f"{name}-{number}").exists():
        number += 1
    return run


@contextmanager
def claimed(settings: Settings) -> Iterator[Path]:
    """The folder that `next_run` names, made at once, so that whoever starts beside gets another.

    It goes again where nothing was written into it.
    """
    while True:
        run = next_run(settings)
        above = not run.parent.exists()
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            continue
        break
    try:
        yield run
    finally:
        with suppress(OSError):  # it is not empty
            run.rmdir()
            if above:
                run.parent.rmdir()


def load_exactly(model: Classifier, tensors: dict[str, Tensor], path: Path) -> None:
    """Load weights whose names, shapes and kinds of numbers must all be the model's.

    Raises:
        CheckpointError: they are not.
    """
    demand_alike(path, tensors, model.state_dict())
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        reason = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]} ..."
        raise CheckpointError(f"the weights of {path} do not fit the model", got=reason) from error


def _epoch(row: dict[str, str]) -> Epoch:
    whole = {name: int(row.pop(name)) for name in ("epoch", "step")}
    real = {name: float(text) if text else None for name, text in row.items()}
    return Epoch(**whole, **real)  # type: ignore[arg-type]
