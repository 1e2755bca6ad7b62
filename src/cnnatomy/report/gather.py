"""From a run's folder and an evaluation to a page."""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from cnnatomy.anatomy import anatomy
from cnnatomy.data import Dataset
from cnnatomy.errors import CheckpointError
from cnnatomy.models import find
from cnnatomy.report.page import Curve, Page
from cnnatomy.report.render import save
from cnnatomy.report.words import duration
from cnnatomy.train.config import FitConfig
from cnnatomy.train.engine import load_data
from cnnatomy.train.evaluation import Evaluation, Mistake
from cnnatomy.train.reporter import Epoch, Silent
from cnnatomy.train.run import Run

MISTAKES = 21
Facts = dict[str, dict[str, str]]


def write(run: Path, evaluation: Evaluation, *, data: str | None = None, path: Path | None = None) -> Path:
    """Write the page of a finished run, with its learning curves and its worst mistakes, and say where.

    Args:
        run: the run's folder.
        evaluation: what `train.fit` or `train.evaluate` returned for it.
        data: what it was evaluated on, if not on the run's own data.
        path: the file to write; `report.html` in the run's folder when left out.

    Raises:
        CheckpointError: the run is not finished, or damaged.
        DataError: the pictures cannot be read any more.
    """
    return save(gather(Run(run), evaluation, data), path or run / "report.html")


def gather(run: Run, evaluation: Evaluation, data: str | None = None) -> Page:
    """Read from the run's folder all that its page shows."""
    config = run.config()
    pictures = load_data(replace(config, data=data or config.data), Silent())
    model, known = run.load_model()
    history = run.log()
    if not history:
        raise CheckpointError(f"{run.path / 'log.csv'} tells of no epoch", hint="--resume, or train anew")
    metrics = _metrics(run)
    losses, accuracies = curves(history)
    return Page(
        title=f"{find(config.model).name} on {evaluation.data}",
        evaluation=evaluation,
        summary=summary(history, known["epoch"]),
        notes=pictures.notes,
        facts=facts(config, pictures, evaluation, metrics, model.output),
        losses=losses,
        accuracies=accuracies,
        mistakes=illustrated(evaluation.mistakes[:MISTAKES], pictures),
        anatomy=anatomy(model, model.input_shape),
    )


def summary(history: Sequence[Epoch], used: int) -> str:
    """How long the run was, and which epoch's weights were judged if not the last one's."""
    last = history[-1]
    said = f"{last.epoch} epoch{'s' * (last.epoch > 1)} in {duration(last.seconds)}"
    return said + (
        f"; the weights of epoch {used}, the best on the validation pictures" if used < last.epoch else ""
    )


def curves(history: Sequence[Epoch]) -> tuple[list[Curve], list[Curve]]:
    """The losses and the accuracies of a run, epoch by epoch."""
    losses = [
        Curve("train", [epoch.loss for epoch in history]),
        Curve("test", [epoch.test_loss for epoch in history]),
    ]
    accuracies = [
        Curve("train", [epoch.accuracy for epoch in history]),
        Curve("test", [epoch.test_accuracy for epoch in history]),
    ]
    held = [epoch.validation_accuracy for epoch in history if epoch.validation_accuracy is not None]
    if held:
        accuracies.append(Curve("validation", held))
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
    config: FitConfig, data: Dataset, evaluation: Evaluation, metrics: Mapping[str, Any], output: str
) -> Facts:
    """What was trained on what, how, and with which versions, in groups."""
    entry = find(config.model)
    versions = {name: str(version) for name, version in metrics.get("versions", {}).items()}
    return {
        "Data": {
            "source": data.name,
            "judged": f"{evaluation.pictures:,} pictures",
            "size": data.fitted.sentence(),
            "left out": f"{len(data.skipped):,} unreadable" if data.skipped else "none",
            "fingerprint": data.fingerprint[:16],
        },
        "Model": {"name": entry.name, "output": output, "summary": entry.summary, "source": entry.reference},
        "Training": {
            "data": config.data + (f", {len(data.train):,} pictures" if data.name == config.data else ""),
            "epochs": str(config.epochs),
            "batch size": str(config.batch_size),
            "peak learning rate": str(config.lr),
            "weight decay": str(config.weight_decay),
            "gradient clipped to": str(config.clip),
            "augmentation": str(config.augment),
            "seed": str(config.seed),
        },
        "Made with": versions
        | {
            "Python": platform.python_version(),
            "device": f"{metrics.get('device')}, {metrics.get('threads')} threads",
            "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        },
    }


def png(picture: Tensor) -> bytes:
    """A uint8 picture (C, H, W) of one or three channels as PNG.

    Example:
        >>> import torch
        >>> png(torch.zeros(1, 2, 2, dtype=torch.uint8))[:4]
        b'\\x89PNG'
    """
    pixels = picture[0] if len(picture) == 1 else picture.permute(1, 2, 0)
    out = io.BytesIO()
    Image.fromarray(pixels.contiguous().numpy()).save(out, "PNG", optimize=True)
    return out.getvalue()


def _metrics(run: Run) -> dict[str, Any]:
    path = run.path / "metrics.json"
    metrics: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return metrics
