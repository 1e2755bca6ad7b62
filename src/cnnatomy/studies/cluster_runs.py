"""The runs of a study on a Ray cluster: each a task with its processors, whose files come back as they grow.

A task trains in a folder of the machine that it is on, and hands over what has changed every few seconds: its
checkpoint among it. Where its worker dies, another one goes on from what has come back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from cnnatomy.errors import CnnatomyError
from cnnatomy.runs.cluster import Files, cluster, environment, packed, unpacked
from cnnatomy.studies.study_folder import StudyFolder
from cnnatomy.studies.study_runs import Told, Trial, ended, train_one
from cnnatomy.train.reporter import Silent
from cnnatomy.train.settings import Settings

EVERY = 5.0
"""Seconds between two times that a task hands over what has changed."""
DEATHS = 5
"""Workers that may die over a run, one after the other, before it counts as failed."""


class Handed(NamedTuple):
    """What a task hands over: files that have changed, and at the end why it failed, if it did."""

    files: Files
    failed: str | None = None


def run_remotely(left: list[Trial], folder: StudyFolder, told: Told, address: str | None) -> dict[Trial, str]:
    """Train runs on a cluster, and say which could not be trained, and why."""
    with cluster(address) as ray:
        return _Tasks(ray, folder, told).carried_out(left)


class _Tasks:
    """The tasks that are on their way."""

    def __init__(self, ray: Any, folder: StudyFolder, told: Told) -> None:
        self.ray, self.folder, self.told = ray, folder, told
        self.gpus = ray.cluster_resources().get("GPU", 0) > 0
        self.running: dict[Any, Trial] = {}
        self.deaths: dict[Trial, int] = {}
        self.failed: dict[Trial, str] = {}

    def carried_out(self, left: list[Trial]) -> dict[Trial, str]:
        for trial in left:
            self._begin(trial)
        try:
            while self.running:
                ready, _ = self.ray.wait(list(self.running), timeout=1.0)
                for task in ready:
                    self._take(task)
        except BaseException:
            for task in self.running:
                self.ray.cancel(task, force=True)
            raise
        return self.failed

    def _begin(self, trial: Trial) -> None:
        """Begin a run, or go on with it from what has come back of it."""
        arm, seed = trial
        path = self.folder.run(arm, seed).path
        settings = portable(arm.seeded(seed))
        on_gpu = self.gpus and (settings.run.device or "cuda").startswith("cuda")
        task = self.ray.remote(_train).options(
            num_returns="streaming",
            max_retries=0,
            num_cpus=settings.run.threads,
            num_gpus=int(on_gpu),
            name=f"{arm.name}, seed {seed}",
            runtime_env=environment(),
        )
        self.running[task.remote(settings, packed(path) if path.is_dir() else {}, EVERY)] = trial

    def _take(self, task: Any) -> None:
        """Write down what a task has handed over; a task that has died is begun anew."""
        trial = self.running[task]
        try:
            handed: Handed = self.ray.get(next(task))
        except StopIteration:
            del self.running[task]
            if ended(self.folder.run(*trial)) or trial in self.failed:
                self.told(trial, self.failed.get(trial))
            else:
                self._died(trial, "it ended without a result")
        except self.ray.exceptions.RayTaskError:
            raise  # a bug, or a machine without pictures or room: another worker would meet it too
        except self.ray.exceptions.RayError as error:
            del self.running[task]
            self._died(trial, " ".join(str(error).split())[:200])
        else:
            unpacked(handed.files, self.folder.run(*trial).path)
            if handed.failed is not None:
                self.failed[trial] = handed.failed

    def _died(self, trial: Trial, why: str) -> None:
        self.deaths[trial] = self.deaths.get(trial, 0) + 1
        if self.deaths[trial] < DEATHS:
            self._begin(trial)
            return
        self.failed[trial] = f"{DEATHS} workers died over it, the last: {why}"
        self.told(trial, self.failed[trial])


def portable(settings: Settings) -> Settings:
    """The settings as a task understands them, which starts in another folder and sees one GPU at most."""
    source, device = Path(settings.data.source), settings.run.device
    data = replace(settings.data, source=str(source.absolute())) if source.exists() else settings.data
    if data.data_dir is not None:
        data = replace(data, data_dir=str(Path(data.data_dir).absolute()))
    alone = "cuda" if device is not None and device.startswith("cuda") else device
    return replace(settings, data=data, run=replace(settings.run, device=alone))


def _train(settings: Settings, files: Files, every: float) -> Iterator[Handed]:
    """Train on this machine from what is there of the run; hand over what changes, every few seconds."""
    with tempfile.TemporaryDirectory(prefix="cnnatomy-") as place:
        path, seen = Path(place) / "run", dict[str, tuple[int, int]]()
        unpacked(files, path)
        packed(path, seen)
        with ThreadPoolExecutor(1) as pool:
            training = pool.submit(_told, path, settings)
            while not wait([training], every).done:
                if changed := packed(path, seen):
                    yield Handed(changed)
        yield Handed(packed(path, seen), training.result())


def _told(path: Path, settings: Settings) -> str | None:
    """Train, and say why it failed if it did."""
    try:
        train_one(path, settings, Silent())
    except CnnatomyError as error:
        return str(error)
    return None
