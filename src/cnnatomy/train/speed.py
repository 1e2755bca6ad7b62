"""How long a run will take: a few steps of a copy of it, timed."""

from __future__ import annotations

import copy
import time
from statistics import median
from typing import NamedTuple

import torch

from cnnatomy.files.printable import duration
from cnnatomy.train.batch_sources import LoaderFeed
from cnnatomy.train.trainer import Trainer

MOST_STEPS, MOST_SECONDS = 6, 1.5
"""So much is spent on an estimate at most, after a first step that is not counted."""


def step_seconds(trainer: Trainer) -> float | None:
    """The time of a step: the median of a few, on a copy of the network. None where it cannot be copied.

    Several processes, a loader whose batches would be lost, and a network that takes long to compile are not
    tried.
    """
    if trainer.world.size > 1 or isinstance(trainer.feed, LoaderFeed) or trainer.compiled:
        return None
    copied = Trainer(
        trainer.recipe,
        trainer.run,
        copy.deepcopy(trainer.model),
        trainer.feed,
        trainer.watched,
        trainer.world,
    )
    times: list[float] = []
    began = time.perf_counter()
    while len(times) <= MOST_STEPS and (time.perf_counter() - began < MOST_SECONDS or len(times) < 2):
        at = time.perf_counter()
        copied.advance()
        if trainer.world.device.type == "cuda":
            torch.cuda.synchronize(trainer.world.device)
        times.append(time.perf_counter() - at)
        if copied.budget.ended(copied.used):
            break
    return median(times[1:] or times)


class Estimate(NamedTuple):
    """How long a run will take, in words, and in seconds where that could be measured."""

    said: str
    seconds: float | None


def estimated(trainer: Trainer, test_pictures: int) -> Estimate:
    """How long the run will take, measuring included."""
    step = step_seconds(trainer)
    steps_an_epoch = trainer.feed.batches
    if step is None:
        return Estimate("not measured beforehand", None)
    # A picture is measured in about a third of the time that it is trained on: forward, without backward.
    measured = step / 3 / max(1.0, trainer.feed.pictures / steps_an_epoch)
    watched = sum(len(part) for part in trainer.watched if part is not None)
    epoch = steps_an_epoch * step + watched * measured
    if trainer.budget.timed:
        total = trainer.budget.total
        return Estimate(f"{duration(total)}, about {total / epoch:.3g} epochs", total)
    left = trainer.budget.left(trainer.used) * trainer.budget.total / steps_an_epoch
    seconds = left * epoch + test_pictures * measured
    return Estimate(f"about {duration(seconds)}", seconds)
