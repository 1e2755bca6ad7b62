"""What a run works with, once the data has been looked at: pictures, settled settings, and choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, cat, split, uint8

from cnnatomy.data import Dataset, load
from cnnatomy.data.data_settings import DataSettings
from cnnatomy.data.loading import open_any
from cnnatomy.data.survey.duplicates import find_duplicates
from cnnatomy.data.survey.headers import Headers, read_headers
from cnnatomy.data.survey.mirroring import mirrored_share
from cnnatomy.errors import ArgumentError
from cnnatomy.files.printable import counted, shown
from cnnatomy.train.batch_sources import LoaderFeed
from cnnatomy.train.choices import Seen, settle_input, settle_network, settle_recipe
from cnnatomy.train.distributed import World
from cnnatomy.train.division import Division, divide
from cnnatomy.train.recipe import seconds
from cnnatomy.train.reporter import Choice, Reporter
from cnnatomy.train.settings import Settings
from cnnatomy.train.statistics import commonest

Shape = tuple[int | None, int | None, int | None]
"""Channels, height and width; None for what the pictures decide."""
IN_MEMORY = "in-memory"
"""The source of pictures that a caller gave."""
LOOKED_AT = 2_000
"""Headers of so many pictures, evenly spaced, tell their sizes and colours before they are decoded."""
SMALLEST = (32, 32)
MOST_COMPARED, MOST_NEARLY = 100_000, 5_000
"""Among so many pictures at most, equal and nearly equal ones are looked for before training.
`cnnatomy data` looks for both among all."""


@dataclass(frozen=True)
class Given:
    """Pictures that a caller has in memory, or a loader that gives them batch by batch."""

    data: Dataset
    loader: Any = None


@dataclass(frozen=True)
class Material:
    """Pictures, their division, and settings with every value settled."""

    settings: Settings
    data: Dataset
    division: Division
    loader: Any
    choices: Sequence[Choice]
    notes: Sequence[str]

    @property
    def commonest(self) -> str:
        """The class that most training pictures have."""
        return self.data.classes[commonest(self.data.train.labels[self.division.kept])]

    @property
    def about(self) -> dict[str, Any]:
        """What the weights' file says of the pictures."""
        return {"fingerprint": self.data.fingerprint, "training_commonest": self.commonest}


def prepare(settings: Settings, world: World, reporter: Reporter, given: Given | None = None) -> Material:
    """Read the pictures, and settle everything that is left to them.

    Raises:
        ArgumentError: what was asked for does not fit the pictures.
        DataError: the pictures cannot be read.
    """
    network = settings.network
    if given is None:
        reporter.reading(f"looking at {shown(settings.data.source)}", 0, None, "pictures")
        headers = _headers(settings.data, reporter)
        sizes = headers.sizes or {SMALLEST: 1}  # where none can be read, the reading says so
        network, framed = settle_input(network, sizes, world.device.type != "cpu")
        channels, *size = network.shape()
        shape = (channels if channels or headers.coloured else 1, *size)
        data = _load_together(settings.data, shape, world, reporter)  # type: ignore[arg-type]
    else:
        data = given.data
        height, width = data.train.images.shape[2:]
        framed = Choice("input", f"{height}x{width}", "as given")
        network = replace(network, size="x".join(map(str, data.train.images.shape[1:])))
        if given.loader is not None:
            _demand_free_of_order(settings)
            settings = settings.changed(augment="none", batch_size=getattr(given.loader, "batch_size", None))
    division = divide(data, settings.data, settings.recipe.seed)
    loader = given.loader if given else None
    labels = data.train.labels[division.kept]
    channels = data.train.images.shape[1]
    mirrored = mirrored_share(data.train.images, data.train.labels)
    count = len(division.kept) if loader is None else LoaderFeed(loader, world).pictures
    family = network.model is None
    length = seconds(settings.recipe.time) if settings.recipe.time else None
    seen = Seen(data.classes, count, channels, mirrored, world.device.type != "cpu", family, length)
    network, chosen = settle_network(network, seen)
    recipe, more = settle_recipe(settings.recipe, network, seen)
    framed = framed._replace(said=f"{channels}x{framed.said}", why=f"{framed.why}; {data.fitted.sentence()}")
    counts = labels.bincount(minlength=len(data.classes))
    choices = (_pictures(data, division, counts, count), chosen, framed, *more)
    settled = replace(settings, network=network, recipe=recipe)
    return Material(settled, data, division, loader, choices, (*data.notes, *_duplicates(data, reporter)))


