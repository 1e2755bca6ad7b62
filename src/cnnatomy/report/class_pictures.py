"""Pictures of classes: as the network saw them in training, and of the pairs that it confuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cnnatomy.data import Dataset, Pictures
from cnnatomy.data.augment import recipe
from cnnatomy.report.pixels import png
from cnnatomy.train.evaluation import Evaluation
from cnnatomy.train.statistics import Confusion

SHOWN_CLASSES, SAMPLES = 12, 3
PAIRS, EXAMPLES = 3, 4


class Samples(NamedTuple):
    """Some training pictures of one class."""

    name: str
    pictures: int
    plain: Sequence[bytes]
    varied: Sequence[bytes]
    """The same, changed as in training; none where nothing was changed."""


class Pair(NamedTuple):
    """Two classes that are confused, with pictures of both."""

    confusion: Confusion
    mistaken: Sequence[tuple[str, bytes]]
    """Pictures of the class that were called the other."""
    right: Sequence[tuple[str, bytes]]
    """Pictures of the other that were called so."""


def samples(train: Pictures, changes: str, seed: int) -> list[Samples]:
    """The first pictures of every class, as they are and as the first epoch changed them.

    Args:
        train: the training pictures.
        changes: how they are changed, as `--augment` says it.
        seed: the run's.
    """
    vary, found = recipe(changes), list[Samples]()
    for label, name in enumerate(train.classes[:SHOWN_CLASSES]):
        own = (train.labels == label).nonzero().squeeze(1)
        first = own[:SAMPLES]
        images = train.images[first]
        varied = vary(images.float(), first, seed=seed, epoch=0) if vary.terms else images[:0]
        found.append(Samples(name, len(own), [png(one) for one in images], [png(one) for one in varied]))
    return found


def pairs(evaluation: Evaluation, data: Dataset) -> list[Pair]:
    """The pairs that are confused most often, with pictures of both; none where answers are not known."""
    answers = evaluation.answers
    if answers is None:
        return []
    places = {name: (part.images, i) for part in (data.train, data.test) for i, name in enumerate(part.names)}

    def shown(wanted: Tensor) -> list[tuple[str, bytes]]:
        names = [answers.names[i] for i in wanted.nonzero().squeeze(1)[:EXAMPLES].tolist()]
        return [(name, png(places[name][0][places[name][1]])) for name in names if name in places]

    found, seen = list[Pair](), set[frozenset[str]]()
    for one in evaluation.confusions:
        both = frozenset((one.label, one.predicted))
        if both in seen or len(found) == PAIRS:
            continue
        seen.add(both)
        label, other = evaluation.classes.index(one.label), evaluation.classes.index(one.predicted)
        called = answers.predicted == other
        is_other = torch.as_tensor(answers.labels) == other
        mistaken = shown((torch.as_tensor(answers.labels) == label) & called)
        found.append(Pair(one, mistaken, shown(is_other & called)))
    return found
