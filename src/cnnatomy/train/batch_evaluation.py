"""A classifier at its labelled pictures: scored batch by batch on its own device, and judged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.data import Pictures
from cnnatomy.errors import ArgumentError
from cnnatomy.files.transfer_progress import Progress, silent
from cnnatomy.models.classifier import Classifier
from cnnatomy.nn import modes
from cnnatomy.train.evaluation import Answers, Evaluation, Mistake

BATCH = 256
TOP = 5
EVALUATING = "evaluating"


@contextmanager
def evaluating(model: nn.Module) -> Iterator[torch.device]:
    """Put a model into evaluation mode, without gradients, and say where it lies; then put it back."""
    with modes.evaluating(model), torch.no_grad():
        yield next(model.parameters()).device


def scores_of(model: Classifier, images: Tensor) -> Tensor:
    """Score uint8 pictures (N, C, H, W) in evaluation mode, batch by batch: (N, classes), on the CPU."""
    with evaluating(model) as device:
        parts = [model(model.preprocess(part.to(device))) for part in torch.split(images, BATCH)]
        return torch.cat(parts).cpu()


def measure(model: Classifier, pictures: Pictures, progress: Progress = silent) -> tuple[float, float]:
    """Give loss and accuracy only."""
    losses, hits = [], []
    with evaluating(model) as device:
        for scores, labels in _scored(model, pictures, device, progress):
            losses.append(model.loss(scores, labels))
            hits.append((scores.argmax(1) == labels).sum())
        return _mean(losses, pictures), int(torch.stack(hits).sum()) / len(pictures)


def judge(
    model: Classifier,
    pictures: Pictures,
    data: str,
    *,
    training_commonest: str | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a model on pictures whose labels index its classes.

    Args:
        model: what is judged.
        pictures: what it is judged on.
        data: what these pictures are called.
        training_commonest: the class that most training pictures have, for the yardstick.
        progress: who is told how many pictures are done.

    Raises:
        ArgumentError: this is no model with classes, these are no pictures, or there is no such class.
    """
    checks.of_kind("the model", model, Classifier, "one of cnnatomy.models.build")
    checks.of_kind("what to judge on", pictures, Pictures, "cnnatomy.data.Pictures")
    if isinstance(progress, type) or not callable(progress):
        raise ArgumentError("progress", expected="a function to tell", got=repr(progress))
    if training_commonest is not None and training_commonest not in model.classes:
        got = repr(training_commonest)
        raise ArgumentError("training_commonest", expected="a class of the model", got=got)
    count = len(model.classes)
    loss, among, predicted, probability, of_label = _columns(model, pictures, progress)
    answers = Answers(pictures.names, pictures.labels, predicted, probability, of_label)
    cells = torch.bincount(pictures.labels * count + predicted, minlength=count * count)
    return Evaluation(
        data,
        model.classes,
        loss,
        cells.view(count, count),
        _mistakes(answers, model.classes),
        count_parameters(model),
        training_commonest=training_commonest,
        top5_accuracy=among / len(pictures) if count > TOP else None,
        answers=answers,
    )


def _scored(
    model: Classifier, pictures: Pictures, device: torch.device, progress: Progress
) -> Iterator[tuple[Tensor, Tensor]]:
    """Scores (n, classes) and labels (n,) of one batch after the other, on the model's device."""
    done = 0
    parts = zip(torch.split(pictures.images, BATCH), torch.split(pictures.labels, BATCH), strict=True)
    for images, labels in parts:
        yield model(model.preprocess(images.to(device))), labels.to(device)
        done += len(labels)
        progress(EVALUATING, done, len(pictures), "pictures")


def _columns(
    model: Classifier, pictures: Pictures, progress: Progress
) -> tuple[float, int, Tensor, Tensor, Tensor]:
    """The loss, how many labels are among the likeliest, each prediction, its probability, and the label's.

    All stays on the model's device until the last batch is done, so that it never waits.
    """
    losses, among = [], []
    predicted, probability, of_label = [], [], []
    with evaluating(model) as device:
        for scores, labels in _scored(model, pictures, device, progress):
            best = scores.argmax(1)
            losses.append(model.loss(scores, labels))
            among.append((_rank(scores, labels) < TOP).sum())
            predicted.append(best)
            shares = model.probabilities(scores)
            probability.append(shares.gather(1, best[:, None]).squeeze(1))
            of_label.append(shares.gather(1, labels[:, None]).squeeze(1))
        likely = int(torch.stack(among).sum())
        said, sure, right = (torch.cat(column).cpu() for column in (predicted, probability, of_label))
        return _mean(losses, pictures), likely, said, sure, right


def _rank(scores: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the label: higher scores, and lower numbers of the same score."""
    own = scores.gather(1, labels[:, None])
    lower = torch.arange(scores.shape[1], device=scores.device) < labels[:, None]
    return ((scores > own) | ((scores == own) & lower)).sum(1)


def _mean(losses: list[Tensor], pictures: Pictures) -> float:
    """The mean over the pictures of what is a mean over each batch."""
    counts = torch.tensor([len(part) for part in torch.split(pictures.labels, BATCH)], dtype=torch.float64)
    return float(torch.stack(losses).cpu().double() @ counts) / len(pictures)


def _mistakes(answers: Answers, classes: tuple[str, ...]) -> tuple[Mistake, ...]:
    """The wrong answers, the surest first."""
    names, labels, predicted, sure, _ = answers
    wrong = (predicted != labels).nonzero().squeeze(1)
    wrong = wrong[sure[wrong].argsort(descending=True, stable=True)]
    rows = zip(
        wrong.tolist(), labels[wrong].tolist(), predicted[wrong].tolist(), sure[wrong].tolist(), strict=True
    )
    return tuple(Mistake(i, names[i], classes[label], classes[said], p) for i, label, said, p in rows)


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Count the trainable parameters of every layer that has any.

    Example:
        >>> count_parameters(nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)))
        {'0': 8, '2': 3}
    """
    counts = {
        name or "model": sum(p.numel() for p in layer.parameters(recurse=False) if p.requires_grad)
        for name, layer in model.named_modules()
    }
    return {name: count for name, count in counts.items() if count}
