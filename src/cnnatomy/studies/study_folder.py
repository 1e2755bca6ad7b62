"""A study's folder: what is compared, and one ordinary run's folder for each arm and seed.

| what                      | what it holds                                                             |
|---------------------------|---------------------------------------------------------------------------|
| study.toml                | the base's settings, what each arm changes, and the seeds                 |
| runs/ARM/seed-NUMBER/     | the run of an arm with a seed, as `cnnatomy train` leaves it              |
| results.csv, results.json | a row a run; arms, differences and how sure they are                      |
| study.html                | the same as a page                                                        |

A run that has ended is never trained again; one that was stopped goes on where it was. Arms and seeds may be
added later; an arm that is there keeps its configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnatomy import checks
from cnnatomy.errors import ArgumentError, CheckpointError
from cnnatomy.files.locking import alone
from cnnatomy.files.toml import read_toml, to_toml
from cnnatomy.studies.arms import Arm, demand_distinct, from_tables, to_tables
from cnnatomy.train.atomic_files import remove_unfinished, write_whole
from cnnatomy.train.run_folder import RunFolder
from cnnatomy.train.settings import Settings

STUDIES = Path("studies")
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Design:
    """What a study compares.

    Example:
        >>> design = Design(Settings(), (Arm("max", Settings.of(pool="max")),), (0, 1))
        >>> len(design.trials), design.trials[0][0].name, design.trials[0][1]
        (2, 'max', 0)
    """

    base: Settings
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.arms or not self.seeds:
            raise ArgumentError("a study", expected="an arm and a seed at least")
        for seed in self.seeds:
            checks.count("seed", seed, least=0)
        if len(set(self.seeds)) < len(self.seeds) or len(self.seeds) > MOST_SEEDS:
            raise ArgumentError("seeds", expected=f"at most {MOST_SEEDS:,} different ones")
        demand_distinct(self.arms)

    @property
    def trials(self) -> list[tuple[Arm, int]]:
        """Every arm with every seed, seed by seed, so that the first seeds already compare all arms."""
        return [(arm, seed) for seed in self.seeds for arm in self.arms]

    def grown(self, other: Design) -> Design:
        """This design with the arms and seeds of another that it lacks.

        Raises:
            ArgumentError: an arm of the same name is another configuration, or the pictures are others.
        """
        if self.base.data != other.base.data:
            what = f"the study is of other pictures, or divides them otherwise: {self.base.data.source}"
            raise ArgumentError(what, hint="another study")
        mine = {arm.name: arm for arm in self.arms}
        for arm in other.arms:
            if arm.name in mine and (changes := mine[arm.name].settings.differences(arm.settings)):
                raise ArgumentError(
                    f"arm {arm.name!r} of the study has {'; '.join(changes)}", hint="another name"
                )
        arms = (*self.arms, *(arm for arm in other.arms if arm.name not in mine))
        seeds = (*self.seeds, *(seed for seed in other.seeds if seed not in self.seeds))
        return Design(self.base, arms, seeds)

    def to_tables(self) -> dict[str, dict[str, Any]]:
        """The design as tables of TOML."""
        return {"study": {"seeds": list(self.seeds)}} | to_tables(self.base, self.arms)

    @classmethod
    def from_tables(cls, tables: dict[str, Any]) -> Design:
        """Read what `to_tables` gave.

        Raises:
            ArgumentError: a table or a value can mean nothing.
        """
        for name in tables:
            if name not in ("study", "base", "arms"):
                raise ArgumentError(f"there is no table [{name}]", expected="study, base and arms")
        base, arms = from_tables(tables)
        study = checks.of_kind("[study]", tables.get("study", {}), dict, "a table")
        seeds = checks.of_kind("seeds", study.get("seeds", [0, 1, 2]), list, "a list of whole numbers")
        return cls(base, tuple(arms), tuple(seeds))


@dataclass(frozen=True)
class StudyFolder:
    """The folder of one study."""

    path: Path

    def run(self, arm: Arm, seed: int) -> RunFolder:
        """Where an arm is trained with a seed."""
        return RunFolder(self.path / "runs" / arm.slug / f"seed-{seed}")

    def exists(self) -> bool:
        """Whether there is a study."""
        return (self.path / "study.toml").is_file()

    def demand_free(self) -> None:
        """Raise a CheckpointError if there is something else at the path."""
        folder = self.path.is_dir()
        others = [one for one in self.path.iterdir() if one.name != ".lock"] if folder else []
        if others or (self.path.exists() and not folder):
            raise CheckpointError(f"{self.path} already exists", expected="an empty or new folder")

    def design(self) -> Design:
        """Read what is compared.

        Raises:
            CheckpointError: this is no study's folder, or its design is damaged.
        """
        path = self.path / "study.toml"
        if not path.is_file():
            raise CheckpointError(f"{self.path} is not a study", expected="a folder with study.toml")
        try:
            return Design.from_tables(read_toml(path))
        except ArgumentError as error:
            raise CheckpointError(f"{path} cannot be read", got=str(error)) from error

    def write_design(self, design: Design) -> None:
        """Make the folder if it is not there, and write down what is compared."""
        if not self.exists():
            self.demand_free()
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / "study.toml", to_toml(design.to_tables()).encode("utf-8", "replace"))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the study while something trains for it.

        Raises:
            CheckpointError: another process does.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with alone(self.path / ".lock", f"training for {self.path}"):
            remove_unfinished(self.path)
            yield


def next_study(settings: Settings) -> Path:
    """The first folder studies/DATA-NUMBER that does not exist yet."""
    data = re.sub(r"[^\w.-]+", "-", Path(settings.data.source).resolve().stem)
    number = 1
    while (study := STUDIES / f"{data}-{number}").exists():
        number += 1
    return study
