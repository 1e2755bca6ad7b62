"""The page of a look at pictures: counts, samples, what augmentation makes of them, copies, odd files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cnnatomy.data import Dataset, Pictures
from cnnatomy.data.augment import recipe
from cnnatomy.data.fit_policies import Size
from cnnatomy.data.survey.headers import Header
from cnnatomy.data.survey.survey_result import NOT_LOOKED_FOR, Survey
from cnnatomy.files.printable import written
from cnnatomy.report.pixels import png
from cnnatomy.report.render import template
from cnnatomy.report.scatter import scatter
from cnnatomy.train.atomic_files import write_whole

CLASSES, SAMPLES, VARIED, TIMES, GROUPS, NAMES = 40, 8, 8, 6, 40, 50
"""Shown: classes, pictures of each, pictures that are changed and how often, groups of copies, names."""


class Shown(NamedTuple):
    """A picture with its name, the place that it has in the data, and width / height of the original."""

    name: str
    png: bytes
    ratio: float = 1.0
    place: str = ""


class Group(NamedTuple):
    """Pictures that are the same, and what is to be known of that."""

    what: str
    pictures: Sequence[Shown]


def write_survey(found: Survey, data: Dataset, path: Path, *, augment: str = "photo", seed: int = 0) -> Path:
    """Write a self-contained page on what was found; `seed` chooses the pictures that are shown.

    Raises:
        ArgumentError: the changes cannot be read.

    Example:
        >>> from cnnatomy.data.survey.survey import survey
        >>> write_survey(*survey("digits"), Path("data.html"), augment="distortions").name
        'data.html'
    """
    drawn = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))
    copies = list(dict.fromkeys([*found.leaks, *found.conflicts, *found.near, *found.exact]))
    ratios = _ratios(found)
    text = template("data.html.j2").render(
        found=found,
        most=max(found.totals),
        samples=list(samples(data.train, drawn, ratios)),
        varied=varied(data.train, drawn[:VARIED], ratios, augment, seed),
        augment=augment,
        groups=_groups(found, data, copies[:GROUPS], ratios),
        more=max(0, len(copies) - GROUPS),
        names=NAMES,
        unreadable=[f"{name} {why}" for name, why in found.unreadable.items()],
        classes=CLASSES,
        sizes=scatter(found.sizes) if len(found.sizes) > 1 else None,
        not_looked_for=NOT_LOOKED_FOR,
    )
    write_whole(path, text.encode("utf-8"))
    return path


def samples(
    pictures: Pictures, drawn: Tensor, ratios: Mapping[str, float]
) -> Iterator[tuple[str, list[Shown]]]:
    """A few pictures of each of the first classes, in the order `drawn`."""
    labels = pictures.labels[drawn]
    for label, name in enumerate(pictures.classes[:CLASSES]):
        chosen = drawn[labels == label][:SAMPLES].tolist()
        yield name, [_shown(pictures, index, ratios) for index in chosen]


def varied(
    pictures: Pictures, chosen: Tensor, ratios: Mapping[str, float], augment: str, seed: int
) -> list[list[Shown]]:
    """A few pictures, each as it is and as it is changed in the first epochs."""
    images, vary = pictures.images[chosen].float(), recipe(augment)
    columns = [images, *(vary(images, chosen, seed=seed, epoch=epoch) for epoch in range(TIMES))]
    return [
        [_shown(pictures, index, ratios, column[row]) for column in columns]
        for row, index in enumerate(chosen.tolist())
    ]


def _ratios(found: Survey) -> dict[str, float]:
    """Width / height of the picture files: pictures are compared as squares, and shown as they are."""
    return {
        written(name): _ratio(header.size)
        for name, header in found.headers.files.items()
        if isinstance(header, Header)
    }


def _ratio(size: Size) -> float:
    return min(max(size[1] / size[0], 1 / 4), 4.0)


def _shown(
    pictures: Pictures, index: int, ratios: Mapping[str, float], image: Tensor | None = None, place: str = ""
) -> Shown:
    name = pictures.names[index]
    pixels = pictures.images[index] if image is None else image.round().clamp(0, 255).to(torch.uint8)
    return Shown(name, png(pixels), ratios.get(name, 1.0), place)


def _groups(
    found: Survey, data: Dataset, copies: Sequence[tuple[str, ...]], ratios: Mapping[str, float]
) -> list[Group]:
    """Groups of copies with their pictures, and what is to be known of each."""
    wanted = {name for group in copies for name in group}
    shown = {
        name: _shown(part, index, ratios, place=", ".join(found.places[name]))
        for part in (data.train, data.validation, data.test)
        if part is not None
        for index, name in enumerate(part.names)
        if name in wanted
    }
    return [Group(_what(found, group), [shown[name] for name in group]) for group in copies]


def _what(found: Survey, group: tuple[str, ...]) -> str:
    """What is to be known of a group of copies."""
    said = "nearly equal" if group in found.near else "equal"
    sides, classes = (
        dict.fromkeys(place) for place in zip(*(found.places[name] for name in group), strict=True)
    )
    said += f", in {' and '.join(sides)}" if len(sides) > 1 else ""
    return said + (f", called {' and '.join(classes)}" if len(classes) > 1 else "")
