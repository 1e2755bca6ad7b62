"""The tools that are compared: how each is started on a folder, and where its accuracy is read."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.training_peers.draws import Draw
from benchmarks.training_peers.peer import Answer, versions
from benchmarks.training_peers.results import Result

ROOT = Path(__file__).parents[2]
LIBRARIES = ("OMP", "MKL", "OPENBLAS", "NUMEXPR")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in LIBRARIES}
OURS = "cnnatomy"
RUNNERS = {
    "timm": ("with_timm",),
    "fastai": ("with_fastai",),
    "ultralytics": ("with_ultralytics",),
    "pixels": ("with_sklearn", "pixels"),
    "features": ("with_sklearn", "features"),
}
"""Each peer's module in this package, and what it is told first."""

Command = Callable[[Path, Path, int], list[str]]
"""The words to run, of the folder of pictures, the file for an answer and the draw's number."""


@dataclass(frozen=True)
class Tool:
    """A program that learns the classes of a folder.

    Args:
        name: what its row is called.
        command: how it is started.
        answer: what it found, read from the folder that it ran in.
    """

    name: str
    command: Command
    answer: Callable[[Path], Answer]

    def run(self, draw: Draw) -> Result:
        """Train on a fresh copy of the draw; time counts for the whole process tree.

        Raises:
            RuntimeError: the program failed.
        """
        with tempfile.TemporaryDirectory() as place:
            pictures, room = Path(place) / "pictures", Path(place) / "room"
            draw.lay_out(pictures)
            room.mkdir()
            words = self.command(pictures, room / "answer.json", draw.number)
            began, before = time.perf_counter(), _cpu_seconds()
            done = subprocess.run(
                words, cwd=room, env=_environment(), capture_output=True, text=True, check=False
            )
            cpu_s, wall_s = _cpu_seconds() - before, time.perf_counter() - began
            if done.returncode:
                raise RuntimeError(f"{shlex.join(words)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            return Result.measured(self.name, draw.number, cpu_s, wall_s, self.answer(room))


def ours(arguments: str = "") -> Tool:
    """`cnnatomy train FOLDER` with these arguments; without any it is what a first user gets."""

    def command(pictures: Path, answer: Path, number: int) -> list[str]:
        return [sys.executable, "-m", OURS, "train", str(pictures), *shlex.split(arguments)]

    def answer(room: Path) -> Answer:
        (metrics,) = room.glob("runs/*/metrics.json")
        accuracy = json.loads(metrics.read_text())["accuracy"]
        return Answer(accuracy, arguments or "no flags", versions(OURS, "torch"))

    return Tool(f"{OURS} {arguments}".strip(), command, answer)


def peer(name: str, python: Path) -> Tool:
    """One of `RUNNERS`, in another environment's interpreter."""
    module, *first = RUNNERS[name]

    def command(pictures: Path, answer: Path, number: int) -> list[str]:
        words = [str(python), "-m", f"{__package__}.{module}", *first, str(pictures), str(answer)]
        return [*words, "--seed", str(number)]

    return Tool(name, command, lambda room: Answer.read(room / "answer.json"))


def _environment() -> dict[str, str]:
    return os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT)}


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
