"""Data sets kept as idx files: a training pair and a test pair, or one pair."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnatomy.data.colours import stacked
from cnnatomy.data.decoded import DecodedSet, Labels
from cnnatomy.data.fit_policies import Bytes, Frame
from cnnatomy.data.idx import read_pair
from cnnatomy.errors import DataError
from cnnatomy.files.printable import shown

# train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, digits-images-idx3-ubyte, ...
_NAME = re.compile(
    r"(?P<stem>.*?)[-_.]?(?P<what>images|labels)[-_.]idx[13][-_.]ubyte(?:\.gz)?", re.IGNORECASE
)
_TRAIN, _TEST = re.compile(r"train", re.IGNORECASE), re.compile(r"t10k|test|val", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """The two files of an idx pair, and what they are called together."""

    name: str
    images: Path
    labels: Path


def stem_of(path: Path) -> str | None:
    """Return what an idx file and its partner are called together; None where a file is not named as idx is.

    Example:
        >>> stem_of(Path("mnist/t10k-images-idx3-ubyte.gz")), stem_of(Path("cats.zip"))
        ('t10k', None)
    """
    match = _NAME.fullmatch(path.name)
    return match["stem"] if match else None


def find_pairs(folder: Path, prefix: str = "") -> tuple[Pair, ...]:
    """Return the idx pairs in `folder` whose names begin with `prefix`: (train, test), or the only one.

    A pair that is called just `prefix` is taken alone. An unpacked file is taken before its gzipped copy.

    Raises:
        DataError: pictures without labels or labels without pictures; pairs that are no train and test pair.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith(prefix) and (match := _NAME.fullmatch(path.name)):
            found.setdefault(match["stem"], {}).setdefault(match["what"].lower(), path)
    if prefix and prefix in found:
        found = {prefix: found[prefix]}
    pairs = [_pair(stem, files) for stem, files in found.items()]
    if len(pairs) < 2:
        return tuple(pairs)
    train = [pair for pair in pairs if _TRAIN.search(pair.name)]
    test = [pair for pair in pairs if _TEST.search(pair.name)]
    if len(pairs) == 2 and len(train) == len(test) == 1:
        return train[0], test[0]
    raise DataError(
        f"{shown(folder)} holds several idx pairs",
        expected="one pair, or a train and a t10k (or test) pair",
        got=", ".join(pair.name for pair in pairs),
        hint=f"naming one by its prefix: {shown(folder / pairs[0].name)}",
    )


def _pair(stem: str, files: dict[str, Path]) -> Pair:
    if missing := {"images", "labels"} - files.keys():
        alone = next(iter(files.values()))
        raise DataError(f"{shown(alone)} has no {missing.pop()} file beside it")
    return Pair(stem, files["images"], files["labels"])


def read_pairs(pairs: Sequence[Pair], frame: Frame, name: str, classes: tuple[str, ...] = ()) -> DecodedSet:
    """Return the decoded pictures of one pair (not split) or two (train, test).

    Without `classes` every label value of the first pair is a class, named by its number.

    Raises:
        DataError: what `read_pair` raises; a label that is no class; one class only; two picture sizes.
    """
    parts = [read_pair(pair.images, pair.labels) for pair in pairs]
    shapes = [pictures.shape[1:] for pictures, _ in parts]
    if len(set(shapes)) > 1:
        raise DataError(
            f"the idx pairs of {name} hold pictures of two sizes", got=f"{shapes[0]} and {shapes[1]}"
        )
    values = np.arange(len(classes)) if classes else np.unique(parts[0][1]).astype(np.int64)
    if len(values) < 2:
        raise DataError(f"{shown(pairs[0].labels)} holds only one class", expected="at least 2 classes")
    pictures = _joined([pictures for pictures, _ in parts])[:, None]
    labels = [_to_classes(part, values, pair) for (_, part), pair in zip(parts, pairs, strict=True)]
    return DecodedSet(
        images=frame.stack(pictures),
        labels=np.concatenate(labels),
        classes=classes or tuple(str(value) for value in values),
        names=_names(name, pairs, labels),
        train=len(labels[0]) if len(parts) > 1 else None,
        sizes={(shapes[0][0], shapes[0][1]): len(pictures)},
        conversions=stacked(pictures, frame.channels),
    )


def _joined(parts: Sequence[Bytes]) -> Bytes:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _to_classes(labels: Bytes, values: Labels, pair: Pair) -> Labels:
    """Return the position of each label among the sorted `values`."""
    positions = np.searchsorted(values, labels).clip(max=len(values) - 1)
    if len(wrong := np.flatnonzero(values[positions] != labels)):
        first = int(wrong[0])
        raise DataError(
            f"{shown(pair.labels)} has a label that is no class: number {first}",
            expected=f"{values[0]}..{values[-1]}",
            got=str(labels[first]),
        )
    return positions.astype(np.int64)


def _names(name: str, pairs: Sequence[Pair], labels: Sequence[Labels]) -> list[str]:
    stems = [name] if len(pairs) == 1 else [f"{name}/train", f"{name}/test"]
    return [f"{stem}#{i}" for stem, part in zip(stems, labels, strict=True) for i in range(len(part))]
