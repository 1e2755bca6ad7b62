"""What a trained network sees in pictures: `predict` for a few, `stream` for any number."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.checks import MOST_BATCH, MOST_THREADS
from cnnatomy.data.finding import Found, files_of, find
from cnnatomy.data.fit_policies import Frame
from cnnatomy.data.streaming import Batch, batches
from cnnatomy.errors import ArgumentError
from cnnatomy.train.batch_evaluation import evaluating
from cnnatomy.train.distributed import pick_device
from cnnatomy.train.run_folder import RunFolder

if TYPE_CHECKING:
    from cnnatomy.models.classifier import Classifier

BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """What a model sees in a picture: classes with their probabilities, the likeliest first."""

    path: Path
    """Where the picture lies; below the archive's path for one in an archive."""
    ranked: tuple[tuple[str, float], ...]
    error: str | None = None
    """Why the picture could not be read, as the end of a sentence that begins with its path; else None."""
    conversions: tuple[str, ...] = ()
    """What changed its values before the network saw it, of `cnnatomy.data.colours.CONVERSIONS`."""


@dataclass(frozen=True)
class Stream:
    """Predictions on their way: each is made when it is asked for, a batch ahead."""

    classes: tuple[str, ...]
    paths: Sequence[Path]
    """Of all pictures that will come, in this order but for archives, which are read in their own."""
    predictions: Iterator[list[Prediction]]
    """Batch by batch."""

    def __iter__(self) -> Iterator[Prediction]:
        for batch in self.predictions:
            yield from batch


def predict(
    run: Path,
    sources: Sequence[str | Path],
    *,
    top: int | None = None,
    batch_size: int = BATCH,
    on: str | None = None,
    threads: int | None = None,
    weights: str | None = None,
    module: nn.Module | None = None,
    code: str | None = None,
) -> list[Prediction]:
    """Say what a run's model sees in pictures of any size, which are fitted as its training pictures were.

    Takes what `stream` takes, raises what it raises, and gives all at once.
    """
    how = {"top": top, "batch_size": batch_size, "on": on, "threads": threads}
    return list(stream(run, sources, weights=weights, module=module, code=code, **how))  # type: ignore[arg-type]


def stream(
    run: Path,
    sources: Sequence[str | Path],
    *,
    top: int | None = None,
    batch_size: int = BATCH,
    on: str | None = None,
    threads: int | None = None,
    weights: str | None = None,
    module: nn.Module | None = None,
    code: str | None = None,
) -> Stream:
    """Say the same picture by picture: only a few batches are in memory at a time.

    A picture that cannot be read is a prediction with an `error` and nothing in `ranked`.

    Args:
        run: the run's folder.
        sources: pictures, folders and archives of pictures, and patterns such as "photos/**/*.jpg".
        top: how many classes to give for each picture; left out, all.
        batch_size: how many pictures to score at a time.
        on: the device to compute on; left out, a CUDA device if there is one, else the CPU.
        threads: how many threads decode, and how many compute on the CPU; left out, as many as suit.
        weights: the `"best"` or the `"last"` epoch's.
        module: the network that takes the weights, where the run was given an object or code.
        code: the text of the network again, as net.py:Net, where the run was given code.

    Raises:
        ArgumentError: there is nothing to predict, a number is out of its range, there are no such weights
            or no such device, or the network gives pictures.
        CheckpointError: there is no such run, or its weights are damaged.
    """
    sources = named(sources, "predict")
    device = pick_device(on)
    model, fit = classifier_of(run, weights, module=module, code=code)
    return predictions(model.to(device), sources, fit, top=top, batch_size=batch_size, threads=threads)


def classifier_of(
    run: Path, weights: str | None = None, *, module: nn.Module | None = None, code: str | None = None
) -> tuple[Classifier, str]:
    """A run's network, and how pictures are fitted to it.

    Raises:
        ArgumentError: there are no such weights, or the network gives pictures.
        CheckpointError: there is no such run, or its weights are damaged.
    """
    model, facts = RunFolder(run).load_model(weights, module=module, code=code)
    if model.goal != "classify":
        what = f"the network of {run} gives pictures, not classes"
        raise ArgumentError(what, hint="redraw (--out DIR), which writes them")
    return model, facts["fit"]


def predictions(
    model: Classifier,
    sources: Sequence[str | Path],
    fit: str,
    *,
    top: int | None = None,
    batch_size: int = BATCH,
    threads: int | None = None,
) -> Stream:
    """Do what `stream` does with a model that is at hand, on the device where it lies.

    `fit` is the policy by which pictures are brought to the model's input size.

    Raises:
        ArgumentError: there is nothing to predict, or a number is out of its range.
    """
    found = [find(source) for source in named(sources, "predict")]
    return predictions_of(model, found, fit, top=top, batch_size=batch_size, threads=threads)


def predictions_of(
    model: Classifier,
    found: Sequence[Found],
    fit: str,
    *,
    top: int | None = None,
    batch_size: int = BATCH,
    threads: int | None = None,
) -> Stream:
    """The same of sources that have been found.

    Raises:
        ArgumentError: a number is out of its range.
    """
    limits = {"top": (top, None), "batch_size": (batch_size, MOST_BATCH), "threads": (threads, MOST_THREADS)}
    for name, (value, most) in limits.items():
        if value is not None:
            checks.whole_number(name, value, least=1, most=most)
    ready = decoded(model, found, fit, batch_size, threads)
    paths = [path for one in found for path in one.paths]
    return Stream(model.classes, paths, _predictions(model, ready, top, threads))


def named(sources: Sequence[str | Path], deed: str) -> list[Path]:
    """The sources as paths.

    Raises:
        ArgumentError: there is none, or they are no paths.
    """
    paths = checks.paths(sources, f"what to {deed}")
    if not paths:
        raise ArgumentError(f"nothing to {deed}", expected="at least one picture")
    return paths


def decoded(
    model: Classifier, found: Sequence[Found], fit: str, size: int, threads: int | None = None
) -> Generator[Batch]:
    """Decode what was found in batches, for a model's input."""
    channels, height, width = model.input_shape
    return batches(files_of(found), Frame((height, width), channels, fit), size=size, threads=threads)


def _predictions(
    model: Classifier, ready: Generator[Batch], top: int | None, threads: int | None
) -> Iterator[list[Prediction]]:
    """Predict batch by batch, while the next ones are decoded."""
    with closing(ready):
        for batch in ready:
            with _computing(threads):
                ranked = rank(model, torch.from_numpy(batch.images), top)
            yield [
                Prediction(path, ranks if problem is None else (), problem, changed)
                for path, ranks, problem, changed in zip(
                    batch.paths, ranked, batch.problems, batch.conversions, strict=True
                )
            ]


def rank(model: Classifier, images: Tensor, top: int | None) -> list[tuple[tuple[str, float], ...]]:
    """The likeliest classes of each picture (N, C, H, W); of equals, the one of the lower number first."""
    with evaluating(model) as device:
        probabilities = model.probabilities(model(model.preprocess(images.to(device))))
        values, order = probabilities.sort(dim=1, descending=True, stable=True)
    names, rows = model.classes, zip(order[:, :top].tolist(), values[:, :top].tolist(), strict=True)
    return [tuple((names[k], p) for k, p in zip(ranks, row, strict=True)) for ranks, row in rows]


@contextmanager
def _computing(threads: int | None) -> Iterator[None]:
    """Let torch compute with so many threads, and then with as many as before."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if threads is not None:
            torch.set_num_threads(before)