def _headers(settings: DataSettings, reporter: Reporter) -> Headers:
    """What the picture files say of themselves."""
    folder = Path(settings.data_dir) if settings.data_dir else None
    opened = open_any(settings.source, data_dir=folder, progress=reporter.reading)
    return read_headers(opened.pictures, sample=LOOKED_AT, progress=reporter.reading)


def _demand_free_of_order(settings: Settings) -> None:
    """A loader decides by itself what is in a batch, so that what is said of that here would be in vain."""
    flat, plain = settings.flat(), Settings().flat()
    decided = ("augment", "batch_size", "balanced", "limit", "train_fraction", "validation")
    for name in decided:
        if flat[name] != plain[name] and flat[name] != "none":
            what = f"{name} is up to the DataLoader"
            raise ArgumentError(what, hint=f"leaving out {name}, or giving the data set itself")


def load_data(
    settings: DataSettings, shape: tuple[int | None, int | None, int | None], reporter: Reporter
) -> Dataset:
    """Read pictures in the size of a network; with the channels that they have where it leaves that open."""
    channels, height, width = shape
    assert height is not None, "settle the input first"
    size = (height, width or height)

    def read(channels: int) -> Dataset:
        return load(
            settings.source,
            size=size,
            channels=channels,
            fit=settings.fit,
            skip_bad=settings.skip_bad,
            test_fraction=settings.test_fraction,
            data_dir=Path(settings.data_dir) if settings.data_dir else None,
            progress=reporter.reading,
        )

    if channels is not None:
        return read(channels)
    coloured = read(3)
    parts = [one for one in (coloured.train, coloured.validation, coloured.test) if one is not None]
    return read(1) if all(_grey(one.images) for one in parts) else coloured


def _grey(images: Tensor) -> bool:
    """Whether three channels say the same everywhere."""
    return all(bool((part[:, :1] == part[:, 1:]).all()) for part in split(images, 1024))


def _load_together(settings: DataSettings, shape: Shape, world: World, reporter: Reporter) -> Dataset:
    """Read the pictures, the first process before the others: it may have to fetch or decode them."""
    if world.first:
        data = load_data(settings, shape, reporter)
    world.wait()
    return data if world.first else load_data(settings, shape, reporter)


def _pictures(data: Dataset, division: Division, counts: Tensor, count: int) -> Choice:
    """How many pictures there are, and what always saying the commonest class would score."""
    held = f", {len(division.validation):,} to choose the epoch" if division.validation else ""
    each = f"{counts.min():,} to {counts.max():,}" if counts.min() < counts.max() else f"{counts.max():,}"
    said = (
        f"{count:,} to train on{held}, {len(data.test):,} to test with; "
        f"{counted(len(data.classes), 'class', 'classes')} of {each}"
    )
    commonest = int(counts.argmax())
    share = (data.test.labels == commonest).double().mean().item()
    why = f"always saying {data.classes[commonest]} would score {100 * share:.1f}%"
    return Choice("pictures", said, why, ("--validation", "--limit"))


def _duplicates(data: Dataset, reporter: Reporter) -> list[str]:
    """What a reader of the figures must know: which pictures are there twice, or on both sides."""
    parts = [part for part in (data.train, data.validation, data.test) if part is not None]
    sizes = [len(part) for part in parts]
    images = [part.images for part in parts]
    if sum(sizes) > MOST_COMPARED or any(one.dtype != uint8 or one.shape[1] not in (1, 3) for one in images):
        return []
    reporter.reading("comparing pictures", 0, sum(sizes), "pictures")
    found = find_duplicates(cat(images), near=sum(sizes) <= MOST_NEARLY)
    notes = []
    if leaks := found.leaks(sizes):
        said = "trained on and also tested with or chosen by, or nearly so: cnnatomy data shows which"
        notes.append(f"{counted(len(leaks), 'picture')} {said}")
    elif groups := found.groups:
        notes.append(
            f"{counted(len(groups), 'picture')} more than once, or nearly so: cnnatomy data shows which"
        )
    return notes
