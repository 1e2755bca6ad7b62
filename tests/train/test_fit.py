from __future__ import annotations

import csv
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from training import fit

import cnnatomy.train.engine as engine
from cnnatomy.data import load
from cnnatomy.errors import ArgumentError, CheckpointError, CnnatomyError
from cnnatomy.train import Diverged, Epoch, Evaluation, Plan, Settings, Silent, Tick
from cnnatomy.train.atomic_files import read_tensors
from cnnatomy.train.recipe import Recipe
from cnnatomy.train.run_folder import RunFolder
from cnnatomy.train.trainer import Trainer

CONFIG = Settings.of(epochs=3, batch_size=64, threads=1, augment="none")
SMALL: dict[str, Any] = {"model": "conv3-4 bn globalavg FC", "optimizer": "adamw"}


class Listener(Silent):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def start(self, plan: Plan) -> None:
        self.heard.append(plan)

    def tick(self, tick: Tick) -> None:
        self.heard.append(tick)

    def epoch(self, epoch: Epoch) -> None:
        self.heard.append(epoch)

    def finish(self, evaluation: Evaluation) -> None:
        self.heard.append(evaluation)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation, list[Any]]:
    run, listener = tmp_path_factory.mktemp("runs") / "digits", Listener()
    return run, fit(CONFIG, run, reporter=listener), listener.heard


def test_learns(trained: tuple[Path, Evaluation, list[Any]]) -> None:
    _, evaluation, heard = trained
    epochs = [event for event in heard if isinstance(event, Epoch)]
    assert evaluation.accuracy > 0.7
    assert epochs[-1].loss < epochs[0].loss / 2


def test_tells_the_plan_then_ticks_and_epochs_then_the_result(
    trained: tuple[Path, Evaluation, list[Any]],
) -> None:
    _, evaluation, heard = trained
    plan, *middle, last = heard
    assert isinstance(plan, Plan)
    assert (plan.parameters, plan.steps, plan.first_step, plan.processes) == (60_000, 69, 0, 1)
    assert plan.settings.network.model == "lenet5"
    assert [choice.what for choice in plan.choices] == [
        *("pictures", "network", "input", "changes", "training", "time")
    ]
    ticks = [event for event in middle if isinstance(event, Tick)]
    assert [tick.step for tick in ticks] == [10, 20, 30, 40, 50, 60]
    assert [tick.epoch for tick in ticks] == [1, 1, 2, 2, 3, 3]
    assert all(tick.images_per_second > 0 and tick.seconds_left > 0 for tick in ticks)
    assert [event.epoch for event in middle if isinstance(event, Epoch)] == [1, 2, 3]
    assert last is evaluation


def test_what_goes_on_is_told_from_the_first_look_to_the_last_picture(tmp_path: Path) -> None:
    class Reader(Silent):
        def __init__(self) -> None:
            self.heard: list[tuple[str, int, int | None]] = []

        def reading(self, what: str, done: int, total: int | None, unit: str, /) -> object:
            self.heard.append((what, done, total))
            return None

    reader = Reader()
    fit(CONFIG.changed(epochs=1, validation=0.2, limit=200, **SMALL), tmp_path, reporter=reader)
    assert reader.heard[0] == ("looking at digits", 0, None)
    assert ("comparing pictures", 0, 1_797) in reader.heard
    evaluating = [(done, total) for what, done, total in reader.heard if what == "evaluating"]
    assert evaluating == [(256, 288), (288, 288), (256, 359), (359, 359)], "the held-out, then the test set"


def test_leaves_a_folder_that_tells_everything(trained: tuple[Path, Evaluation, list[Any]]) -> None:
    run, evaluation, heard = trained
    names = {
        "run.toml",
        "plan.json",
        "log.csv",
        "best.safetensors",
        "last.safetensors",
        "checkpoint.safetensors",
        "answers.safetensors",
        "metrics.json",
    }
    assert {path.name for path in run.iterdir()} == names
    assert RunFolder(run).settings().recipe.epochs == 3
    assert RunFolder(run).log() == [event for event in heard if isinstance(event, Epoch)]
    with (run / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [field.name for field in fields(Epoch)]
    assert [row["step"] for row in rows] == ["23", "46", "69"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["accuracy"] == evaluation.accuracy
    assert metrics["versions"]["torch"] == torch.__version__


def test_seed_decides_the_weights(trained: tuple[Path, Evaluation, list[Any]], tmp_path: Path) -> None:
    run = trained[0]
    torch.manual_seed(99)
    fit(CONFIG, tmp_path / "same")
    fit(CONFIG.changed(seed=1), tmp_path / "other")
    first, same, other = (
        read_tensors(p / "last.safetensors")[0] for p in (run, tmp_path / "same", tmp_path / "other")
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["c1.weight"], other["c1.weight"])


def test_leaves_the_callers_random_state_and_threads_alone(tmp_path: Path) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    fit(CONFIG.changed(epochs=1), tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_never_touches_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match="already exists"):
        fit(CONFIG, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_takes_an_empty_folder(tmp_path: Path) -> None:
    assert fit(CONFIG.changed(epochs=1), tmp_path).pictures == 359


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs: expected a whole number >= 1, got 0"),
        ({"epochs": 2.5}, "epochs"),
        ({"epochs": "3"}, "epochs: expected a whole number >= 1, got '3'"),
        ({"batch_size": -4}, "batch_size"),
        ({"lr": "fast"}, "lr: expected a number > 0, got 'fast'"),
        ({"lr": 0.0}, "lr: expected a number > 0"),
        ({"lr": float("nan")}, "lr: expected a number > 0, got nan"),
        ({"clip": -1.0}, "clip"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"threads": 0}, "threads"),
        ({"seed": -1}, "seed"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"validation": 1.0}, "validation"),
        ({"test_fraction": 0.0}, "test_fraction"),
        ({"model": "lenet"}, "unknown model 'lenet'"),
        ({"output": "softmix"}, "no output 'softmix'"),
        ({"augment": "distort"}, "augmentation"),
        ({"fit": "leterbox"}, "fit policy"),
        ({"device": "toaster"}, "no device 'toaster'"),
        ({"data": "digit"}, "digits"),
    ],
)
def test_bad_values_stop_before_anything_is_written(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CnnatomyError, match=message) as caught:
        fit(CONFIG.changed(**change), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_divergence_stops_with_advice_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="a lower lr than 1e\\+30"):
        fit(CONFIG.changed(lr=1e30, clip=1e30, output="softmax"), tmp_path)
    tensors, _ = read_tensors(RunFolder(tmp_path).checkpoint)
    assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.parametrize("every", [1, 2, 500])
