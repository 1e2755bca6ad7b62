"""Which picture belongs to which class and to which set: told by the names of its folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from cnnatomy.data.decode import KINDS, is_picture
from cnnatomy.data.decoded import Labels
from cnnatomy.data.picture_sources import Listing
from cnnatomy.errors import DataError
from cnnatomy.files.printable import counted, listed, shown, written

_PARTS = {  # the names of their folders; of several that are there the first is taken
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Arrangement:
    """The pictures to read, by class.

    The first `train` are the training set, the next `validation` the validation set, the others the test set;
    None: to be split, and no validation set.
    """

    names: Sequence[str]
    labels: Labels
    classes: tuple[str, ...]
    train: int | None
    validation: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Level:
    """A folder seen as the place of class folders."""

    prefix: str  # "" or ending in "/"
    folders: Sequence[str]
    loose: Sequence[str]  # pictures directly in it


def arrange(listing: Listing, where: Path) -> Arrangement:
    """Return the arrangement of a folder per class, below a train, a validation and a test folder or not.

    A single folder around everything is stepped into. Pictures count at any depth below their class folder.
    Classes are sorted by name, or by value where all names are numbers.

    Raises:
        DataError: no pictures, no class folders, one class, a class without pictures, a class that the
            training folder lacks, a class whose name is not UTF-8.
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
    parts, notes = _parts(listing, files, top)
    if not parts:
        return _one_set(files, top, where)
    return _sets(files, parts, notes, where)


def _parts(listing: Listing, files: Sequence[str], top: _Level) -> tuple[dict[str, _Level], list[str]]:
    """Return the training, validation and test folders, none without the first and the last, and notes."""
    named = {folder.lower(): folder for folder in top.folders}
    parts = {part: named[name] for part, names in _PARTS.items() for name in reversed(names) if name in named}
    notes = []
    if "test" not in parts and "validation" in parts:
        parts["test"] = held = parts.pop("validation")
        notes.append(f"{held}/ is the test set; beside a folder test/ it would be the validation set")
    if not {"train", "test"} <= parts.keys():
        return {}, []
    filled = {name[len(top.prefix) :].split("/", 1)[0] for name in files if name.startswith(top.prefix)}
    if parts.get("validation") not in filled:
        parts.pop("validation", None)
    used = [f"{folder}/" for folder in parts.values()]
    notes += [
        f"{folder}/ is left aside: {', '.join(used[:-1])} and {used[-1]} are the sets"
        for folder in top.folders
        if folder not in parts.values()
    ]
    return {part: _level(listing, files, f"{top.prefix}{folder}/") for part, folder in parts.items()}, notes


def _level(listing: Listing, files: Sequence[str], prefix: str) -> _Level:
    below = {name[len(prefix) :].split("/", 1)[0] for name in listing.folders if name.startswith(prefix)}
    loose = [name for name in files if name.startswith(prefix) and "/" not in name[len(prefix) :]]
    return _Level(prefix, sorted(below), loose)


def _one_set(files: Sequence[str], level: _Level, where: Path) -> Arrangement:
    classes = _classes(level, where)
    names, labels = _members(files, level, classes)
    _need_pictures(labels, classes, level, where)
    return Arrangement(names, labels, classes, None, None, _loose_note(level))


def _sets(
    files: Sequence[str], parts: Mapping[str, _Level], notes: Sequence[str], where: Path
) -> Arrangement:
    train = parts["train"]
    classes = _classes(train, where)
    for part, level in parts.items():
        if part != "train":
            _need_known_classes(level, train, where)
    members = {part: _members(files, level, classes) for part, level in parts.items()}
    _need_pictures(members["train"][1], classes, train, where)
    return Arrangement(
        list(chain.from_iterable(names for names, _ in members.values())),
        np.concatenate([labels for _, labels in members.values()]),
        classes,
        len(members["train"][0]),
        len(members["validation"][0]) if "validation" in members else None,
        (
            *notes,
            *(note for part, (_, labels) in members.items() for note in _absent_note(part, labels, classes)),
            *(note for level in parts.values() for note in _loose_note(level)),
        ),
    )


def _need_known_classes(level: _Level, train: _Level, where: Path) -> None:
    """Raise DataError if a held-out folder has no classes, or one that the training folder lacks."""
    if not level.folders:
        raise DataError(
            f"{shown(where / level.prefix)} holds no class folders", hint="sorting its pictures by class"
        )
    if unknown := sorted(set(level.folders) - set(train.folders)):
        raise DataError(
            f"{shown(where / level.prefix)} has a class that {shown(where / train.prefix)} lacks",
            expected=listed(train.folders),
            got=shown(unknown[0]),
        )


def _classes(level: _Level, where: Path) -> tuple[str, ...]:
    names = level.folders
    if len(names) < 2:
        raise DataError(
            f"{shown(where / level.prefix)} has {'only one class' if names else 'no class folders'}",
            expected="a sub-folder for each of at least 2 classes",
            got=f"{names[0]}/" if names else counted(len(level.loose), "picture"),
        )
    if unwritable := [name for name in names if written(name) != name]:
        raise DataError(
            f"the class folder {shown(where / level.prefix / unwritable[0])} has a name that is not UTF-8",
            hint="renaming it",
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


def _absent_note(part: str, labels: Labels, classes: Sequence[str]) -> tuple[str, ...]:
    absent = [name for label, name in enumerate(classes) if label not in labels]
    return (f"the {part} set has no picture of {', '.join(absent)}",) if absent and len(labels) else ()


def _loose_note(level: _Level) -> tuple[str, ...]:
    if not level.loose:
        return ()
    count = counted(len(level.loose), "picture")
    return (f"{count} outside the class folders left aside, such as {shown(level.loose[0])}",)
