from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training import fit

from cnnatomy.errors import CheckpointError
from cnnatomy.train import Interrupted, Settings, Silent, Tick
from cnnatomy.train.atomic_files import read_tensors, write_tensors
from cnnatomy.train.interruption import SIGNALS
from cnnatomy.train.run_folder import RunFolder

CONFIG = Settings.of(epochs=2, batch_size=64, threads=1, checkpoint_every=7, augment="distortions")

VICTIM = """
import sys
from pathlib import Path
from cnnatomy.train import RunFolder, Settings, Silent
from cnnatomy.train.engine import train

class Loud(Silent):
    def tick(self, tick):
        print(tick.step, flush=True)
        if tick.step == 30:
            sys.stdin.read()  # wait here to be killed

train(Settings.from_json({config!r}), RunFolder(Path({run!r})), callbacks=[Loud()])
"""


class Impatient(Silent):
    """Presses Ctrl-C at a step."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.step, self.number = step, number

    def tick(self, tick: Tick) -> None:
        if tick.step == self.step:
            signal.raise_signal(self.number)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    fit(CONFIG, run)
    return run


def assert_same(one: Path, other: Path) -> None:
    """Every bit of the state, and every figure but the times."""
    first, facts = read_tensors(RunFolder(one).checkpoint)
    second, other_facts = read_tensors(RunFolder(other).checkpoint)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert facts["step"] == other_facts["step"]
    for a, b in zip(RunFolder(one).log(), RunFolder(other).log(), strict=True):
        assert replace(a, seconds=0, images_per_second=0) == replace(b, seconds=0, images_per_second=0)


def test_killed_in_mid_epoch_and_resumed_ends_with_the_same_bits(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    script = VICTIM.format(config=CONFIG.to_json(), run=str(run))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        while victim.stdout.readline().strip() != "30":
            assert victim.poll() is None
        victim.kill()
    assert victim.returncode == -signal.SIGKILL
    assert read_tensors(RunFolder(run).checkpoint)[1]["step"] == 28, (
        "the last checkpoint lies within an epoch"
    )
    assert not list(run.glob("*.tmp")), "nothing half-written lies about"
    fit(CONFIG, run, resume=True)
    assert_same(whole, run)


@pytest.mark.costly(1)
@pytest.mark.parametrize("number", SIGNALS)
def test_interrupted_between_steps_and_resumed_ends_with_the_same_bits(
    whole: Path, tmp_path: Path, number: int
) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=r"stopped after step 30 of 46.*resume") as caught:
        fit(CONFIG, tmp_path, reporter=Impatient(30, number))
    assert isinstance(caught.value, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is before
    fit(CONFIG, tmp_path, resume=True)
    assert_same(whole, tmp_path)


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        fit(CONFIG.changed(epochs=1), tmp_path, reporter=Impatient(10, signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert RunFolder(tmp_path).log()[-1].step == 23


def test_before_there_is_anything_to_save_a_signal_acts_at_once(tmp_path: Path) -> None:
    class Impatient(Silent):
        def reading(self, what: str, done: int, total: int | None, unit: str, /) -> object:
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("not heard")

    with pytest.raises(KeyboardInterrupt) as caught:
        fit(CONFIG, tmp_path / "run", reporter=Impatient())
    assert not isinstance(caught.value, Interrupted)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_only_evaluated_again(whole: Path) -> None:
    before = RunFolder(whole).checkpoint.read_bytes()
    again = fit(CONFIG, whole, resume=True)
    assert again.pictures == 359
    assert RunFolder(whole).checkpoint.read_bytes() == before


def test_another_configuration_is_refused_and_named(whole: Path) -> None:
    with pytest.raises(CheckpointError, match=r"lr 0.005, now 0.1; seed 0, now 3"):
        fit(CONFIG.changed(lr=0.1, seed=3), whole, resume=True)
    fit(CONFIG.changed(checkpoint_every=50), whole, resume=True)


def test_other_pictures_are_refused(whole: Path, tmp_path: Path) -> None:
    RunFolder(tmp_path).create(RunFolder(whole).settings())
    tensors, facts = read_tensors(RunFolder(whole).checkpoint)
    write_tensors(RunFolder(tmp_path).checkpoint, tensors, facts | {"data": "another fingerprint"})
    with pytest.raises(CheckpointError, match="the pictures of digits are not those"):
        fit(CONFIG, tmp_path, resume=True)


@pytest.mark.parametrize("left", [0, 1, 100, 5000, -1])
def test_a_cut_checkpoint_is_one_clear_error(whole: Path, tmp_path: Path, left: int) -> None:
    RunFolder(tmp_path).create(RunFolder(whole).settings())
    RunFolder(tmp_path).checkpoint.write_bytes(RunFolder(whole).checkpoint.read_bytes()[:left])
    with pytest.raises(CheckpointError, match="is damaged") as caught:
        fit(CONFIG, tmp_path, resume=True)
    assert "\n" not in str(caught.value)


def test_one_altered_bit_is_noticed(whole: Path, tmp_path: Path) -> None:
    RunFolder(tmp_path).create(RunFolder(whole).settings())
    content = bytearray(RunFolder(whole).checkpoint.read_bytes())
    content[-5000] ^= 1
    RunFolder(tmp_path).checkpoint.write_bytes(content)
    with pytest.raises(CheckpointError, match="content that matches its digest"):
        fit(CONFIG, tmp_path, resume=True)


def test_a_run_without_its_checkpoint_says_so(whole: Path, tmp_path: Path) -> None:
    RunFolder(tmp_path).create(RunFolder(whole).settings())
    with pytest.raises(CheckpointError, match="does not exist"):
        fit(CONFIG, tmp_path, resume=True)
