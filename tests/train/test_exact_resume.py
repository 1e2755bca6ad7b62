"""A run that is stopped and resumed ends with the bits of one that never was, whatever its recipe."""

from __future__ import annotations

import random
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cnnatomy.data import Dataset
from cnnatomy.models import object_text
from cnnatomy.runs.program_pictures import given
from cnnatomy.train import Epoch, Interrupted, RunFolder, Settings, Silent, StopTraining, Tick, engine
from cnnatomy.train.atomic_files import read_tensors
from cnnatomy.train.engine import train
from cnnatomy.train.optimizer_names import OPTIMIZERS
from cnnatomy.train.run_inputs import Given
from cnnatomy.train.schedules import SCHEDULES

PLAIN = Settings.of(
    data="in-memory",
    model="conv3-6 bn maxpool dropout res(conv3-6 bn conv3-6 bn) globalavg FC",
    epochs=3,
    batch_size=8,
    augment="photo",
    checkpoint_every=4,
)
STEPS = 3 * 6


class Stop(Silent):
    """Presses Ctrl-C at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def tick(self, tick: Tick) -> None:
        if tick.step == self.step:
            signal.raise_signal(signal.SIGINT)

    def epoch(self, epoch: Epoch) -> None:
        if epoch.step == self.step:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def _every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "TICK", 1)


def pictures() -> Dataset:
    """48 pictures to train on and 12 to test with, of three classes that differ in brightness."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(60) % 3
    images = torch.randint(0, 100, (60, 3, 8, 8), generator=generator) + 60 * labels[:, None, None, None]
    return given((images.to(torch.uint8), labels), None, 0.2).data


def run(settings: Settings, path: Path, **options: Any) -> RunFolder:
    folder, given_ = RunFolder(path), Given(pictures())
    train(settings, folder, given=given_, **options)
    return folder


def state(folder: RunFolder) -> dict[str, torch.Tensor]:
    return read_tensors(folder.checkpoint)[0]


def assert_same(one: RunFolder, other: RunFolder) -> None:
    first, second = state(one), state(other)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    for a, b in zip(one.log(), other.log(), strict=True):
        assert replace(a, seconds=0, images_per_second=0) == replace(b, seconds=0, images_per_second=0)


@pytest.mark.parametrize(
    "options",
    [
        *({"optimizer": name, "lr": 1e-3} for name in OPTIMIZERS),
        *({"schedule": name} for name in SCHEDULES),
        {"ema": 0.9},
        {"mixup": 0.2, "cutmix": 1.0},
        {"balanced": True, "class_weights": True},
        {"accumulate": 3},
        {"validation": 0.3, "patience": 1, "epochs": 12, "lr": 1e-4},
        {"restarts": (1.0, 2.0)},
        {"tta": "flip", "smoothing": 0.0, "watch_test": True},
        {"freeze": "1", "lr_decay": 0.5},
        {"augment": "trivial+erase(0.5)+elastic(0.1)"},
    ],
    ids=str,
)
def test_stopped_anywhere(options: dict[str, Any], tmp_path: Path) -> None:
    settings = PLAIN.changed(**options)
    whole = run(settings, tmp_path / "whole")
    last = whole.log()[-1].step
    step = random.Random(str(options)).randrange(1, last)
    with pytest.raises(Interrupted, match=f"stopped after step {step}"):
        run(settings, tmp_path / "stopped", callbacks=[Stop(step)])
    stopped = run(RunFolder(tmp_path / "stopped").settings(), tmp_path / "stopped", resume=True)
    assert_same(whole, stopped)
    names = ("last.safetensors", "best.safetensors")
    assert all((whole.path / name).exists() for name in names)
    assert (whole.read_json("metrics.json")["accuracy"]) == stopped.read_json("metrics.json")["accuracy"]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.body = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.body(x).mean((2, 3)))
        return y


def test_a_module_of_ones_own(tmp_path: Path) -> None:
    settings = PLAIN.changed(model=object_text(Net()), ema=0.9)
    whole = run(settings, tmp_path / "whole", model=Net())
    with pytest.raises(Interrupted):
        run(settings, tmp_path / "stopped", model=Net(), callbacks=[Stop(7)])
    stopped = run(settings, tmp_path / "stopped", model=Net(), resume=True)
    assert_same(whole, stopped)


def test_more_epochs_after_the_last_begin_the_schedule_anew(tmp_path: Path) -> None:
    folder = run(PLAIN, tmp_path / "run")
    longer = folder.settings().changed(epochs=5, restarts=(3.0,))
    run(longer, folder.path, resume=True)
    rates = [epoch.lr for epoch in folder.log()]
    assert len(rates) == 5
    assert rates[2] < 0.02 * max(rates), "the first cycle has ended"
    assert rates[3] > 0.3 * max(rates), "the second has begun at its top"
    assert folder.settings().recipe.epochs == 5
    at_once = run(longer, tmp_path / "at once")
    assert_same(folder, at_once)


def test_patience_ends_a_run_that_learns_nothing(tmp_path: Path) -> None:
    folder = run(PLAIN.changed(validation=0.3, patience=2, epochs=50, lr=1e-12), tmp_path / "run")
    assert 3 <= len(folder.log()) < 50
    assert folder.chosen() == "best"


def test_a_callback_ends_a_run_in_good_order(tmp_path: Path) -> None:
    class Enough(Silent):
        def tick(self, tick: Tick) -> None:
            if tick.step == 8:
                raise StopTraining

    folder = run(PLAIN, tmp_path / "run", callbacks=[Enough()])
    assert folder.log()[-1].step == 8
    assert "accuracy" in folder.read_json("metrics.json")


def test_a_budget_of_time_is_kept_and_saved(tmp_path: Path) -> None:
    folder = run(PLAIN.changed(epochs=None, time="0.6s"), tmp_path / "run")
    last = folder.log()[-1]
    assert 0.6 <= last.seconds < 2.0
    assert last.lr < 0.3 * max(epoch.lr for epoch in folder.log()) or len(folder.log()) == 1
    again = run(folder.settings(), folder.path, resume=True)
    assert again.log()[-1].step == last.step, "nothing is left to do"
