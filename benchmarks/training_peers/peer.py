"""What the runners of the peers share; it needs nothing but the peers' own environment."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """What a runner is told."""

    folder: Path
    epochs: int
    seed: int

    @property
    def train(self) -> Path:
        """The pictures to train on, one folder a class."""
        return self.folder / "train"

    @property
    def test(self) -> Path:
        """The pictures to be judged on, once, at the end."""
        return self.folder / "test"


@dataclass(frozen=True)
class Answer:
    """What a runner says.

    Args:
        accuracy: share of the test pictures that the last weights name rightly.
        settings: how it trained.
        versions: of the packages that did it.
    """

    accuracy: float
    settings: str
    versions: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> Answer:
        """The answer that `main` wrote."""
        return Answer(**json.loads(path.read_text()))


def main(run: Callable[[Job], Answer], epochs: int, *packages: str) -> None:
    """Read the job from the command line, do it, and write the answer with the versions of the packages."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("answer", type=Path)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    answer = run(Job(told.folder, told.epochs, told.seed))
    told.answer.write_text(json.dumps(asdict(replace(answer, versions=versions(*packages)))))


def versions(*packages: str) -> dict[str, str]:
    """Of Python, and of installed packages."""
    return {"python": platform.python_version()} | {package: version(package) for package in packages}
