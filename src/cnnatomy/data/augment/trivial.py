"""TrivialAugment: one operation at one strength for each picture.

Source: Müller and Hutter, TrivialAugment: tuning-free yet state-of-the-art data augmentation, ICCV 2021, with
the operations and the wide strengths of its table 1; shifts reach 10/32 of a side.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnatomy.data.augment.colour import blended, each
from cnnatomy.data.augment.draws import Draws
from cnnatomy.data.augment.geometry import Background, sampled

Floats = NDArray[np.float64]

LEVELS = 31
SHIFT, SHEAR, DEGREES, ENHANCE = 10 / 32, 0.99, 135.0, 0.99
MOVES = ("shear x", "shear y", "shift x", "shift y", "rotate")
COLOURS = ("brightness", "contrast", "saturation")
OPERATIONS = ("identity", *MOVES, *COLOURS, "sharpness", "posterize", "solarize", "autocontrast", "equalize")


def trivial(images: Tensor, draws: Draws, background: Background) -> Tensor:
    """Return images (B, C, H, W), 0..255, each changed by one of `OPERATIONS`, all equally likely."""
    chance, level, sign = draws.uniform("trivial", "trivial strength", "trivial sign").T
    chosen = np.array(OPERATIONS)[(chance * len(OPERATIONS)).astype(np.int64)]
    strength = np.floor(level * LEVELS) / (LEVELS - 1)
    signed = np.where(sign < 0.5, -strength, strength)
    out = images.clone()

    def change(names: tuple[str, ...], operation: Callable[[Tensor, NDArray[np.int64]], Tensor]) -> None:
        (places,) = np.nonzero(np.isin(chosen, names))
        if len(places):
            at = torch.from_numpy(places).to(images.device)
            out.index_copy_(0, at, operation(images[at], places))

    change(
        MOVES,
        lambda some, at: sampled(some, _map(chosen[at], signed[at], *some.shape[2:]), None, background),
    )
    change(COLOURS, lambda some, at: blended(some, *_factors(chosen[at], signed[at])))
    change(("sharpness",), lambda some, at: sharpened(some, 1 + ENHANCE * signed[at]))
    change(("posterize",), lambda some, at: posterized(some, 8 - np.round(6 * strength[at])))
    change(("solarize",), lambda some, at: solarized(some, 255 * (1 - strength[at])))
    change(("autocontrast",), lambda some, at: stretched(some))
    change(("equalize",), lambda some, at: equalized(some))
    return out


def _map(chosen: NDArray[np.str_], signed: Floats, height: int, width: int) -> Floats:
    """Return (B, 2, 3): from an output cell to the input cell it shows, as (x, y) from the centre."""
    inverse = np.tile(np.eye(2, 3), (len(chosen), 1, 1))
    for name, row, column, amount in (
        ("shear x", 0, 1, SHEAR),
        ("shear y", 1, 0, SHEAR),
        ("shift x", 0, 2, SHIFT * width),
        ("shift y", 1, 2, SHIFT * height),
    ):
        inverse[:, row, column] += np.where(chosen == name, amount * signed, 0.0)
    angle = np.radians(np.where(chosen == "rotate", DEGREES * signed, 0.0)).tolist()
    cos, sin = (np.array([f(a) for a in angle]) for f in (math.cos, math.sin))
    inverse[:, 0, 0] = inverse[:, 1, 1] = cos
    inverse[:, 0, 1] -= sin
    inverse[:, 1, 0] += sin
    return inverse


def _factors(chosen: NDArray[np.str_], signed: Floats) -> list[Floats]:
    return [np.where(chosen == name, 1 + ENHANCE * signed, 1.0) for name in COLOURS]


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
