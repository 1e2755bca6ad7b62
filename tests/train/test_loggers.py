"""Loggers write what a run tells, to packages whose place is taken by ones that write down what they hear."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cnnatomy.errors import ArgumentError
from cnnatomy.train.loggers import LOGGERS, Logger, logger
from cnnatomy.train.reporter import Epoch, Plan, Reporter, Tick
from cnnatomy.train.settings import LOGGERS as NAMES
from cnnatomy.train.settings import Settings

TICK = Tick(step=10, epoch=1, loss=2.0, accuracy=0.25, images_per_second=500.0, seconds_left=9.0)
EPOCH = Epoch(1, 20, 0.1, 1.5, 0.5, None, None, None, 0.75, 640.0, 3.0)
EXPECTED: list[tuple[int, dict[str, float]]] = [
    (10, {"train/loss": 2.0, "train/accuracy": 0.25, "train/images_per_second": 500.0}),
    (20, {
        "lr": 0.1, "epoch/number": 1, "epoch/loss": 1.5, "epoch/accuracy": 0.5, "epoch/test_accuracy": 0.75,
        "epoch/images_per_second": 640.0, "epoch/seconds": 3.0,
    }),
    (20, {"result/accuracy": 0.8, "result/pictures": 5}),
]  # fmt: skip


class Result:
    """An evaluation, of which only the numbers are figures."""

    def to_json(self) -> dict[str, Any]:
        return {"data": "x", "accuracy": 0.8, "pictures": 5, "beats": True, "classes": [1], "top5": None}


def plan(folder: Path, first_step: int = 0) -> Plan:
    settings = Settings.of(data="digits", epochs=3)
    return Plan(
        folder, settings, (), parameters=9, steps=60, first_step=first_step, device="cpu", processes=1
    )


def run(told: Logger, folder: Path, first_step: int = 0) -> None:
    told.start(plan(folder, first_step))
    told.tick(TICK)
    told.epoch(EPOCH)
    told.finish(Result())  # type: ignore[arg-type]


class Heard:
    """What a package was told."""

    def __init__(self) -> None:
        self.figures: list[tuple[int, dict[str, float]]] = []
        self.begun: list[dict[str, Any]] = []
        self.ended = 0


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    found = Heard()

    class Writer:
        def __init__(self, **options: Any) -> None:
            found.begun.append(options)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            if not found.figures or found.figures[-1][0] != step or name in found.figures[-1][1]:
                found.figures.append((step, {}))
            if name.startswith("result/") and "lr" in found.figures[-1][1]:
                found.figures.append((step, {}))
            found.figures[-1][1][name] = value

        def add_text(self, name: str, text: str) -> None:
            found.begun[-1][name] = text

        def flush(self) -> None:
            pass

        def close(self) -> None:
            found.ended += 1

    class WandbRun:
        id = "abc123"

        def log(self, figures: dict[str, float], step: int) -> None:
            found.figures.append((step, figures))

        def finish(self) -> None:
            found.ended += 1

    def init(**options: Any) -> WandbRun:
        found.begun.append(options)
        return WandbRun()

    @dataclass
    class Metric:
        key: str
        value: float
        timestamp: int
        step: int

    @dataclass
    class Param:
        key: str
        value: str

    class Client:
        def create_run(self, experiment: str, run_name: str) -> Any:
            found.begun.append({"experiment": experiment, "name": run_name})
            return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

        def update_run(self, run: str, status: str) -> None:
            found.begun.append({"id": run, "status": status})

        def log_batch(self, run: str, metrics: list[Metric] = (), params: list[Param] = ()) -> None:  # type: ignore[assignment]
            assert run == "r1"
            if params:
                found.begun[-1]["settings"] = {one.key: one.value for one in params}
            if metrics:
                found.figures.append((metrics[0].step, {one.key: one.value for one in metrics}))

        def set_terminated(self, run: str) -> None:
            assert run == "r1"
            found.ended += 1

    def set_experiment(name: str) -> Any:
        return SimpleNamespace(experiment_id=f"id of {name}")

    mlflow = SimpleNamespace(
        MlflowClient=Client,
        set_experiment=set_experiment,
        entities=SimpleNamespace(Metric=Metric, Param=Param),
    )
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    for name in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.mark.parametrize("name", LOGGERS)
def test_every_logger_writes_the_same_figures(name: str, heard: Heard, tmp_path: Path) -> None:
    told = logger(name, tmp_path)
    assert isinstance(told, Reporter)
    assert heard.begun == [], "nothing is opened before the run starts"
    run(told, tmp_path)
    assert heard.figures == EXPECTED
    assert len(heard.begun) == heard.ended == 1
    assert "digits" in str(heard.begun), "the settings are told"


def test_a_resumed_run_goes_on_in_the_same_record(heard: Heard, tmp_path: Path) -> None:
    for name in LOGGERS:
        run(logger(name, tmp_path), tmp_path)
        run(logger(name, tmp_path), tmp_path, first_step=5)
    board, board_again, wandb, wandb_again, mlflow, mlflow_again = heard.begun
    assert board["log_dir"] == board_again["log_dir"] == str(tmp_path / "tensorboard")
    assert "purge_step" not in board
    assert board_again["purge_step"] == 5
    assert (wandb["id"], wandb_again["id"]) == (None, "abc123")
    assert wandb["resume"] == wandb_again["resume"] == "allow"
    assert wandb["project"] == "cnnatomy"
    assert wandb["config"]["recipe"]["epochs"] == 3
    assert mlflow["experiment"] == "id of cnnatomy"
    assert mlflow["settings"]["epochs"] == "3"
    assert mlflow_again == {"id": "r1", "status": "RUNNING"}


@pytest.mark.parametrize("name", LOGGERS)
def test_a_package_that_is_missing_is_said_with_its_cure(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, LOGGERS[name][1], None)
    with pytest.raises(ArgumentError, match=rf"{name} cannot be imported.*pip install 'cnnatomy\[{name}\]'"):
        logger(name, tmp_path)
    assert not list(tmp_path.iterdir())


class Broken(Logger):
    """Fails where it is told to."""

    def __init__(self, folder: Path, where: str) -> None:
        super().__init__(folder)
        self.where, self.told = where, 0

    def open(self, plan: Plan) -> None:
        if self.where == "open":
            raise RuntimeError("no key\nand a long explanation")

    def write(self, figures: Mapping[str, float], step: int) -> None:
        self.told += 1
        if self.where == "write":
            raise ConnectionError("the server is gone")

    def close(self) -> None:
        if self.where == "close":
            raise OSError


def test_a_record_that_cannot_be_opened_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"^Broken cannot keep a record of this run: got no key$"):
        run(Broken(tmp_path, "open"), tmp_path)


@pytest.mark.parametrize(
    ("where", "said", "times"), [("write", "the server is gone", 1), ("close", "OSError", 3)]
)
def test_one_that_fails_later_is_warned_of_once_and_ends_no_training(
    where: str, said: str, times: int, tmp_path: Path
) -> None:
    told = Broken(tmp_path, where)
    with pytest.warns(UserWarning, match=f"^Broken keeps no more of this run: {said}$") as caught:
        run(told, tmp_path)
    assert len(caught) == 1
    assert told.told == times


def test_names_are_those_of_the_settings() -> None:
    assert tuple(LOGGERS) == NAMES
    with pytest.raises(ArgumentError, match=r"unknown logger: .* try 'wandb'"):
        logger("wandbb", Path())