@pytest.mark.parametrize("tick", [1, 1000])
def test_a_checkpoint_is_never_replaced_by_numbers_that_are_none(
    every: int, tick: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TICK", tick)
    with pytest.raises(Diverged, match=r"a lower lr than 1e\+30, such as 0.002, or --find-lr"):
        fit(CONFIG.changed(lr=1e30, clip=1e30, checkpoint_every=every, **SMALL), tmp_path)
    tensors, facts = read_tensors(RunFolder(tmp_path).checkpoint)
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert facts["step"] < 4
    for which in ("last", "best"):
        assert not RunFolder(tmp_path).weights(which).exists()


def test_weights_that_are_no_numbers_are_not_kept_where_the_loss_is_one(tmp_path: Path) -> None:
    class Spoiler(Silent):
        def start(self, plan: Plan) -> None:
            self.model = plan.model

        def tick(self, tick: Tick) -> None:
            assert self.model is not None
            if tick.step == 20:
                list(self.model.parameters())[-1].data.fill_(torch.inf)

    with pytest.raises(Diverged, match="before step 20"):
        fit(CONFIG.changed(checkpoint_every=20, **SMALL), tmp_path, reporter=Spoiler())
    assert read_tensors(RunFolder(tmp_path).checkpoint)[1]["step"] == 0


def test_a_rate_far_too_high_is_answered_with_one_that_works(tmp_path: Path) -> None:
    for lr, said in ((1e9, "0.002"), (0.5, "0.002"), (0.005, "0.0005")):
        run = Trainer.__new__(Trainer)
        run.recipe, run.step = Recipe(optimizer="adamw", lr=lr), 7
        with pytest.raises(
            Diverged, match=re.escape(f"a lower lr than {lr:g}, such as {said}, or --find-lr")
        ):
            run.demand_finite(torch.tensor([torch.nan]))


def test_validation_pictures_choose_the_epoch(tmp_path: Path) -> None:
    fit(CONFIG.changed(epochs=4, validation=0.25), tmp_path)
    scores = [epoch.validation_accuracy for epoch in RunFolder(tmp_path).log()]
    assert None not in scores
    best = 1 + scores.index(max(s for s in scores if s is not None))
    run = RunFolder(tmp_path)
    assert [run.load_model(which)[1]["epoch"] for which in (None, "best", "last")] == [best, best, 4]
    with pytest.raises(ArgumentError, match="expected best or last, got 'least'"):
        run.load_model("least")


def test_without_validation_the_best_epoch_is_that_of_the_lowest_training_loss(tmp_path: Path) -> None:
    fit(CONFIG.changed(epochs=4), tmp_path)
    losses = [epoch.loss for epoch in RunFolder(tmp_path).log()]
    best = 1 + losses.index(min(losses))
    run = RunFolder(tmp_path)
    assert [run.load_model(which)[1]["epoch"] for which in (None, "best", "last")] == [4, best, 4]


def test_distortions_change_what_is_learnt(
    trained: tuple[Path, Evaluation, list[Any]], tmp_path: Path
) -> None:
    fit(CONFIG.changed(augment="distortions"), tmp_path)
    plain, varied = (read_tensors(p / "last.safetensors")[0]["c1.weight"] for p in (trained[0], tmp_path))
    assert not torch.equal(plain, varied)


def test_the_trained_model_gives_the_evaluation(trained: tuple[Path, Evaluation, list[Any]]) -> None:
    run, evaluation, _ = trained
    model, facts = RunFolder(run).load_model()
    test = load("digits", size=(32, 32), channels=1).test
    with torch.no_grad():
        hits = model(model.preprocess(test.images)).argmax(1) == test.labels
    assert hits.double().mean().item() == evaluation.accuracy
    assert facts["classes"] == list("0123456789")
    assert not model.training


def test_a_run_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a run"):
        fit(CONFIG, tmp_path / "nowhere", resume=True)
    with pytest.raises(CheckpointError, match="is not a run"):
        RunFolder(tmp_path).load_model()
    with pytest.raises(ArgumentError, match="there is no table 'epochs'"):
        Settings.from_json({"epochs": 3})
