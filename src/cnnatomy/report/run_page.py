"""From a run's folder and an evaluation to a page."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cnnatomy.anatomy import anatomy
from cnnatomy.data import Dataset
from cnnatomy.errors import CheckpointError
from cnnatomy.files.printable import duration
from cnnatomy.models import find
from cnnatomy.models.classifier import Classifier
from cnnatomy.report.page_content import Curve, Page
from cnnatomy.report.pixels import png
from cnnatomy.report.render import save
from cnnatomy.report.run_figures import figured
from cnnatomy.train.evaluation import Evaluation, Mistake
from cnnatomy.train.reporter import Choice, Epoch, Silent
from cnnatomy.train.run_folder import RunFolder
from cnnatomy.train.run_inputs import load_data
from cnnatomy.train.settings import Settings

MISTAKES = 21
LOOK = "look.html"
LONGEST = 24
"""Letters of a network's text that head a page."""
Facts = dict[str, dict[str, str]]


def write(
    run: Path,
    evaluation: Evaluation,
    *,
    data: str | None = None,
    pictures: Dataset | None = None,
    model: Classifier | None = None,
    path: Path | None = None,
) -> Path:
    """Write the page of a finished run, with its learning curves and its worst mistakes, and say where.

    Args:
        run: the run's folder.
        evaluation: what `train.train` or `train.evaluate` returned for it.
        data: what it was evaluated on, if not on the run's own data.
        pictures: the same, where they are at hand; left out, they are read again.
        model: the network, where it is at hand; left out, it is built again.
        path: the file to write; `report.html` in the run's folder when left out.

    Raises:
        CheckpointError: the run is not finished, or damaged.
        DataError: the pictures cannot be read any more.
    """
    return save(gather(RunFolder(run), evaluation, data, pictures, model), path or run / "report.html")


def gather(
    run: RunFolder,
    evaluation: Evaluation,
    data: str | None = None,
    pictures: Dataset | None = None,
    model: Classifier | None = None,
) -> Page:
    """Read from the run's folder all that its page shows."""
    settings = run.settings()
    if model is None:
        model, _ = run.load_model()
    if pictures is None:
        wanted = replace(settings.data, source=data or settings.data.source)
        pictures = load_data(wanted, model.input_shape, Silent())
    history = run.log()
    if not history:
        raise CheckpointError(f"{run.path / 'log.csv'} tells of no epoch", hint="--resume, or train anew")
    plan, metrics = run.read_json("plan.json"), run.read_json("metrics.json")
    losses, accuracies = curves(history)
    known = anatomy(model, model.input_shape)
    return Page(
        title=f"{name_of(settings)} on {evaluation.data}",
        evaluation=evaluation,
        summary=summary(history, chosen_epoch(run, history)),
        notes=list(dict.fromkeys([*pictures.notes, *plan.get("notes", ())])),
        left_out=pictures.skipped,
        choices=[Choice(**{**row, "flags": tuple(row["flags"])}) for row in plan.get("choices", ())],
        facts=facts(settings, pictures, evaluation, metrics, model.output),
        losses=losses,
        accuracies=accuracies,
        rates=[Curve("rate", [epoch.lr for epoch in history])],
        figured=figured(evaluation, pictures, model, settings, history, metrics, known, own=data is None),
        look=LOOK if (run.path / LOOK).is_file() else "",
        mistakes=illustrated(evaluation.mistakes[:MISTAKES], pictures),
        anatomy=known,
    )


def name_of(settings: Settings) -> str:
    """What the network is called: its name, or that it is one in notation."""
    name = settings.network.model or ""
    return name if len(name) <= LONGEST else "a network"


def summary(history: Sequence[Epoch], used: int) -> str:
    """How long the run was, and which epoch's weights were judged if not the last one's."""
    last = history[-1]
    said = f"{last.epoch} epoch{'s' * (last.epoch > 1)} in {duration(last.seconds)}"
    return said + (
        f"; the weights of epoch {used}, the best on the validation pictures" if used < last.epoch else ""
    )


def chosen_epoch(run: RunFolder, history: Sequence[Epoch]) -> int:
    """The epoch whose weights are the result."""
    if run.chosen() == "last":
        return history[-1].epoch
    scores = [epoch.validation_accuracy or 0.0 for epoch in history]
    return history[scores.index(max(scores))].epoch


def curves(history: Sequence[Epoch]) -> tuple[list[Curve], list[Curve]]:
    """The losses and the accuracies of a run, epoch by epoch, of what was measured."""
    named: dict[str, list[tuple[float | None, float | None]]] = {
        "train": [(epoch.loss, epoch.accuracy) for epoch in history],
        "validation": [(epoch.validation_loss, epoch.validation_accuracy) for epoch in history],
        "test": [(epoch.test_loss, epoch.test_accuracy) for epoch in history],
    }
    complete = {name: pairs for name, pairs in named.items() if all(None not in pair for pair in pairs)}
    losses, accuracies = (
        [Curve(name, [float(pair[at] or 0.0) for pair in pairs]) for name, pairs in complete.items()]
        for at in (0, 1)
    )
    return losses, accuracies


def illustrated(mistakes: Sequence[Mistake], data: Dataset) -> list[tuple[Mistake, bytes]]:
    """Each mistake with its picture, found by name: other data than the run's own is judged as a whole."""
    wanted = {mistake.name for mistake in mistakes}
    found = {
        name: png(part.images[index])
        for part in (data.train, data.test)
        for index, name in enumerate(part.names)
        if name in wanted
    }
    return [(mistake, found[mistake.name]) for mistake in mistakes]


def facts(
    settings: Settings, data: Dataset, evaluation: Evaluation, metrics: Mapping[str, Any], output: str
) -> Facts:
    """What was trained on what, how, and with which versions, in groups."""
    entry, recipe = find(settings.network.model or ""), settings.recipe
    versions = {name: str(version) for name, version in metrics.get("versions", {}).items()}
    return {
        "Data": {
            "source": data.name,
            "judged": evaluation.judged,
            "size": data.fitted.sentence(),
            "left out": f"{len(data.skipped):,} unreadable" if data.skipped else "none",
            "fingerprint": data.fingerprint[:16],
        },
        "Network": {
            "network": entry.name,
            "output": output,
            "summary": entry.summary,
            "source": entry.reference,
        },
        "Training": {
            "data": settings.data.source
            + (f", {len(data.train):,} pictures" if data.name == settings.data.source else ""),
            "length": recipe.time or f"{recipe.epochs} epochs",
            "batch size": str(recipe.batch_size),
            "optimizer": f"{recipe.optimizer}, {recipe.schedule}",
            "peak learning rate": f"{recipe.lr:g}",
            "weight decay": f"{recipe.weight_decay:g}",
            "label smoothing": f"{recipe.smoothing:g}",
            "gradient clipped to": f"{recipe.clip:g}",
            "augmentation": str(recipe.augment),
            "seed": str(recipe.seed),
        },
        "Made with": versions
        | {
            "Python": platform.python_version(),
            "device": f"{metrics.get('device')}, {metrics.get('threads')} threads",
            "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        },
    }
