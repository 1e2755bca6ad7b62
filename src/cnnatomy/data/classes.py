"""Which picture belongs to which class and to which set: told by the names of its folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from cnnatomy.data.album import Labels
from cnnatomy.data.decode import KINDS, is_picture
from cnnatomy.data.shelves import Listing
from cnnatomy.errors import DataError
from cnnatomy.files.text import counted, shown

_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")  # the first that is there is the test set


@dataclass(frozen=True)
class Arrangement:
    """The pictures to read, by class; the first `train` are the training set (None: to be split)."""

    names: Sequence[str]
    labels: Labels
    classes: tuple[str, ...]
    train: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Level:
    """A folder seen as the place of class folders."""

    prefix: str  # "" or ending in "/"
    folders: Sequence[str]
    loose: Sequence[str]  # pictures directly in it


def arrange(listing: Listing, where: Path) -> Arrangement:
    """Return the arrangement of a folder per class, with a train and a test folder above them or without.

    A single folder around everything is stepped into. Pictures count at any depth below their class folder.
    Classes are sorted by name, or by value where all names are numbers.

    Raises:
        DataError: no pictures, no class folders, one class, a class without pictures, a class only in test.
    """
    files = [name for name in listing.files if is_picture(name)]
    if not files:
        raise DataError(f"{shown(where)} holds no pictures", expected=KINDS)
    top = _level(listing, files, "")
    while len(top.folders) == 1 and not top.loose:
        inner = _level(listing, files, f"{top.prefix}{top.folders[0]}/")
        if not inner.folders:
            break
        top = inner
    named = {folder.lower(): folder for folder in top.folders}
    train, tests = [named[n] for n in _TRAIN if n in named], [named[n] for n in _TEST if n in named]
    if not (train and tests):
        return _one_set(files, top, where)
    notes = [
        f"{folder}/ is left aside: {train[0]}/ and {tests[0]}/ are the training and the test set"
        for folder in top.folders
        if folder not in (train[0], tests[0])
    ]
    parts = [_level(listing, files, f"{top.prefix}{folder}/") for folder in (train[0], tests[0])]
    return _two_sets(files, parts, notes, where)


def _level(listing: Listing, files: Sequence[str], prefix: str) -> _Level:
    below = {name[len(prefix) :].split("/", 1)[0] for name in listing.folders if name.startswith(prefix)}
    loose = [name for name in files if name.startswith(prefix) and "/" not in name[len(prefix) :]]
    return _Level(prefix, sorted(below), loose)


def _one_set(files: Sequence[str], level: _Level, where: Path) -> Arrangement:
    classes = _classes(level, where)
    names, labels = _members(files, level, classes)
    _need_pictures(labels, classes, level, where)
    return Arrangement(names, labels, classes, None, _loose_note(level))


def _two_sets(
    files: Sequence[str], parts: Sequence[_Level], notes: Sequence[str], where: Path
) -> Arrangement:
    train, test = parts
    classes = _classes(train, where)
    if not test.folders:
        raise DataError(
            f"{shown(where / test.prefix)} holds no class folders", hint="sorting its pictures by class"
        )
    if strangers := sorted(set(test.folders) - set(classes)):
        place = f"{train.prefix}{strangers[0]}"
        raise DataError(
            f"{shown(where / test.prefix / strangers[0])} is a class that training never sees: no {place}"
        )
    (train_names, train_labels), (test_names, test_labels) = (
        _members(files, part, classes) for part in parts
    )
    _need_pictures(train_labels, classes, train, where)
    absent = [name for i, name in enumerate(classes) if i not in test_labels]
    if absent and len(test_labels):
        notes = [*notes, f"the test set has no picture of {', '.join(absent)}"]
    return Arrangement(
        [*train_names, *test_names],
        np.concatenate([train_labels, test_labels]),
        classes,
        len(train_names),
        (*notes, *_loose_note(train), *_loose_note(test)),
    )


def _classes(level: _Level, where: Path) -> tuple[str, ...]:
    names = level.folders
    if len(names) < 2:
        raise DataError(
            f"{shown(where / level.prefix)} has {'only one class' if names else 'no class folders'}",
            expected="a sub-folder for each of at least 2 classes",
            got=f"{names[0]}/" if names else counted(len(level.loose), "picture"),
        )
    return tuple(sorted(names, key=int) if all(name.isdecimal() for name in names) else names)


def _members(files: Sequence[str], level: _Level, classes: Sequence[str]) -> tuple[list[str], Labels]:
    """Return the pictures below the class folders of a level, class by class, and their labels."""
    labels = {name: label for label, name in enumerate(classes)}
    found: list[list[str]] = [[] for _ in classes]
    for name in files:
        folder, slash, _ = name[len(level.prefix) :].partition("/")
        if name.startswith(level.prefix) and slash:
            found[labels[folder]].append(name)
    counts = [len(members) for members in found]
    return list(chain.from_iterable(found)), np.repeat(np.arange(len(classes), dtype=np.int64), counts)


def _need_pictures(labels: Labels, classes: Sequence[str], level: _Level, where: Path) -> None:
    for label, count in enumerate(np.bincount(labels, minlength=len(classes))):
        if not count:
            folder = shown(where / f"{level.prefix}{classes[label]}")
            raise DataError(f"the class folder {folder} holds no pictures", expected=KINDS)


def _loose_note(level: _Level) -> tuple[str, ...]:
    if not level.loose:
        return ()
    count = counted(len(level.loose), "picture")
    return (f"{count} outside the class folders left aside, such as {shown(level.loose[0])}",)
