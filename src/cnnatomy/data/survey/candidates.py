"""Which pairs of pictures are worth a comparison: those that agree in nearly all of 64 bits.

Each bit says which of two neighbouring cells is brighter (a difference hash), and the 64 comparisons are
those of 256 that divide the set most evenly. Pairs are looked up by 8 groups of 8 bits: two pictures that
differ in at most 7 bits agree in one whole group at least, and nearly all that differ in a few more do.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BITS = 64
_GROUPS = 8
_MOST = 11
"""A candidate differs in at most so many of the 64 bits."""
_PER_PICTURE = 64
"""So many candidates a picture are allowed at most; where more are expected, fewer bits may differ."""
_FEW = 4096
"""Among so many pictures, all pairs are looked at: that is as quick."""
_BLOCK = 1 << 22


def candidates(steps: Tensor, other: Tensor, sample: Tensor) -> Iterator[Tensor]:
    """Give pairs (P, 2) of pictures of which the first agrees with the `other` version of the second.

    `steps` and `other` (N, 4, 8, 8) are the comparisons of pictures and of, say, their mirror images; the
    indices `sample` stand for all. A pair is ascending, and given once.
    """
    evenly = (steps.flatten(1).float().mean(0) - 0.5).abs().argsort()[:BITS]
    signs, others = (2 * found.flatten(1)[:, evenly].float() - 1 for found in (steps, other))
    least = BITS - 2 * _most_differing(signs[sample], len(signs))

    def agreeing(rows: Tensor, columns: Tensor) -> Iterator[Tensor]:
        for part in torch.split(rows, max(1, _BLOCK // max(1, len(columns)))):
            found = (signs[part] @ others[columns].T >= least).nonzero()
            pairs = torch.stack([part[found[:, 0]], columns[found[:, 1]]], 1)
            yield pairs[pairs[:, 0] < pairs[:, 1]]

    if len(signs) <= _FEW:
        everyone = torch.arange(len(signs))
        yield from agreeing(everyone, everyone)
        return
    codes, other_codes = _codes(signs), _codes(others)
    for group in range(_GROUPS):
        for rows, columns in zip(_buckets(codes[:, group]), _buckets(other_codes[:, group]), strict=True):
            for pairs in agreeing(rows, columns):
                seen = codes[pairs[:, 0], :group] == other_codes[pairs[:, 1], :group]
                yield pairs[~seen.any(1)]


def _most_differing(signs: Tensor, count: int) -> int:
    """Return in how many bits candidates among `count` pictures may differ, judged from a sample of them."""
    products = (signs @ signs.T)[~torch.eye(len(signs), dtype=torch.bool)]
    differing = torch.bincount(((BITS - products) / 2).long(), minlength=BITS + 1)[: _MOST + 1]
    expected = differing.cumsum(0) / len(products) * count / 2
    return int((expected <= _PER_PICTURE).sum()) - 1


def _codes(signs: Tensor) -> Tensor:
    """Return each group of bits as a number (N, 8); the groups take turns, so that each has good bits."""
    bits = (signs > 0).view(len(signs), BITS // _GROUPS, _GROUPS).transpose(1, 2)
    return (bits * (1 << torch.arange(BITS // _GROUPS))).sum(2)


def _buckets(codes: Tensor) -> tuple[Tensor, ...]:
    counts = torch.bincount(codes, minlength=1 << (BITS // _GROUPS))
    return torch.split(codes.argsort(), counts.tolist())
