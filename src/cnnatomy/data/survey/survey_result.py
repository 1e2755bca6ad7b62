"""What a look at pictures found, as a record and in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnnatomy.data.fit_policies import Size
from cnnatomy.data.survey.headers import Headers
from cnnatomy.files.printable import counted, percent, shown

Names = tuple[str, ...]

NOT_LOOKED_FOR = (
    "wrong labels, and copies that were rotated, covered in part, or cropped by more than about 3% a side"
)


@dataclass(frozen=True)
class Survey:
    """What was found in a source of pictures; names are as text can hold them.

    `counts` are the pictures of each part (`train`, `validation`, `test`) by class; `headers` what the files
    say; `colours` whether the pixels show any; `unreadable` files with their reasons; `odd` what a reader
    should look at, by what it is. `exact` and `near` are groups of equal and of nearly equal pictures,
    `leaks` those on more than one side of the split, `conflicts` those in more than one class, and `places`
    says in which part and class each picture of a group is. `mirrored` is the share of pictures that can be
    told from their mirror images.
    """

    name: str
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    headers: Headers
    colours: str
    unreadable: Mapping[str, str]
    odd: Mapping[str, Names]
    exact: tuple[Names, ...]
    near: tuple[Names, ...]
    leaks: tuple[Names, ...]
    conflicts: tuple[Names, ...]
    places: Mapping[str, tuple[str, str]]
    mirrored: float
    notes: Names

    @property
    def sizes(self) -> Mapping[Size, int]:
        """How many pictures have which upright size (height, width)."""
        return self.headers.sizes

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

    def sentences(self) -> list[str]:
        """Say in a few lines what there is."""
        parts = ", ".join(f"{sum(counts):,} {part}" for part, counts in self.counts.items())
        classes = counted(len(self.classes), "class", "classes")
        name, share = self.commonest
        uneven = f"; the largest class has {self.imbalance:.3g} times the training pictures of the smallest"
        return [
            f"{counted(self.pictures, 'picture')} of {classes}: {parts}",
            f"{self._sizes()}; {self.colours}",
            f"always saying {shown(name)} scores {percent(share)}{uneven if self.imbalance > 1 else ''}",
            f"{percent(self.mirrored)} can be told from their mirror images, where 50% is chance",
        ]

    def _sizes(self) -> str:
        sizes = sorted(self.sizes, key=lambda size: (size[0] * size[1], size))
        ends = [f"{height}x{width}" for height, width in (sizes[0], sizes[-1])]
        note = " (height x width)" if any(height != width for height, width in sizes) else ""
        if len(sizes) == 1:
            return f"all {ends[0]}{note}"
        return f"{len(sizes):,} sizes, {ends[0]} to {ends[1]}{note}"

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
            "conflicts": [list(group) for group in self.conflicts],
            "places": {name: list(place) for name, place in self.places.items()},
            "mirrored": self.mirrored,
            "notes": list(self.notes),
        }
