"""Rectangles that are overwritten: random erasing and cutout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnatomy.data.augment.affine import box
from cnnatomy.data.augment.colour import mean
from cnnatomy.data.augment.draws import Draws

_SMALLEST, _RATIO = 0.02, 10 / 3  # Zhong et al., table 1: the ratio of the sides is 0.3 to 1 / 0.3

Cells = NDArray[np.int64]


@dataclass(frozen=True)
class Erase:
    """Overwrite a rectangle that lies within the picture, with probability `p`.

    Source: Zhong et al., Random erasing data augmentation, arXiv:1708.04896, 2017.
    """

    p: float
    area: float
    fill: str

    def __call__(self, images: Tensor, draws: Draws) -> None:
        """Overwrite a rectangle of some of the images (B, C, H, W)."""
        (chosen,) = np.nonzero(draws.uniform("erase")[:, 0] < self.p)
        if not len(chosen):
            return
        some = draws.take(chosen)
        places = some.uniform("erase down", "erase right").T
        sides = box(some, "erase", (_SMALLEST, self.area), _RATIO)
        edges = []
        for length, side, place in zip(images.shape[2:], sides, places, strict=True):
            cells = np.maximum(np.rint(side * length), 1).astype(np.int64)
            start = (place * (length - cells + 1)).astype(np.int64)
            edges.append((start, start + cells))
        at = torch.from_numpy(chosen).to(images.device)
        erased = images.index_select(0, at)
        _overwrite(erased, edges, self.fill, some, "erase noise")
        images.index_copy_(0, at, erased)


@dataclass(frozen=True)
class Cutout:
    """Overwrite a rectangle about a random cell, cut off where it leaves the picture.

    Source: DeVries and Taylor, Improved regularization of convolutional neural networks with cutout,
    arXiv:1708.04552, 2017.
    """

    part: float
    fill: str

    def __call__(self, images: Tensor, draws: Draws) -> None:
        """Overwrite a rectangle of each of the images (B, C, H, W)."""
        places = draws.uniform("cutout down", "cutout right").T
        edges = []
        for length, place in zip(images.shape[2:], places, strict=True):
            cells = round(self.part * length)
            start = (place * length).astype(np.int64) - cells // 2
            edges.append((start, start + cells))
        _overwrite(images, edges, self.fill, draws, "cutout noise")


def _overwrite(images: Tensor, edges: list[tuple[Cells, Cells]], fill: str, draws: Draws, noise: str) -> None:
    """Fill, in each picture, the cells from the first to before the second edge of both axes."""
    rows, columns = (
        _between(*pair, length, images) for pair, length in zip(edges, images.shape[2:], strict=True)
    )
    inside = rows[:, None, :, None] * columns[:, None, None, :]
    # With 0 and 1 as factors: choosing by a condition takes ten times as long on a CPU.
    filling = _filling(images, fill, draws, noise)
    images.mul_(1 - inside).addcmul_(filling, inside)


def _between(start: Cells, end: Cells, length: int, like: Tensor) -> Tensor:
    cells = np.arange(length)
    return torch.from_numpy((cells >= start[:, None]) & (cells < end[:, None])).to(like)


def _filling(images: Tensor, fill: str, draws: Draws, noise: str) -> Tensor:
    if fill == "noise":
        return draws.noise(noise, images[0].numel(), images).reshape(images.shape)
    return images.new_zeros(()) if fill == "zero" else mean(images)
