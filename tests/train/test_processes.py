from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training import fit

from cnnatomy.train import Settings
from cnnatomy.train.atomic_files import read_tensors
from cnnatomy.train.run_folder import RunFolder

# 1,438 training pictures: two whole batches, and one that a lone picture has joined.
CONFIG = Settings.of(epochs=3, batch_size=479, threads=1, lr=1e-3, augment="distortions", checkpoint_every=2)

WORKER = """
import signal
import sys
from pathlib import Path
from cnnatomy.train import Interrupted, RunFolder, Settings, Silent
from cnnatomy.train.engine import train
import cnnatomy.train.engine as engine

class Impatient(Silent):
    def tick(self, tick):
        if {stop} and tick.step == {stop}:
            signal.raise_signal(signal.SIGINT)

engine.TICK = 1
try:
    settings = Settings.from_json({config!r})
    train(settings, RunFolder(Path({run!r})), resume={resume}, callbacks=[Impatient()])
except Interrupted as stop:
    print(stop)
"""


def torchrun(processes: int, run: Path, folder: Path, *, stop: int = 0, resume: bool = False) -> str:
    script = folder / "worker.py"
    script.write_text(WORKER.format(config=CONFIG.to_json(), run=str(run), stop=stop, resume=resume))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    result = subprocess.run(
        [*command, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_and_resume_exactly(tmp_path: Path) -> None:
    alone, whole, stopped = (tmp_path / name for name in ("alone", "whole", "stopped"))
    fit(CONFIG, alone)
    torchrun(2, whole, tmp_path)
    for one, two in zip(RunFolder(alone).log(), RunFolder(whole).log(), strict=True):
        assert one.loss == pytest.approx(two.loss, rel=1e-4)
        assert one.accuracy == pytest.approx(two.accuracy, abs=0.01)

    said = torchrun(2, stopped, tmp_path, stop=4)
    assert said.count("stopped after step 4 of 9") == 2, "both processes stop at the same step"
    torchrun(2, stopped, tmp_path, resume=True)
    first, second = (read_tensors(RunFolder(path).checkpoint)[0] for path in (whole, stopped))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
