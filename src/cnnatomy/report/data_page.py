"""The page of a look at pictures: counts, samples, what augmentation makes of them, copies, odd files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cnnatomy.data import Dataset, Pictures
from cnnatomy.data.augment import recipe
from cnnatomy.data.survey.survey import Survey
from cnnatomy.report.gather import png
from cnnatomy.report.render import template
from cnnatomy.train.files import write_whole

CLASSES, SAMPLES, VARIED, TIMES, GROUPS, NAMES = 24, 6, 6, 4, 30, 50
"""Shown: classes, pictures of each, pictures that are changed and how often, groups of copies, names."""


class Shown(NamedTuple):
    """A picture with its name."""

    name: str
    png: bytes


class Group(NamedTuple):
    """Pictures that are the same, and what is to be known of that."""

    what: str
    pictures: Sequence[Shown]


def write_survey(found: Survey, data: Dataset, path: Path, *, augment: str = "photo") -> Path:
    """Write a self-contained page on what was found.

    Raises:
        ArgumentError: the changes cannot be read.

    Example:
        >>> from cnnatomy.data.survey.survey import survey
        >>> write_survey(*survey("digits"), Path("data.html"), augment="distortions").name
        'data.html'
    """
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    there = {name: part for name, part in parts.items() if part is not None}
    leaks, near = set(found.leaks), set(found.near)
    groups = [*found.leaks, *(g for g in (*found.exact, *found.near) if g not in leaks)][:GROUPS]
    text = template("data.html.j2").render(
        found=found,
        most=max(found.totals),
        samples=samples(data.train),
        varied=varied(data.train, augment),
        augment=augment,
        groups=[Group(_what(group, leaks, near), _find(group, there.values())) for group in groups],
        more=max(0, len(found.exact) + len(found.near) - GROUPS),
        names=NAMES,
    )
    write_whole(path, text.encode("utf-8"))
    return path


def samples(pictures: Pictures) -> list[tuple[str, list[Shown]]]:
    """The first pictures, evenly spaced, of the first classes."""
    rows = []
    for label, name in enumerate(pictures.classes[:CLASSES]):
        members = (pictures.labels == label).nonzero()[:, 0]
        chosen = members[torch.linspace(0, len(members) - 1, min(SAMPLES, len(members))).long()].tolist()
        rows.append((name, [Shown(pictures.names[i], png(pictures.images[i])) for i in chosen]))
    return rows


def varied(pictures: Pictures, augment: str) -> list[list[bytes]]:
    """A few pictures, each as it is and as it is changed in the first epochs."""
    chosen = torch.linspace(0, len(pictures) - 1, min(VARIED, len(pictures))).long()
    images = pictures.images[chosen]
    vary = recipe(augment)
    columns: list[Tensor] = [images.float()]
    columns += [vary(images.float(), chosen, seed=0, epoch=epoch) for epoch in range(TIMES)]
    return [[png(column[row]) for column in columns] for row in range(len(chosen))]


def _what(group: tuple[str, ...], leaks: set[tuple[str, ...]], near: set[tuple[str, ...]]) -> str:
    """What is to be known of a group of copies."""
    how = "nearly equal" if group in near else "equal"
    return f"{how}, and on both sides of the split" if group in leaks else how


def _find(names: Sequence[str], parts: Iterable[Pictures]) -> list[Shown]:
    """The pictures of these names."""
    wanted = set(names)
    found: dict[str, bytes] = {}
    for part in parts:
        for index, name in enumerate(part.names):
            if name in wanted:
                found[name] = png(part.images[index])
    return [Shown(name, found[name]) for name in names]
