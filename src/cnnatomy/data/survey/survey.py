"""Everything that is worth knowing of pictures before a network is trained on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cnnatomy.data.fit import Size
from cnnatomy.data.loading import load, open_any
from cnnatomy.data.pictures import Dataset, Pictures, Progress, silent
from cnnatomy.data.survey.duplicates import find_duplicates
from cnnatomy.data.survey.headers import Header, Headers, read_headers
from cnnatomy.data.survey.mirror import mirrored_share

SIDE = 64
"""Pictures are compared at this size, letterboxed."""
TINY, LONG = 8, 4
"""Shorter sides below this many cells, and ratios above this, are odd."""


@dataclass(frozen=True)
class Survey:
    """What was found in a source of pictures.

    `counts` are the pictures of each part (`train`, `validation`, `test`) by class; `sizes` how many have
    which upright (height, width); `exact` and `near` groups of names of equal and of nearly equal pictures,
    `leaks` those that are on both sides of the split; `odd` the names of what a reader should look at, by
    what it is.
    """

    name: str
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    sizes: Mapping[Size, int]
    colours: str
    unreadable: Mapping[str, str]
    odd: Mapping[str, tuple[str, ...]]
    exact: tuple[tuple[str, ...], ...]
    near: tuple[tuple[str, ...], ...]
    leaks: tuple[tuple[str, ...], ...]
    mirrored: float
    notes: tuple[str, ...]

    @property
    def pictures(self) -> int:
        """How many can be read, of all parts."""
        return sum(map(sum, self.counts.values()))

    @property
    def totals(self) -> tuple[int, ...]:
        """Pictures of each class in all parts."""
        return tuple(map(sum, zip(*self.counts.values(), strict=True)))

    @property
    def imbalance(self) -> float:
        """How many times as many pictures the largest class trains on as the smallest."""
        return max(self.counts["train"]) / max(1, min(self.counts["train"]))

    @property
    def commonest(self) -> tuple[str, float]:
        """The commonest class of training, and the share of test pictures that are of it."""
        place = self.counts["train"].index(max(self.counts["train"]))
        test = self.counts["test"]
        return self.classes[place], test[place] / max(1, sum(test))

    def to_json(self) -> dict[str, Any]:
        """Give everything as JSON values."""
        name, share = self.commonest
        return {
            "name": self.name,
            "pictures": self.pictures,
            "classes": {
                one: {part: counts[place] for part, counts in self.counts.items()}
                for place, one in enumerate(self.classes)
            },
            "imbalance": self.imbalance,
            "commonest": {"class": name, "share": share},
            "sizes": [[*size, count] for size, count in sorted(self.sizes.items())],
            "colours": self.colours,
            "unreadable": dict(self.unreadable),
            "odd": {what: list(names) for what, names in self.odd.items()},
            "exact": [list(group) for group in self.exact],
            "near": [list(group) for group in self.near],
            "leaks": [list(group) for group in self.leaks],
            "mirrored": self.mirrored,
            "notes": list(self.notes),
        }


def survey(
    source: str | Path, *, data_dir: Path | None = None, progress: Progress = silent
) -> tuple[Survey, Dataset]:
    """Look at a source of any kind, and give what was found with the pictures at a small size.

    Nothing of the source is changed, and nothing is written beside it.

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
    data = load(source, size=(SIDE, SIDE), channels=3, skip_bad=True, data_dir=data_dir, progress=progress)
    parts: dict[str, Pictures] = {"train": data.train, "test": data.test}
    if data.validation is not None:
        parts = {"train": data.train, "validation": data.validation, "test": data.test}
    images = torch.cat([part.images for part in parts.values()])
    names = [name for part in parts.values() for name in part.names]
    copies = find_duplicates(images)
    found = Survey(
        name=data.name,
        classes=data.classes,
        counts={
            part: tuple(pictures.labels.bincount(minlength=len(data.classes)).tolist())
            for part, pictures in parts.items()
        },
        sizes=headers.sizes,
        colours=_colours(headers, images),
        unreadable=headers.unreadable | {bad.path: bad.reason for bad in data.skipped},
        odd=_odd(headers),
        exact=_named(copies.exact, names),
        near=_named(copies.near, names),
        leaks=_named(copies.leaks([len(part) for part in parts.values()]), names),
        mirrored=mirrored_share(data.train.images, data.train.labels),
        notes=data.notes,
    )
    return found, data


def _named(groups: Sequence[Sequence[int]], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names[index] for index in group) for group in groups)


def _colours(headers: Headers, images: torch.Tensor) -> str:
    """Whether any picture shows a colour, by its pixels, and how the files say it."""
    if bool((images[:, :1] == images[:, 1:]).all()):
        return "grey, though the files have room for colours" if headers.coloured else "grey"
    return "colour"


def _odd(headers: Headers) -> dict[str, tuple[str, ...]]:
    """The names of pictures that are not like others, by what is odd about them; only what is there."""

    def long(header: Header) -> bool:
        return max(header.size) > LONG * min(header.size)

    modes = Counter(header.mode for header in headers.files.values() if isinstance(header, Header))
    found = {
        "named like another kind of picture": [
            f"{name} is {kind}" for name, kind in headers.misnamed().items()
        ],
        f"less than {TINY} cells high or wide": headers.named(lambda header: min(header.size) < TINY),
        f"more than {LONG} times as long as wide": headers.named(long),
        "more than one frame, of which the first counts": headers.named(lambda header: header.several),
        "partly transparent, laid on white": headers.named(lambda header: header.alpha),
        "16 bits a value, brought to 8": headers.named(lambda header: header.sixteen),
        "in the colours of print (CMYK)": headers.named(lambda header: header.mode == "CMYK"),
    }
    if len({mode in ("1", "L", "LA", "I", "I;16") for mode in modes}) > 1:
        grey = headers.named(lambda header: header.mode in ("1", "L", "LA", "I", "I;16"))
        found["grey among coloured ones"] = grey
    return {what: tuple(names) for what, names in found.items() if names}
