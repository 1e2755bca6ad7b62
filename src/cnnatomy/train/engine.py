"""Training from the first step to the result: `fit`."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

import cnnatomy
from cnnatomy import checks
from cnnatomy.data import Dataset, load
from cnnatomy.data.augment import recipe
from cnnatomy.data.catalog import one_of
from cnnatomy.data.fit import POLICIES
from cnnatomy.errors import ArgumentError, CheckpointError
from cnnatomy.models.weights import load_into
from cnnatomy.train.config import FitConfig
from cnnatomy.train.evaluation import Evaluation
from cnnatomy.train.files import read_tensors, write_json, write_tensors
from cnnatomy.train.interruption import Flag, Interrupted, listen
from cnnatomy.train.reconstruction import judged
from cnnatomy.train.reporter import Plan, Reporter, Silent
from cnnatomy.train.run import Run
from cnnatomy.train.trainer import Trainer
from cnnatomy.train.world import World, join

TICK = 10
"""Steps between two looks at the loss; each look makes a GPU wait."""


def fit(
    config: FitConfig, run: Path, *, resume: bool = False, reporter: Reporter | None = None
) -> Evaluation:
    """Train as `config` says, leave everything in the folder `run`, and evaluate on the test pictures.

    Ctrl-C and SIGTERM stop the run between two steps, with everything saved. A resumed run ends with exactly
    the weights of one that was never stopped, on the same machine with the same number of threads and
    processes. Under `torchrun` the processes share every batch.

    Args:
        config: what to train on what, and how.
        run: a new or empty folder; with `resume`, the folder of the run to go on with.
        resume: go on from the run's checkpoint, or, if it has ended, only evaluate it again.
        reporter: whom to tell.

    Raises:
        ArgumentError: a value of the configuration can mean nothing; nothing was written.
        DataError: the pictures cannot be read; nothing was written.
        CheckpointError: the folder is taken; or there is nothing to resume, it is damaged, or it was
            made with another configuration or other pictures.
        Diverged: the loss became infinite or undefined; the last good checkpoint stays.
        Interrupted: asked to stop, with everything saved.
    """
    check(config)
    folder, reporter = Run(run), told(reporter)
    if resume:
        folder.config()
    else:
        folder.demand_free()
    with join(config.device) as world, _torch_settings(config.threads, world.device), listen() as flag:
        reporter = reporter if world.first else Silent()
        data = _load(config, world, reporter)
        if config.shape()[0] is None:  # open until here, and from here on a fact of the run
            config = replace(config, size="x".join(map(str, data.train.images.shape[1:])))
        config = config.resolved(len(data.train) - round(len(data.train) * config.validation), data.classes)
        trainer = Trainer(config, data, world)
        weights = _start(trainer, data, folder, resume)
        reporter.start(_plan(trainer, data, folder, weights))
        _loop(trainer, data, folder, flag, reporter)
        world.wait()
        evaluation = judged(folder.load_model()[0].to(world.device), data.test, data.name)
        if world.first:
            write_json(folder.path / "metrics.json", _metrics(trainer, evaluation))
        reporter.finish(evaluation)
        return evaluation


def told(reporter: Reporter | None) -> Reporter:
    """Whom to tell: nobody if nobody is named.

    Raises:
        ArgumentError: this is nobody that can be told.
    """
    if reporter is None:
        return Silent()
    if not isinstance(reporter, Reporter):
        raise ArgumentError("whom to tell", expected="a Reporter", got=checks.shown(reporter))
    return reporter


def check(config: FitConfig) -> None:
    """Raise an ArgumentError if a value of the configuration can mean nothing."""
    checks.of_kind("what to train", config, FitConfig, "a FitConfig").check()
    if config.augment:
        recipe(config.augment)
    one_of("fit policy", config.fit, POLICIES)


def load_data(config: FitConfig, reporter: Reporter) -> Dataset:
    """Read the pictures that a configuration names, in the size of its model."""
    channels, height, width = config.shape()

    def read(channels: int) -> Dataset:
        return load(
            config.data,
            size=(height, width),
            channels=channels,
            fit=config.fit,
            skip_bad=config.skip_bad,
            test_fraction=config.test_fraction,
            data_dir=Path(config.data_dir) if config.data_dir else None,
            progress=reporter.reading,
        )

    if channels is not None:
        return read(channels)
    coloured = read(3)
    return read(1) if all(_grey(one.images) for one in (coloured.train, coloured.test)) else coloured


def _grey(images: Tensor) -> bool:
    """Whether three channels say the same everywhere."""
    return all(bool((part[:, :1] == part[:, 1:]).all()) for part in torch.split(images, 1024))


def _load(config: FitConfig, world: World, reporter: Reporter) -> Dataset:
    """Read the pictures, the first process before the others: it may have to fetch or decode them."""
    if world.first:
        data = load_data(config, reporter)
    world.wait()
    return data if world.first else load_data(config, reporter)


def _start(trainer: Trainer, data: Dataset, folder: Run, resume: bool) -> str:
    """Begin or go on, and say what weights were loaded to begin with, if any were."""
    if resume:
        tensors, facts = read_tensors(folder.checkpoint)
        before = FitConfig.from_json(facts["config"])
        if changed := before.differences(trainer.config):
            hint = "the settings it began with, or another folder"
            raise CheckpointError(f"{folder.path} was trained with {'; '.join(changed)}", hint=hint)
        if facts["data"] != data.fingerprint:
            what = f"the pictures of {trainer.config.data} are not those that {folder.path} was trained on"
            raise CheckpointError(what, hint="another folder")
        trainer.restore(tensors, facts)
        return ""
    source, said = trainer.config.weights, ""
    if source is not None:
        said = load_into(trainer.model, source, trainer.config.model).line()
    if trainer.world.first:
        folder.create(trainer.config)
    _save(trainer, data, folder)
    return said


def _save(trainer: Trainer, data: Dataset, folder: Run) -> None:
    tensors, facts = trainer.state()
    if trainer.world.first:
        facts |= {"config": trainer.config.to_json(), "data": data.fingerprint}
        write_tensors(folder.checkpoint, tensors, facts)


def _loop(trainer: Trainer, data: Dataset, folder: Run, flag: Flag, reporter: Reporter) -> None:
    while trainer.step < trainer.steps:
        trainer.advance()
        ended = trainer.place[1] == 0
        if ended:
            epoch = trainer.end_epoch()
            if trainer.world.first:
                for which in ("last", "best") if trainer.best else ("last",):
                    folder.write_model(which, trainer.model, trainer.config, data.fingerprint, epoch.epoch)
                folder.write_log(trainer.history)
            reporter.epoch(epoch)
        elif trainer.step % TICK == 0:
            reporter.tick(trainer.tick())
        stop = trainer.world.any(flag.raised)
        if ended or stop or trainer.step % trainer.config.checkpoint_every == 0:
            _save(trainer, data, folder)
        if stop and trainer.step < trainer.steps:
            raise Interrupted(folder.path, trainer.step, trainer.steps)


def _plan(trainer: Trainer, data: Dataset, folder: Run, weights: str) -> Plan:
    count = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    said = f"{len(trainer.kept):,} to train on, {len(data.test):,} to test with; {data.fitted.sentence()}"
    where, processes = str(trainer.world.device), trainer.world.size
    place = (trainer.steps, trainer.step, where, processes)
    return Plan(folder.path, trainer.config, said, count, *place, weights)


def _metrics(trainer: Trainer, evaluation: Evaluation) -> dict[str, object]:
    last = trainer.history[-1]
    return evaluation.to_json() | {
        "epochs": last.epoch,
        "seconds": last.seconds,
        "images_per_second": last.images_per_second,
        "device": str(trainer.world.device),
        "processes": trainer.world.size,
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "versions": {"cnnatomy": cnnatomy.__version__, "torch": torch.__version__},
    }


@contextmanager
def _torch_settings(threads: int, device: torch.device) -> Iterator[None]:
    """Set the threads, and leave them and the caller's random state as they were."""
    before = torch.get_num_threads()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
