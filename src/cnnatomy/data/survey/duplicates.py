"""Pictures that are there twice: equal ones, and copies that were saved again, scaled, cropped or mirrored.

The detail of two pictures is compared, whole and slightly cropped, as they are and mirrored. They are copies
if they are so near to each other that among as many different pictures not one pair is to be expected so
near. So a set whose pictures are all alike, such as digits, needs a closer match than one of photographs, and
a plain stroke a closer match than a richer figure.

Found: recompressed, scaled, brightened, mirrored, and cropped by about 3% a side. Not found: stronger crops,
rotations, pictures of which a part was replaced, changed colours, copies of pictures that show next to
nothing, and copies that are there so often (some twenty in two thousand) that they are what is expected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

from cnnatomy.data.survey.candidates import candidates
from cnnatomy.data.survey.thumbnails import Thumbnails, thumbnails

Group = tuple[int, ...]

_SAMPLE, _RANK, _FACTOR = 2000, 20, 5
_BY_CHANCE = 0.1
"""So many pairs of different pictures are to be expected, at most, as near to each other as copies are."""
_LEAST, _MOST = 0.0001, 0.022
"""Bounds of the distance of copies, 1 - the correlation of their details."""
_LEAST_CONTRAST, _LEAST_SIDE = 2.0, 8
"""Steps of 256 and cells a side: what shows less cannot be told apart."""
_COLOUR = 10.0
"""Steps of 256 by which the colours of copies may differ, on average."""
_TELLING = 24
_ROWS, _PAIRS = 1 << 12, 1 << 16


@dataclass(frozen=True)
class Duplicates:
    """Groups of indices, ascending: `exact` of equal pictures, `near` of copies that are not all equal."""

    exact: tuple[Group, ...]
    near: tuple[Group, ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        """All groups of pictures that show the same: an exact one is part of a near one or stands alone."""
        inside = {index for group in self.near for index in group}
        return (*self.near, *(group for group in self.exact if group[0] not in inside))

    def leaks(self, sizes: Sequence[int]) -> tuple[Group, ...]:
        """Return the groups on more than one side, where the pictures are parts of these sizes in a row.

        Example:
            >>> Duplicates(((0, 1), (2, 5)), ()).leaks([4, 2])
            ((2, 5),)
        """
        sides = [side for side, size in enumerate(sizes) for _ in range(size)]
        return tuple(group for group in self.groups if len({sides[index] for index in group}) > 1)


def find_duplicates(images: Tensor, *, near: bool = True) -> Duplicates:
    """Return the equal pictures, and if wanted the near copies, among uint8 pictures (N, 1 or 3, H, W).

    Example:
        >>> images = torch.randint(256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0))
        >>> images[2], images[3] = images[0], images[1].flip(-1)
        >>> find_duplicates(images.to(torch.uint8))
        Duplicates(exact=((0, 2),), near=((1, 3),))
    """
    exact = _equal(images)
    again = {index for group in exact for index in group[1:]}
    first = torch.tensor([index for index in range(len(images)) if index not in again], dtype=torch.int64)
    pairs = first[_near_pairs(images[first])].tolist() if near else []
    joined = _joined([*pairs, *((group[0], index) for group in exact for index in group[1:])])
    return Duplicates(exact, tuple(group for group in joined if group not in set(exact)))


def _equal(images: Tensor) -> tuple[Group, ...]:
    groups: dict[bytes, list[int]] = {}
    for index, picture in enumerate(images.contiguous().numpy()):
        groups.setdefault(blake2b(picture.data, digest_size=16).digest(), []).append(index)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _near_pairs(images: Tensor) -> Tensor:
    """Return the pairs (P, 2) of near copies among different pictures."""
    if len(images) < 2 or min(images.shape[2:]) < _LEAST_SIDE:
        return torch.empty(0, 2, dtype=torch.int64)
    seen = thumbnails(images)
    kept = (seen.contrast >= _LEAST_CONTRAST).nonzero().flatten()
    if len(kept) < 2:
        return kept.new_empty(0, 2)
    seen = seen.of(kept)
    sample = torch.linspace(0, len(kept) - 1, min(_SAMPLE, len(kept))).long()
    check = _Check(seen, sample)
    found = [
        check.copies(other, torch.cat(list(candidates(seen.steps, other.steps, sample))))
        for other in (seen, seen.turned())
    ]
    return kept[torch.cat(found)]


class _Check:
    """Tells copies from pictures that are merely alike."""

    def __init__(self, seen: Thumbnails, sample: Tensor) -> None:
        self.seen = seen
        others = seen.whole[sample]
        parts = torch.split(seen.whole, _ROWS)
        count = len(seen.whole)
        reach = torch.cat([_reach(part, others, count, _BY_CHANCE / count) for part in parts])
        self.allowed = reach.clamp(_LEAST, _MOST)
        # The directions in which these pictures differ most: along them alone, none is farther than it is.
        self.telling = torch.linalg.eigh(others.T @ others).eigenvectors[:, -_TELLING:]

    def copies(self, other: Thumbnails, pairs: Tensor) -> Tensor:
        """Return those of the pairs (P, 2) that are copies, the second of each as `other` shows it."""
        details, others = (self.seen.whole, self.seen.cut), (other.whole, other.cut)
        broad, broad_others = ([one @ self.telling for one in views] for views in (details, others))
        for first, second in ((broad, broad_others), (details, others)):
            pairs = torch.cat(
                [
                    part[_distances(first, second, part) <= self.allowed[part].amin(1)]
                    for part in torch.split(pairs, _PAIRS)
                ]
            )
        i, j = pairs.T
        colour = (self.seen.colours[i] - other.colours[j]).abs().mean((1, 2, 3))
        return pairs[colour <= _COLOUR]


def _reach(details: Tensor, others: Tensor, count: int, expected: float) -> Tensor:
    """Return the distance (N,), 1 - correlation, within which `expected` of `count` different pictures lie.

    It is read off a sample of them, the `others`: the number of pictures within a distance D grows as D^g,
    where g follows from the k-th and the 5k-th nearest of the sample.
    """
    k = min(_RANK, len(others) // _FACTOR - 1)
    if k < 1:  # too few to tell
        return details.new_ones(len(details))
    ranked = (1 - (details @ others.T).topk(_FACTOR * k + 1).values).clamp(min=1e-5)
    near, far = ranked[:, k], ranked[:, _FACTOR * k]
    part = expected / count * len(others) / k
    whole: Tensor = part ** ((far / near).log() / math.log(_FACTOR))
    return near * whole


def _distances(first: Sequence[Tensor], second: Sequence[Tensor], pairs: Tensor) -> Tensor:
    """Return 1 - correlation (P,) of the details of pairs, both whole or one of them cut."""
    i, j = pairs.T
    (whole, cut), (other, other_cut) = (view[i] for view in first), (view[j] for view in second)
    trials = ((whole, other), (cut, other), (whole, other_cut))
    return torch.stack([(a - b).square().sum(1) for a, b in trials]).amin(0) / 2


def _joined(pairs: Iterable[Sequence[int]]) -> tuple[Group, ...]:
    """Return the groups that pairs make together, each ascending."""
    group_of: dict[int, list[int]] = {}
    for i, j in pairs:
        one, two = group_of.setdefault(i, [i]), group_of.setdefault(j, [j])
        if one is not two:
            one += two
            group_of |= dict.fromkeys(two, one)
    groups = {id(group): group for group in group_of.values()}
    return tuple(sorted(tuple(sorted(group)) for group in groups.values()))
