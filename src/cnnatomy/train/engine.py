"""Training from the first step to the result: `train`."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from typing import NamedTuple

import torch
from torch import nn

import cnnatomy
from cnnatomy import checks
from cnnatomy.data import Dataset
from cnnatomy.data.data_catalog import one_of
from cnnatomy.data.fit_policies import POLICIES
from cnnatomy.errors import CheckpointError
from cnnatomy.files.printable import counted
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.assembly import assemble
from cnnatomy.train.atomic_files import read_tensors
from cnnatomy.train.distributed import join
from cnnatomy.train.evaluation import Evaluation
from cnnatomy.train.interruption import Flag, Interrupted, listen
from cnnatomy.train.reconstruction import judged
from cnnatomy.train.reporter import Choice, Plan, Reporter, Silent, StopTraining, together
from cnnatomy.train.run_folder import RunFolder, load_exactly
from cnnatomy.train.run_inputs import Given, Material
from cnnatomy.train.settings import Settings
from cnnatomy.train.speed import estimated
from cnnatomy.train.stored_values import STATE, damage_in, demand, demand_alike
from cnnatomy.train.test_time_averaging import averaged_accuracy
from cnnatomy.train.trainer import Trainer


class Outcome(NamedTuple):
    """What a training gives: how well the network does on the test pictures, itself, and the pictures."""

    evaluation: Evaluation
    model: Classifier
    data: Dataset


TICK = 10
"""Steps between two looks at the loss; each look makes a GPU wait."""


def train(
    settings: Settings,
    folder: RunFolder,
    *,
    resume: bool = False,
    dry: bool = False,
    callbacks: Sequence[Reporter] = (),
    given: Given | None = None,
    model: nn.Module | None = None,
) -> Outcome | None:
    """Train as the settings say, leave everything in the run's folder, and evaluate on the test pictures.

    Ctrl-C, SIGTERM and SIGHUP stop the run between two steps, with everything saved. A resumed run of epochs
    ends with exactly the weights of one that was never stopped, on the same machine with the same number of
    threads and processes. Under `torchrun` the processes share every batch.

    Args:
        settings: what to train on what, and how; what is None is settled from the data.
        folder: a new or empty folder; with `resume`, that of the run to go on with.
        resume: go on from the run's checkpoint, or, if it has ended, only evaluate it again.
        dry: tell the plan, and do nothing; the result is None.
        callbacks: whom to tell.
        given: pictures in memory, or a loader, in place of the settings' source.
        model: a network in place of the settings' own; its weights are trained where they are.

    Raises:
        ArgumentError: a setting can mean nothing; nothing was written.
        DataError: the pictures cannot be read; nothing was written.
        CheckpointError: the folder is taken; or there is nothing to resume, it is damaged, or it was
            made with other settings or other pictures.
        Diverged: the loss became infinite or undefined; the last good checkpoint stays.
        Interrupted: asked to stop, with everything saved.
    """
    check(settings)
    checks.of_kind("the run's folder", folder, RunFolder, "a RunFolder")
    checks.of_kind("pictures in memory", given, (Given, type(None)), "Given")
    reporter = together(callbacks)
    if resume:
        folder.settings()
    elif not dry:
        folder.demand_free()
    with join(settings.run.device) as world, torch_settings(settings.run.threads, world.device):
        reporter = reporter if world.first else Silent()
        parts = {"given": given, "module": model, "fresh": not resume}
        trainer, material = assemble(settings, world, reporter, **parts)  # type: ignore[arg-type]
        plan = _plan(trainer, material, folder)
        if dry:
            reporter.start(replace(plan, run=None))
            return None
        with ExitStack() as stack:
            if world.first:
                folder.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(folder.held())
                if not resume:
                    folder.demand_free()  # once more: another process may have trained here in the meantime
            with listen() as flag:
                _begin(trainer, material, folder, resume, plan)
                reporter.start(replace(plan, first_step=trainer.step))
                _loop(trainer, material, folder, flag, reporter)
            world.wait()
            evaluation = _result(trainer, material, folder, reporter)
            return Outcome(evaluation, trainer.model, material.data)


def check(settings: Settings) -> None:
    """Raise an ArgumentError if a setting can mean nothing."""
    checks.of_kind("what to train", settings, Settings, "Settings").check()
    one_of("fit policy", settings.data.fit, POLICIES)


def _begin(trainer: Trainer, material: Material, folder: RunFolder, resume: bool, plan: Plan) -> None:
    """Go on from the checkpoint, or write down what is about to be done."""
    settings, fingerprint = material.settings, material.data.fingerprint
    if resume:
        tensors, facts = read_tensors(folder.checkpoint)
        demand(folder.checkpoint, facts, STATE)
        with damage_in(folder.checkpoint):
            before = Settings.from_json(facts["settings"])
        if changed := _decisive(before, settings):
            hint = "the settings it began with, or another folder"
            raise CheckpointError(f"{folder.path} was trained with {'; '.join(changed)}", hint=hint)
        if facts["data"] != fingerprint:
            what = f"the pictures of {settings.data.source} are not those that {folder.path} was trained on"
            raise CheckpointError(what, hint="another folder")
        own = {f"model/{name}": tensor for name, tensor in trainer.model.state_dict().items()}
        demand_alike(folder.checkpoint, tensors, own)
        with damage_in(folder.checkpoint):
            trainer.restore(tensors, facts)
    if trainer.world.first:
        folder.create(settings)
        if not resume:
            said = [choice._asdict() for choice in plan.choices]
            left_out = [asdict(one) for one in plan.skipped]
            plan_facts = {"choices": said, "notes": list(plan.notes), "left_out": left_out}
            folder.write_json("plan.json", plan_facts)
    if not resume:
        _save(trainer, material, folder)


def _decisive(before: Settings, now: Settings) -> list[str]:
    """In what settings differ that decide the result; more epochs or time after the last are none."""
    grown = {name: getattr(now.recipe, name) for name in ("epochs", "time", "restarts")}
    if len(now.recipe.restarts) > len(before.recipe.restarts):
        before = before.changed(**grown)
    return before.differences(now)


def _save(trainer: Trainer, material: Material, folder: RunFolder) -> None:
    tensors, facts = trainer.state()
    if trainer.world.first:
        facts |= {"settings": material.settings.to_json(), "data": material.data.fingerprint}
        folder.write_checkpoint(tensors, facts)


def _loop(trainer: Trainer, material: Material, folder: RunFolder, flag: Flag, reporter: Reporter) -> None:
    every, stopped = material.settings.run.checkpoint_every, False
    while not (stopped or trainer.ended):
        trainer.advance()
        try:
            if trainer.step % TICK == 0 and trainer.place[1]:
                reporter.tick(trainer.tick())
            if trainer.place[1] == 0 or trainer.ended:
                _close_epoch(trainer, material, folder, reporter)
        except StopTraining:
            stopped = True
        stopped = trainer.world.any(stopped)
        if stopped and trainer.sums[2]:
            _close_epoch(trainer, material, folder, Silent())
        leave = trainer.world.any(flag.raised)
        if leave or stopped or trainer.place[1] == 0 or trainer.ended or trainer.step % every == 0:
            _save(trainer, material, folder)
        if leave and not (stopped or trainer.ended):
            raise Interrupted(folder.path, trainer.step, trainer.steps)


def _close_epoch(trainer: Trainer, material: Material, folder: RunFolder, reporter: Reporter) -> None:
    """Measure, keep the weights, and tell."""
    epoch = trainer.end_epoch(reporter.reading)
    if trainer.world.first:
        with trainer.result() as model:
            for which in ("last", "best") if trainer.best else ("last",):
                folder.write_model(which, model, material.settings, epoch.epoch, material.about)
        folder.write_log(trainer.history)
    reporter.epoch(epoch)


def _result(trainer: Trainer, material: Material, folder: RunFolder, reporter: Reporter) -> Evaluation:
    """Judge the weights that are the result, which the caller's network then has."""
    path = folder.weights(folder.chosen())
    load_exactly(trainer.model, read_tensors(path)[0], path)
    data, tta = material.data, material.settings.recipe.tta
    known = {"training_commonest": material.commonest, "progress": reporter.reading}
    began = time.perf_counter()
    evaluation = judged(trainer.model.eval(), data.test, data.name, **known)  # type: ignore[arg-type]
    answering = {"seconds_per_picture": (time.perf_counter() - began) / len(data.test)}
    if tta is not None and trainer.model.goal == "classify":
        evaluation = replace(evaluation, averaged=averaged_accuracy(trainer.model, data.test, tta))
    if trainer.world.first:
        if evaluation.answers is not None:
            folder.write_answers(evaluation.answers, data.fingerprint)
        folder.write_json("metrics.json", evaluation.to_json() | _circumstances(trainer) | answering)
    reporter.finish(evaluation)
    return evaluation


