"""Small folders of pictures drawn from CIFAR-10: so many classes, and so many pictures of each."""

from __future__ import annotations

import random
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

CLASSES, PICTURES = 5, 400
"""Classes of a draw, and pictures of each in train/ and again in test/."""
PARTS = ("train", "test")


@dataclass(frozen=True)
class Draw:
    """The files of one folder, by their place in it: train/CLASS/NAME or test/CLASS/NAME."""

    number: int
    files: dict[str, bytes]

    def lay_out(self, folder: Path) -> None:
        """Write the pictures into a folder."""
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def read(archive: Path) -> dict[str, bytes]:
    """The pictures of an archive, by the last three parts of their names, which are PART/CLASS/NAME."""
    with tarfile.open(archive) as tar:
        found = {
            "/".join(PurePosixPath(entry.name).parts[-3:]): file.read()
            for entry in tar
            if entry.isfile() and (file := tar.extractfile(entry))
        }
    return {name: data for name, data in found.items() if name.split("/")[0] in PARTS}


def draw(pictures: dict[str, bytes], number: int, classes: int = CLASSES, each: int = PICTURES) -> Draw:
    """Draw classes, then pictures of each from its train and from its test part, by the draw's number alone.

    Raises:
        ValueError: there are too few classes, or too few pictures of one.
    """
    by_class: dict[str, dict[str, list[str]]] = {part: {} for part in PARTS}
    for name in sorted(pictures):
        part, kind, _ = name.split("/")
        by_class[part].setdefault(kind, []).append(name)
    chance = random.Random(number)
    chosen = sorted(chance.sample(sorted(set(by_class["train"]) & set(by_class["test"])), classes))
    names = [name for part in PARTS for kind in chosen for name in chance.sample(by_class[part][kind], each)]
    return Draw(number, {name: pictures[name] for name in sorted(names)})
