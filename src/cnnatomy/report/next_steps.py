"""What to try next, as a few lines that follow from a report's figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cnnatomy.files.printable import counted, percent
from cnnatomy.train.evaluation import Evaluation

MOST = 3
GAP, UNDER, UNSURE, DOUBTED, RARE = 0.08, 0.9, 0.05, 0.01, 0.25
"""From where on each is worth a line: training less test accuracy, training accuracy, calibration error,
the share of doubted labels, and the share of the mean number of pictures that a class has."""


@dataclass(frozen=True)
class Figures:
    """What the advice follows from; None or 0 is what is not known."""

    evaluation: Evaluation
    training: float | None = None
    """The accuracy on the training pictures in the last epoch, 0..1."""
    linear: float | None = None
    """What a linear model on the pixels scores."""
    calibration: float | None = None
    """The expected calibration error."""
    temperature: float | None = None
    doubted: float = 0.0
    """The share of the training pictures whose labels are clearly doubted."""
    greyed: int = 0
    """Pictures that were turned from colour to grey."""
    supports: tuple[tuple[str, int], ...] = ()
    """How many training pictures each class has."""
    field: int | None = None
    """Pixels that a unit of the last map would see of a picture without borders."""
    side: int | None = None
    """Pixels of a picture's longer side."""


def next_steps(figures: Figures) -> list[str]:
    """At most three lines, what matters most first.

    Args:
        figures: of one run.
    """
    return [line for _, line in zip(range(MOST), _all(figures), strict=False)]


def _all(known: Figures) -> Iterator[str]:
    result, training = known.evaluation, known.training
    if (single := result.single_answer) is not None:
        yield f"it learned to answer {single!r} alone: draw every class equally often (--balanced)"
    elif known.linear is not None and known.linear >= result.accuracy:
        yield (
            f"a linear model on the pixels scores {percent(known.linear)}, no less than this network: "
            "a higher or lower rate (--find-lr), or more epochs"
        )
    if known.doubted >= DOUBTED:
        yield f"look at the doubted labels below: {percent(known.doubted)} of the training pictures"
    if training is not None:
        yield from _fit(training, result)
    if known.supports:
        yield from _rare(known)
    if known.greyed and result.accuracy < UNDER:
        yield f"{counted(known.greyed, 'picture')} lost their colour: a network that reads three channels"
    if known.field and known.side and known.field > 2 * known.side:
        yield (
            f"a unit of the last map would see {known.field} pixels, the pictures have {known.side}: "
            "larger pictures (--size), or fewer strides"
        )
    if known.calibration is not None and known.temperature is not None and known.calibration > UNSURE:
        how = "over" if known.temperature > 1 else "under"
        yield (
            f"{how}confident by {percent(known.calibration)}: divide scores by {known.temperature:.2g} "
            "before probabilities are read" + (", or train with --smoothing 0.1" if how == "over" else "")
        )


def _fit(training: float, result: Evaluation) -> Iterator[str]:
    """Too little or too much of the training pictures was learned."""
    seen = f"{percent(training)} of the training pictures are right, {percent(result.accuracy)} of these"
    if training - result.accuracy > GAP:
        yield f"overfitted: {seen}: more pictures, or stronger changes (--augment, --mixup, --weight-decay)"
    elif training < UNDER:
        yield f"underfitted: {seen}: more epochs (--epochs, --time), or a wider network (--model)"


def _rare(known: Figures) -> Iterator[str]:
    """The class that has far fewer pictures than the mean, and is found least."""
    recalls = {score.name: score.recall for score in known.evaluation.per_class}
    mean = sum(count for _, count in known.supports) / len(known.supports)
    rare = [
        (recall, name, count)
        for name, count in known.supports
        if count < RARE * mean and (recall := recalls.get(name)) is not None and recall < UNDER
    ]
    if rare:
        recall, name, count = min(rare)
        yield f"more pictures of {name!r}: {count:,} to learn from, {percent(recall)} of them found"