def _plan(trainer: Trainer, material: Material, folder: RunFolder) -> Plan:
    model, world = trainer.model, trainer.world
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    choices = [
        choice._replace(said=f"{choice.said}: {count:,} parameters") if choice.what == "network" else choice
        for choice in material.choices
    ]
    threads = counted(torch.get_num_threads(), "thread")
    where = f"on {world.device}, " + (f"{world.size} processes" if world.size > 1 else threads)
    flags = ("--time", "--threads", "--device")
    estimate = estimated(trainer, len(material.data.test))
    choices.append(Choice("time", estimate.said, where, flags))
    place = (trainer.steps, 0, str(world.device), world.size)
    skipped = material.data.skipped
    return Plan(
        folder.path,
        material.settings,
        choices,
        count,
        *place,
        material.notes,
        skipped,
        model,
        estimate.seconds,
    )


def _circumstances(trainer: Trainer) -> dict[str, object]:
    last = trainer.history[-1]
    return {
        "epochs": last.epoch,
        "steps": last.step,
        "seconds": last.seconds,
        "images_per_second": last.images_per_second,
        "device": str(trainer.world.device),
        "processes": trainer.world.size,
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "versions": {"cnnatomy": cnnatomy.__version__, "torch": torch.__version__},
    }


@contextmanager
def torch_settings(threads: int, device: torch.device) -> Iterator[None]:
    """Set the threads, and leave them and the caller's random state as they were."""
    before = torch.get_num_threads()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
