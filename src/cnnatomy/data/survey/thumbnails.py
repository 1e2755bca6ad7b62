"""Small pictures by which copies are told: their detail as a vector, their colours, and comparisons of cells.

The detail of a picture is its brightness at 16x16, less what is left of it at 4x4, as a vector of length 1:
free of brightness, of contrast, and of the broad light and shade in which pictures of one subject agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_SIDE, _BROAD, _COLOURS, _CELLS = 16, 4, 4, 8
_CHUNK = 1024
_CUT = 0.03
"""The part of a side by which a slight crop is tried on each side."""
_FLAT = 0.05
"""Neighbouring cells that differ by less than this part of a picture's contrast count as equal."""


@dataclass(frozen=True)
class Thumbnails:
    """What is compared of N pictures.

    `whole` and `cut` (N, 256) are the detail of each picture and of its middle; `contrast` (N,) is how much
    detail there is, in steps of 256; `colours` (N, 2, 4, 4) are its colours free of brightness; `steps`
    (N, 4, 8, 8) says which cells are brighter or darker than the next to the right, and than the next below.
    """

    whole: Tensor
    cut: Tensor
    contrast: Tensor
    colours: Tensor
    steps: Tensor

    def of(self, indices: Tensor) -> Thumbnails:
        """Return those of some of the pictures."""
        return Thumbnails(*(column[indices] for column in vars(self).values()))

    def turned(self) -> Thumbnails:
        """Return those of the mirror images, left and right exchanged."""
        whole, cut = (detail.view(-1, _SIDE, _SIDE).flip(2).flatten(1) for detail in (self.whole, self.cut))
        return Thumbnails(
            whole, cut, self.contrast, self.colours.flip(3), self.steps[:, [1, 0, 2, 3]].flip(3)
        )


def thumbnails(images: Tensor) -> Thumbnails:
    """Return the thumbnails of uint8 pictures (N, 1 or 3, H, W)."""
    parts = [_thumbnails(part.float()) for part in torch.split(images, _CHUNK)]
    return Thumbnails(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _thumbnails(pixels: Tensor) -> tuple[Tensor, ...]:
    weights = pixels.new_tensor([0.299, 0.587, 0.114] if pixels.shape[1] == 3 else [1.0])  # ITU-R 601
    grey = torch.einsum("nchw,c->nhw", pixels, weights)[:, None]
    height, width = grey.shape[2:]
    y, x = round(_CUT * height), round(_CUT * width)
    detail = _detail(grey)
    return (
        _unit(detail),
        _unit(_detail(grey[:, :, y : height - y, x : width - x])),
        detail.flatten(1).std(1),
        F.adaptive_avg_pool2d(pixels[:, [0, -1]] - grey, _COLOURS),
        _steps(grey),
    )


def _detail(grey: Tensor) -> Tensor:
    small = _shrunk(grey, (_SIDE, _SIDE))
    broad = F.adaptive_avg_pool2d(small, _BROAD)
    return small - F.interpolate(broad, size=(_SIDE, _SIDE), mode="bicubic")


def _unit(detail: Tensor) -> Tensor:
    return F.normalize(detail.flatten(1), dim=1, eps=1e-6)


def _steps(grey: Tensor) -> Tensor:
    found = []
    for axis, size in ((3, (_CELLS, _CELLS + 1)), (2, (_CELLS + 1, _CELLS))):
        cells = _shrunk(grey, size)
        least = _FLAT * cells.std((1, 2, 3))[:, None, None]
        step = cells.diff(dim=axis)[:, 0]
        found += [step > least, step < -least]
    return torch.stack(found, 1)


def _shrunk(grey: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(grey, size=size, mode="bilinear", antialias=True)
