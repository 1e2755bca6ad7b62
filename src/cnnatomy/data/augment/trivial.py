"""TrivialAugment: one operation at one strength for each picture.

Source: Müller and Hutter, TrivialAugment: tuning-free yet state-of-the-art data augmentation, ICCV 2021, with
the operations and the wide strengths of its table 1; shifts reach 10/32 of a side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnatomy.data.augment.affine import Background, sampled, turned
from cnnatomy.data.augment.colour import blend, each
from cnnatomy.data.augment.draws import Draws

Floats = NDArray[np.float64]

LEVELS = 31
SHIFT, SHEAR, DEGREES, ENHANCE = 10 / 32, 0.99, 135.0, 0.99
OPERATIONS = (
    *("identity", "shear x", "shear y", "shift x", "shift y", "rotate"),
    *("brightness", "contrast", "saturation", "sharpness"),
    *("posterize", "solarize", "autocontrast", "equalize"),
)


@dataclass(frozen=True)
class Chosen:
    """What was drawn for each picture: its operation, by number, and a strength up to 1, also with a sign."""

    operation: NDArray[np.int64]
    strength: Floats
    signed: Floats

    @classmethod
    def of(cls, draws: Draws) -> Chosen:
        """Draw all operations, strengths and signs evenly."""
        chance, level, sign = draws.uniform("trivial", "trivial strength", "trivial sign").T
        strength = np.floor(level * LEVELS) / (LEVELS - 1)
        operation = (chance * len(OPERATIONS)).astype(np.int64)
        return cls(operation, strength, np.where(sign < 0.5, -strength, strength))

    def take(self, places: NDArray[np.int64]) -> Chosen:
        """Return what was drawn for some of the pictures."""
        return Chosen(self.operation[places], self.strength[places], self.signed[places])

    def where(self, name: str, amount: float) -> Floats:
        """Return the amount times the signed strength where the operation has this name, 0 elsewhere."""
        return np.where(self.operation == OPERATIONS.index(name), amount * self.signed, 0.0)


def vary_trivially(images: Tensor, draws: Draws, background: Background) -> None:
    """Change each of the images (B, C, H, W), 0..255, in place, by an operation; all are equally likely."""
    chosen = Chosen.of(draws)

    def change(names: tuple[str, ...], operation: Callable[[Tensor, Chosen], Tensor]) -> None:
        first = OPERATIONS.index(names[0])
        (places,) = np.nonzero((chosen.operation >= first) & (chosen.operation < first + len(names)))
        if len(places):
            at = torch.from_numpy(places).to(images.device)
            images.index_copy_(0, at, operation(images.index_select(0, at), chosen.take(places)))

    change(OPERATIONS[1:6], lambda some, how: sampled(some, _map(how, *some.shape[2:]), None, background))
    change(OPERATIONS[6:9], _enhanced)
    change(("sharpness",), lambda some, how: sharpened(some, 1 + ENHANCE * how.signed))
    change(("posterize",), lambda some, how: posterized(some, 8 - np.round(6 * how.strength)))
    change(("solarize",), lambda some, how: solarized(some, 255 * (1 - how.strength)))
    change(("autocontrast",), lambda some, _: stretched(some))
    change(("equalize",), lambda some, _: equalized(some))


def _map(chosen: Chosen, height: int, width: int) -> Floats:
    """Return (B, 2, 3): from an output cell to the input cell it shows, as (x, y) from the centre."""
    cos, sin = turned(chosen.where("rotate", DEGREES))
    shift_x, shift_y = chosen.where("shift x", SHIFT * width), chosen.where("shift y", SHIFT * height)
    shear_x, shear_y = chosen.where("shear x", SHEAR), chosen.where("shear y", SHEAR)
    rows = (cos, shear_x - sin, shift_x, shear_y + sin, cos, shift_y)
    return np.stack(rows, axis=1).reshape(-1, 2, 3)


def _enhanced(images: Tensor, chosen: Chosen) -> Tensor:
    names = ("brightness", "contrast", "saturation")
    blend(images, *(1 + chosen.where(name, ENHANCE) for name in names))
    return images


def sharpened(images: Tensor, factor: Floats) -> Tensor:
    """Move away from the picture smoothed by [1 1 1; 1 5 1; 1 1 1] / 13, whose outermost cells stay."""
    height, width = images.shape[2:]
    smooth = images.clone()
    if height > 2 and width > 2:
        inner = images[..., 1:-1, 1:-1] * 4
        for y in range(3):
            for x in range(3):
                inner += images[..., y : y + height - 2, x : x + width - 2]
        smooth[..., 1:-1, 1:-1] = inner / 13
    away = each(factor, images)
    return (images * away + smooth * (1 - away)).clamp_(0, 255)


def posterized(images: Tensor, bits: Floats) -> Tensor:
    """Keep so many bits of each whole value."""
    step = each(np.exp2(8 - bits), images)
    return (images / step).floor_().mul_(step)


def solarized(images: Tensor, threshold: Floats) -> Tensor:
    """Turn values of at least the threshold into their negative."""
    return torch.where(images < each(threshold, images), images, 255 - images)


def stretched(images: Tensor) -> Tensor:
    """Let each channel reach from 0 to 255."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    span = high - low
    return torch.where(span > 0, (images - low) * (255 / torch.where(span > 0, span, 1)), images)


def equalized(images: Tensor) -> Tensor:
    """Make the values of each channel equally common, as Pillow's `ImageOps.equalize` does."""
    values = images.flatten(2).round().clamp_(0, 255).long()
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    last = values.amax(2, keepdim=True)
    step = (values.shape[2] - counts.gather(2, last)) // 255
    below = counts.cumsum(2) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device))
    return table.gather(2, values).reshape(images.shape).to(images.dtype)
