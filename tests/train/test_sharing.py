"""One training at a time has a run's folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from training import fit

from cnnatomy.errors import CheckpointError
from cnnatomy.train import RunFolder, Settings, Silent, Tick

CONFIG = Settings.of(epochs=1, model="conv3-4 globalavg FC", limit=200, augment="none")


def test_a_folder_in_which_another_trains_is_refused_new_and_to_go_on_with(tmp_path: Path) -> None:
    fit(CONFIG, tmp_path / "ended")
    (tmp_path / "new").mkdir()
    for name, resume in (("new", False), ("ended", True)):
        folder = RunFolder(tmp_path / name)
        before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
        with folder.held():
            with pytest.raises(
                CheckpointError, match=f"another process is training in .*{name}; try waiting"
            ):
                fit(CONFIG.changed(checkpoint_every=3), folder.path, resume=resume)
            held = {path.name: path.read_bytes() for path in folder.path.iterdir()}
        assert held == before | {".lock": b""}
    assert fit(CONFIG, tmp_path / "new").pictures == 359


def test_a_folder_that_was_filled_while_pictures_were_read_is_left_alone(tmp_path: Path) -> None:
    class Slow(Silent):
        def reading(self, what: str, done: int, total: int | None, unit: str, /) -> object:
            if not (tmp_path / "run").exists():
                fit(CONFIG.changed(seed=1), tmp_path / "run")
            return None

    with pytest.raises(CheckpointError, match="already exists"):
        fit(CONFIG, tmp_path / "run", reporter=Slow())
    assert RunFolder(tmp_path / "run").settings().recipe.seed == 1
    assert RunFolder(tmp_path / "run").read_json("metrics.json")


def test_the_folder_is_held_while_training_and_free_afterwards(tmp_path: Path) -> None:
    class Watcher(Silent):
        refused = 0

        def tick(self, tick: Tick) -> None:
            with pytest.raises(CheckpointError, match="another process"), RunFolder(tmp_path).held():
                pass
            self.refused += 1

    watcher = Watcher()
    fit(CONFIG.changed(epochs=3), tmp_path, reporter=watcher)
    assert watcher.refused > 0
    with RunFolder(tmp_path).held():
        pass


@pytest.mark.slow
def test_two_commands_started_together_leave_one_whole_run(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "cnnatomy", "train", "digits", "--epochs", "3", "--quiet", "--seed"]
    begun = [
        subprocess.Popen(
            [*line, seed], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for seed in ("1", "2")
    ]
    said = [process.communicate(timeout=200) for process in begun]
    runs = [out.strip() for out, _ in said if out]
    assert [process.returncode for process in begun].count(0) == len(runs) >= 1
    assert len(set(runs)) == len(runs), "each has a folder of its own"
    for process, (out, complaint) in zip(begun, said, strict=True):
        if process.returncode:
            assert process.returncode == 2
            assert "another process is training in" in complaint or "already exists" in complaint
        else:
            seed = RunFolder(tmp_path / out.strip()).settings().recipe.seed
            assert seed == 1 + begun.index(process)
