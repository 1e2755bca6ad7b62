"""A finished run put to use: `evaluate` it on labelled pictures, `predict` what others show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from cnnatomy import checks
from cnnatomy.data import SOURCES, Dataset, Pictures, read_pictures
from cnnatomy.errors import ArgumentError, DataError
from cnnatomy.train.engine import load_data, told
from cnnatomy.train.evaluation import Evaluation, scores_of
from cnnatomy.train.reconstruction import judged, redrawn
from cnnatomy.train.reporter import Reporter
from cnnatomy.train.run import Run
from cnnatomy.train.world import pick_device


@dataclass(frozen=True)
class Prediction:
    """What a model sees in a picture: every class with its probability, the likeliest first."""

    path: Path
    ranked: tuple[tuple[str, float], ...]


def evaluate(
    run: Path, *, data: str | None = None, weights: str | None = None, reporter: Reporter | None = None
) -> Evaluation:
    """Evaluate a run's model on the test pictures of its own data, or on other data with the same classes.

    Of another built-in source the test pictures are used; of any other folder, every picture. `weights` asks
    for the `"best"` or the `"last"` epoch's.

    Raises:
        ArgumentError: there are no such weights.
        CheckpointError: there is no such run, or its weights are damaged.
        DataError: the run's own pictures have changed, so that what was trained on could be tested on; or the
            other data has a class that the model does not know.
    """
    folder, reporter = Run(run), told(reporter)
    if data is not None:
        checks.of_kind("data", data, str, "a built-in source or a folder of pictures")
    config = folder.config()
    model, facts = folder.load_model(weights)
    source = load_data(replace(config, data=config.data if data is None else data), reporter)
    own = source.fingerprint == facts["fingerprint"]
    if data in (None, config.data) and not own:
        what = f"the pictures of {config.data} have changed since {run} was trained"
        raise DataError(what, hint="training anew, or evaluating on other pictures")
    if model.goal == "classify" and (strange := [n for n in source.classes if n not in model.classes]):
        what = f"the model of {run} does not know every class of {data}"
        raise DataError(what, expected=", ".join(model.classes), got=strange[0])
    shown = source.test if own or data in SOURCES else _all(source)
    if model.goal == "classify":
        place = torch.tensor([model.classes.index(name) for name in source.classes])
        shown = replace(shown, labels=place[shown.labels], classes=model.classes)
    evaluation = judged(model.to(pick_device(None)), shown, source.name)
    reporter.finish(evaluation)
    return evaluation


def _all(source: Dataset) -> Pictures:
    first, then = source.train, source.test
    images, labels = torch.cat([first.images, then.images]), torch.cat([first.labels, then.labels])
    return replace(first, images=images, labels=labels, names=[*first.names, *then.names])


def predict(run: Path, pictures: Sequence[str | Path], *, weights: str | None = None) -> list[Prediction]:
    """Say what a run's model sees in pictures of any size, which are fitted as its training pictures were.

    `weights` asks for the `"best"` or the `"last"` epoch's.

    Raises:
        ArgumentError: there is no picture, or there are no such weights.
        CheckpointError: there is no such run, or its weights are damaged.
        DataError: a picture cannot be read.
    """
    files = checks.paths(pictures, "what to predict")
    if not files:
        raise ArgumentError("nothing to predict", expected="at least one picture")
    model, facts = Run(run).load_model(weights)
    if model.goal != "classify":
        what = f"the network of {run} gives pictures, not classes"
        raise ArgumentError(what, hint="redraw (--out DIR), which writes them")
    channels, height, width = model.input_shape
    images = read_pictures(files, size=(height, width), channels=channels, fit=facts["fit"])
    probabilities = model.probabilities(scores_of(model.to(pick_device(None)), images))
    values, order = probabilities.sort(dim=1, descending=True, stable=True)
    return [
        Prediction(path, tuple((model.classes[k], p) for k, p in zip(ranks, row, strict=True)))
        for path, ranks, row in zip(files, order.tolist(), values.tolist(), strict=True)
    ]


def redraw(
    run: Path, pictures: Sequence[str | Path], folder: str | Path, *, weights: str | None = None
) -> list[tuple[Path, Path]]:
    """Let a run's encoder-decoder draw pictures anew, as PNG files in a folder; give (picture, file) pairs.

    Raises:
        ArgumentError: there is no picture, the network gives no pictures, or there are no such weights.
        CheckpointError: there is no such run, or its weights are damaged.
        DataError: a picture cannot be read.
    """
    shown, folder = checks.paths(pictures, "what to redraw"), checks.path(folder, "where to write")
    if not shown:
        raise ArgumentError("nothing to redraw", expected="at least one picture")
    model, facts = Run(run).load_model(weights)
    if model.goal != "reconstruct":
        raise ArgumentError(f"the network of {run} gives no pictures", hint="predict without --out")
    channels, height, width = model.input_shape
    images = read_pictures(shown, size=(height, width), channels=channels, fit=facts["fit"])
    drawn = redrawn(model.to(pick_device(None)), images)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:04}-{path.stem}.png" for number, path in enumerate(shown)]
    for file, one in zip(files, drawn, strict=True):
        encode(one, file)
    return list(zip(shown, files, strict=True))


def encode(picture: Tensor, file: Path) -> None:
    """Write a uint8 picture (C, H, W) of 1 or 3 channels as PNG."""
    from PIL import Image

    cells = picture.permute(1, 2, 0).numpy()
    Image.fromarray(cells[:, :, 0] if cells.shape[2] == 1 else cells).save(file)
