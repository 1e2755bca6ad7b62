"""A data set as people see it: in a line, and in a notebook with one picture of each class."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from cnnatomy.files.printable import counted

if TYPE_CHECKING:
    from cnnatomy.data.pictures import Dataset, Pictures

SHOWN = 10
"""Classes that are named, and pictures that are shown."""
SIDE = 48
"""Pixels of a picture's longer side in the strip."""


def pictures_line(pictures: Pictures) -> str:
    """How many pictures of what shape and how many classes.

    Example:
        >>> from cnnatomy.data import load
        >>> load("digits").test
        Pictures(359 pictures 1x8x8, 10 classes)
    """
    shape = "x".join(map(str, pictures.images.shape[1:]))
    classes = f"{len(pictures.classes)} class{'es' * (len(pictures.classes) != 1)}"
    return f"Pictures({counted(len(pictures), 'picture')} {shape}, {classes})"


def dataset_lines(data: Dataset) -> list[str]:
    """The name, the parts with their counts, the classes, and what was done to the pictures."""
    parts = {"training": data.train, "validation": data.validation, "test": data.test}
    counts = ", ".join(f"{len(part):,} {name}" for name, part in parts.items() if part is not None)
    more = len(data.classes) - SHOWN
    named = ", ".join(data.classes[:SHOWN]) + (f" and {more} more" if more > 0 else "")
    skipped = (
        [f"left out: {counted(len(data.skipped), 'picture')} that cannot be read"] if data.skipped else []
    )
    counted_classes = f"{len(data.classes)} classes: {named}"
    return [f"{data.name}: {counts} pictures", counted_classes, data.fitted.sentence(), *skipped]


def dataset_html(data: Dataset) -> str:
    """The same lines under a strip of pictures, the first of each class."""
    first, *rest = map(escape, dataset_lines(data))
    lines = "".join(f"<div>{line}</div>" for line in rest)
    strip = (
        f'<img alt="one picture of each class" style="image-rendering:pixelated" src="{_strip(data.train)}">'
    )
    return f"<div><strong>{first}</strong>{lines}{strip}</div>"


def _strip(pictures: Pictures) -> str:
    """The first picture of each of the first classes beside each other, as a data URI."""
    import torch
    from PIL import Image

    firsts = [
        (pictures.labels == label).nonzero()[:1, 0] for label in range(min(SHOWN, len(pictures.classes)))
    ]
    images = pictures.images[torch.cat(firsts)]
    row = torch.cat(list(images), -1).permute(1, 2, 0).numpy()
    strip = Image.fromarray(row[..., 0] if row.shape[-1] == 1 else row)
    zoom = SIDE / max(images.shape[-2:])
    size = max(1, round(strip.width * zoom)), max(1, round(strip.height * zoom))
    file = BytesIO()
    strip.resize(size, Image.Resampling.NEAREST if zoom > 1 else Image.Resampling.LANCZOS).save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
