"""Which pictures are trained on, and which are held out to choose the epoch: functions of the seed."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from cnnatomy.data import Dataset, Pictures
from cnnatomy.data.data_settings import DataSettings
from cnnatomy.train.picture_order import derive


class Division(NamedTuple):
    """The training pictures that are used, and those that choose."""

    kept: Tensor
    """Indices of the training pictures to train on, in ascending order."""
    validation: Pictures | None


def divide(data: Dataset, settings: DataSettings, seed: int) -> Division:
    """Hold out validation pictures where the data brings none, then leave out what a limit or a share says.

    Every class gives its share of each, and keeps one picture at least.
    """
    labels, kept = data.train.labels, torch.arange(len(data.train))
    validation = data.validation
    if validation is None and settings.validation:
        held = _drawn(labels, settings.validation, derive(seed, "validation"), least=0, spare=1)
        validation = take(data.train, held.nonzero()[:, 0])
        kept = (~held).nonzero()[:, 0]
    share = settings.train_fraction
    if settings.limit is not None:
        share = min(share, settings.limit / len(kept))
    if share < 1:
        kept = kept[_drawn(labels[kept], share, derive(seed, "limit"), least=1, spare=0)]
    return Division(kept, validation if validation is not None and len(validation) else None)


def take(pictures: Pictures, indices: Tensor) -> Pictures:
    """Some of the pictures."""
    names = [pictures.names[i] for i in indices.tolist()]
    return replace(pictures, images=pictures.images[indices], labels=pictures.labels[indices], names=names)


def _drawn(labels: Tensor, share: float, seed: int, *, least: int, spare: int) -> Tensor:
    """Mark a share of every class: `least` pictures or more, and all but `spare` at most.

    The remainders of rounding go on to the next class, so that the total is the share of all, rounded.
    """
    generator = torch.Generator().manual_seed(seed)
    marked = torch.zeros(len(labels), dtype=torch.bool)
    owed = 0.0
    for label in labels.bincount().nonzero()[:, 0]:
        members = (labels == label).nonzero()[:, 0]
        owed += share * len(members)
        wanted = max(least, min(round(owed), len(members) - spare))
        owed -= wanted
        marked[members[torch.randperm(len(members), generator=generator)[:wanted]]] = True
    return marked
