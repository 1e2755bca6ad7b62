"""Seconds, pictures a second and what is left, held to a clock that every look moves by half a second."""

from __future__ import annotations

from pathlib import Path

import pytest
from training import fit

import cnnatomy.train.engine as engine
import cnnatomy.train.trainer as trainer
from cnnatomy.train import Epoch, Settings, Silent, Tick
from cnnatomy.train.run_folder import RunFolder
from cnnatomy.train.speed import Estimate

LOOK = 0.5
CONFIG = Settings.of(epochs=3, limit=320, batch_size=32, model="conv3-4 globalavg FC", augment="none")
STEPS = 10
"""Of an epoch. A step takes one look's time and so does measuring after the last: its begin and its end."""


class Listener(Silent):
    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.epochs: list[Epoch] = []

    def tick(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


class Clock:
    """Stands for the module `time`."""

    now = 0.0

    def perf_counter(self) -> float:
        self.now += LOOK
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(trainer, "time", clock)
    monkeypatch.setattr(engine, "TICK", 1)
    monkeypatch.setattr(engine, "estimated", lambda *_: Estimate("", None))
    return clock


def test_times_are_those_of_the_clock(tmp_path: Path) -> None:
    heard = Listener()
    fit(CONFIG, tmp_path, reporter=heard)
    assert [epoch.seconds for epoch in heard.epochs] == [LOOK * (STEPS + 1) * n for n in (1, 2, 3)]
    assert [epoch.images_per_second for epoch in heard.epochs] == [32 / LOOK] * 3
    assert {tick.images_per_second for tick in heard.ticks} == {32 / LOOK}
    for tick in heard.ticks:
        assert tick.seconds_left == pytest.approx(LOOK * (3 * STEPS - tick.step))
        assert tick.done == pytest.approx(tick.step / (3 * STEPS))
    metrics = RunFolder(tmp_path).read_json("metrics.json")
    assert metrics["seconds"] == LOOK * 3 * (STEPS + 1)
    assert metrics["images_per_second"] == 32 / LOOK


def test_a_budget_of_time_is_told_by_the_same_clock(tmp_path: Path) -> None:
    heard = Listener()
    fit(CONFIG.changed(epochs=None, time="12s"), tmp_path, reporter=heard)
    assert heard.epochs[-1].step == 22, "20 steps and two measurements take 11 s, 2 steps more the rest"
    assert [tick.seconds_left for tick in heard.ticks[:3]] == [11.5, 11.0, 10.5]


def test_time_between_a_stop_and_going_on_is_left_out(clock: Clock, tmp_path: Path) -> None:
    fit(CONFIG, tmp_path)
    clock.now += 1000
    longer = RunFolder(tmp_path).settings().changed(epochs=4, restarts=(3.0,))
    fit(longer, tmp_path, resume=True)
    seconds = [epoch.seconds for epoch in RunFolder(tmp_path).log()]
    assert seconds == [LOOK * (STEPS + 1) * n for n in (1, 2, 3, 4)]
