"""The runs of a study that are not there yet, one after the other or in several processes at once.

Every run is one that `cnnatomy train` could have made: what decides its result is its settings alone, so that
the number of processes changes nothing. A process whose parent has died saves its run and ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cnnatomy.errors import CnnatomyError
from cnnatomy.models import consented
from cnnatomy.studies.arms import Arm
from cnnatomy.studies.job_memory import demand_room
from cnnatomy.studies.study_folder import Design, StudyFolder
from cnnatomy.train.engine import train
from cnnatomy.train.loggers import logger
from cnnatomy.train.reporter import Reporter, Silent
from cnnatomy.train.run_folder import RunFolder
from cnnatomy.train.settings import Settings

WATCH = 1.0
"""Seconds between two looks of a process at its parent, and of a study at its processes."""
STOPPED = "stopped"
Trial = tuple[Arm, int]
Told = Callable[[Trial, str | None], object]
"""Told that a run has ended: without, or with what it failed for."""


def run_missing(
    design: Design,
    folder: StudyFolder,
    *,
    jobs: int = 1,
    ray: bool | str = False,
    told: Told,
    reporter: Reporter | None = None,
) -> dict[Trial, str]:
    """Train every arm with every seed that has not ended, and say which could not be trained, and why.

    Args:
        design: what is compared.
        folder: where.
        jobs: processes at once; each computes with the threads that its settings say.
        ray: on a Ray cluster instead: this machine's, or that of an address.
        told: who hears of every run that ends.
        reporter: who hears of the steps, where there is one process.

    Raises:
        ArgumentError: so many jobs take more memory than is free, or there is no such cluster.
    """
    left = [trial for trial in design.trials if not ended(folder.run(*trial))]
    if ray:
        from cnnatomy.studies.cluster_runs import run_remotely

        return run_remotely(left, folder, told, ray if isinstance(ray, str) else None) if left else {}
    if jobs == 1 or len(left) < 2:
        return _in_turn(left, folder, told, reporter or Silent())
    demand_room(left, jobs)
    return _at_once(left, folder, min(jobs, len(left)), told)


def ended(run: RunFolder) -> bool:
    """Whether a run has its result."""
    return (run.path / "metrics.json").is_file() and (run.path / "answers.safetensors").is_file()


def train_one(path: Path, settings: Settings, reporter: Reporter) -> None:
    """Train one run of a study, from where it was stopped if it was."""
    run = RunFolder(path)
    resume = run.checkpoint.exists()
    if resume:
        begun = run.settings()
        if begun.network.model is not None:
            consented(begun.network.model, settings.network.model)
        settings = replace(begun, run=settings.run)
    also = [logger(name, path) for name in settings.run.log]
    train(settings, run, resume=resume, callbacks=[reporter, *also])


def _in_turn(left: list[Trial], folder: StudyFolder, told: Told, reporter: Reporter) -> dict[Trial, str]:
    failed: dict[Trial, str] = {}
    for arm, seed in left:
        try:
            train_one(folder.run(arm, seed).path, arm.seeded(seed), reporter)
        except CnnatomyError as error:
            failed[arm, seed] = str(error)
        told((arm, seed), failed.get((arm, seed)))
    return failed


def _at_once(left: list[Trial], folder: StudyFolder, jobs: int, told: Told) -> dict[Trial, str]:
    """In processes of their own, begun afresh: a copy of this one would share its locks and threads."""
    failed: dict[Trial, str] = {}
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_watch, initargs=(os.getpid(),))
    with _stopping(executor) as pool:
        running: dict[Future[str | None], Trial] = {}
        for arm, seed in left:
            work = pool.submit(_in_process, folder.run(arm, seed).path, arm.seeded(seed))
            running[work] = (arm, seed)
        while running:
            done, _ = wait(running, timeout=WATCH, return_when=FIRST_COMPLETED)
            for future in done:
                trial = running.pop(future)
                if (why := future.result()) == STOPPED:
                    raise KeyboardInterrupt
                if why is not None:
                    failed[trial] = why
                told(trial, why)
    return failed


def _in_process(path: Path, settings: Settings) -> str | None:
    """Train in a process of the pool; what can be mended comes back as text, and so does a stop."""
    try:
        train_one(path, settings, Silent())
    except CnnatomyError as error:
        return str(error)
    except KeyboardInterrupt:
        return STOPPED
    return None


@contextmanager
def _stopping(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """End the pool; where this is left early, its processes save what they have, and begin nothing more."""
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            if process.pid and process.is_alive():
                os.kill(process.pid, signal.SIGTERM)
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()


def _watch(parent: int) -> None:
    """Stop this process, as SIGTERM does, when the one that began it has gone, which alone hears Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, daemon=True).start()
