"""A look at everything that is worth knowing of pictures before a network is trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cnnatomy.data.loading import load, open_any
from cnnatomy.data.pictures import Dataset, Progress, silent
from cnnatomy.data.survey.duplicates import find_duplicates
from cnnatomy.data.survey.headers import Headers, read_headers
from cnnatomy.data.survey.mirroring import mirrored_share
from cnnatomy.data.survey.survey_result import Names, Survey
from cnnatomy.data.survey.unusual_files import odd_files
from cnnatomy.files.printable import written

SIDE, SMALL_SIDE, MANY = 64, 32, 20_000
"""Sides of the squares at which pictures are compared: of a few, and of more than so many."""
MOST_NEARLY = 200_000
"""Among more pictures, only equal ones are looked for."""


def survey(
    source: str | Path, *, data_dir: Path | None = None, progress: Progress = silent
) -> tuple[Survey, Dataset]:
    """Look at a source of any kind, and give what was found with the pictures at a small size.

    Pictures that are not square are stretched to a square. Nothing of the source is changed, and nothing is
    written beside it.

    Raises:
        ArgumentError: a source that is neither a name nor there.
        DataError: a source that is damaged, unsafe to read, or lacks classes or pictures.

    Example:
        >>> seen, _ = survey("digits")
        >>> seen.pictures, seen.colours, seen.leaks
        (1797, 'grey', ())
    """
    opened = open_any(source, data_dir=data_dir, progress=progress)
    headers = read_headers(opened.pictures, progress=progress)
    data = _load(source, headers, data_dir, progress)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    there = {name: part for name, part in parts.items() if part is not None}
    images = torch.cat([part.images for part in there.values()])
    names = [name for part in there.values() for name in part.names]
    labels = torch.cat([part.labels for part in there.values()]).tolist()
    sides = [side for side, part in there.items() for _ in range(len(part))]
    copies = find_duplicates(images, near=len(names) <= MOST_NEARLY)
    unsought = f"nearly equal pictures were not looked for among more than {MOST_NEARLY:,}"

    def named(groups: Sequence[Sequence[int]]) -> tuple[Names, ...]:
        return tuple(tuple(names[index] for index in group) for group in groups)

    found = Survey(
        name=data.name,
        classes=data.classes,
        counts={
            part: tuple(pictures.labels.bincount(minlength=len(data.classes)).tolist())
            for part, pictures in there.items()
        },
        headers=headers,
        colours=_colours(headers, images),
        unreadable={written(name): why for name, why in headers.unreadable.items()}
        | {bad.path: bad.reason for bad in data.skipped},
        odd=odd_files(opened.pictures, headers, data.classes),
        exact=named(copies.exact),
        near=named(copies.near),
        leaks=named(copies.leaks([len(part) for part in there.values()])),
        conflicts=named([group for group in copies.groups if len({labels[index] for index in group}) > 1]),
        places={
            names[index]: (sides[index], data.classes[labels[index]])
            for group in copies.groups
            for index in group
        },
        mirrored=mirrored_share(data.train.images, data.train.labels),
        notes=(*data.notes, *([unsought] if len(names) > MOST_NEARLY else [])),
    )
    return found, data


def _load(source: str | Path, headers: Headers, data_dir: Path | None, progress: Progress) -> Dataset:
    """Read the pictures no larger than is needed, without borders, in which all pictures would be alike."""
    most = SIDE if (headers.count or len(headers.files)) <= MANY else SMALL_SIDE
    side = min(most, max(max(size) for size in headers.sizes or {(SIDE, SIDE): 1}))
    return load(
        source,
        size=(side, side),
        channels=3 if headers.coloured else 1,
        fit="letterbox" if list(headers.sizes) == [(side, side)] else "stretch",
        skip_bad=True,
        data_dir=data_dir,
        progress=progress,
    )


def _colours(headers: Headers, images: Tensor) -> str:
    """Whether any picture shows a colour, by its pixels, and how the files say it."""
    if headers.coloured and all(
        bool((part[:, :1] == part[:, 1:]).all()) for part in torch.split(images, 1024)
    ):
        return "grey, though the files have room for colours"
    return "colour" if headers.coloured else "grey"
