"""A training killed at any moment and resumed ends with the bits of one that was left alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnatomy.train import RunFolder
from cnnatomy.train.atomic_files import read_tensors

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(6, 10)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))
"""
CONV = ["--model", "conv3-8 bn maxpool conv3-8 bn globalavg FC"]
RECIPES = {
    "muon": [*CONV, "--optimizer", "muon"],
    "adamw with an average": [*CONV, "--optimizer", "adamw", "--ema", "0.99", "--tta", "flip"],
    "mixup and cutmix": [*CONV, "--mixup", "0.2", "--cutmix", "1", "--augment", "trivial"],
    "patience": [*CONV, "--validation", "0.2", "--patience", "1", "--lr", "1e-4"],
    "a module of one's own": ["--model", "net.py:Net", "--size", "1x16x16", "--validation", "0.1"],
    "balanced": [*CONV, "--balanced", "--class-weights", "--accumulate", "2", "--schedule", "step"],
}
COMMON = ["--epochs", "5", "--limit", "600", "--batch-size", "32", "--checkpoint-every", "3", "--quiet"]


def command(place: Path, run: str, *words: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "cnnatomy", "train", *words, "--run", run]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes]) -> None:
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint.decode()


def begun(process: subprocess.Popen[bytes], run: RunFolder) -> float:
    """Wait until there is something to go on from, and say when that was."""
    while not run.checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.005)
    return time.monotonic()


def left_alone(name: str, place: Path) -> tuple[RunFolder, float]:
    """The run without an accident, and how long it took from its first checkpoint on."""
    (place / "net.py").write_text(NET)
    whole = RunFolder(place / "whole")
    process = command(place, "whole", "digits", *RECIPES[name], *COMMON)
    at = begun(process, whole)
    ended(process)
    return whole, time.monotonic() - at


def killed(name: str, place: Path, run: str, after: float) -> bool:
    """Train, kill after so many seconds from the first checkpoint on, and resume; whether it was in time."""
    process = command(place, run, "digits", *RECIPES[name], *COMMON)
    at = begun(process, RunFolder(place / run))
    time.sleep(max(0.0, at + after - time.monotonic()))
    process.kill()
    process.communicate()
    own = RECIPES[name][:2] if ":" in RECIPES[name][1] else []
    ended(command(place, run, "--resume", "--quiet", *own))
    return process.returncode != 0


def figures(run: RunFolder) -> dict[str, Any]:
    """All of metrics.json but the times."""
    times = {"seconds", "images_per_second", "seconds_per_picture"}
    return {name: value for name, value in run.read_json("metrics.json").items() if name not in times}


def assert_same(one: RunFolder, other: RunFolder) -> None:
    first, second = (read_tensors(run.checkpoint)[0] for run in (one, other))
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    for which in ("best", "last"):
        assert one.weights(which).read_bytes() == other.weights(which).read_bytes()
    assert figures(one) == figures(other)
    for a, b in zip(one.log(), other.log(), strict=True):
        assert replace(a, seconds=0, images_per_second=0) == replace(b, seconds=0, images_per_second=0)
    assert (other.path / "report.html").exists()
    assert not [path.name for path in other.path.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_killed_at_a_random_moment_and_resumed_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    whole, seconds = left_alone(name, tmp_path)
    killed(name, tmp_path, "run", random.Random(name).uniform(0, 0.9 * seconds))
    assert_same(whole, RunFolder(tmp_path / "run"))
