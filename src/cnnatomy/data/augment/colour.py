"""Brightness, contrast, saturation and hue, in 0..255."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnatomy.data.augment.draws import Draws

Floats = NDArray[np.float64]
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


@dataclass(frozen=True)
class Colour:
    """How far colours may be changed; each factor is drawn evenly between 1 minus and 1 plus its bound.

    Brightness, contrast, saturation, then hue; the latter two only where channels are red, green and blue.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey: float = 0.0

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """Return images (B, C, H, W) with varied colours, cut off at 0 and 255."""
        coloured = images.shape[1] == 3
        uniform = draws.uniform("brightness", "contrast", "saturation", "grey")
        bounds = (self.brightness, self.contrast, self.saturation)
        factors = [1 + s * (2 * u - 1) if s else None for s, u in zip(bounds, uniform.T, strict=False)]
        if self.grey:
            kept = uniform[:, 3] >= self.grey
            factors[2] = kept * (1.0 if factors[2] is None else factors[2])
        if any(factor is not None for factor in factors):
            images = blended(images, *factors)
        if self.hue and coloured:
            images = turned(images, self.hue * draws.signed("hue"))
        return images


def blended(
    images: Tensor,
    brightness: Floats | None = None,
    contrast: Floats | None = None,
    saturation: Floats | None = None,
) -> Tensor:
    """Vary brightness, contrast and saturation by a factor for each picture, and cut off at 0 and 255.

    With b, c and s the factors, g the grey of a cell and m the mean of g over the picture: b x, then
    c x + (1 - c) m, then s x + (1 - s) g are together s c b x + (1 - s) c b g + (1 - c) b m.
    """
    if images.shape[1] != 3:
        saturation = None
    one = np.ones(len(images))
    b, c, s = (one if factor is None else factor for factor in (brightness, contrast, saturation))
    varied = images * each(s * c * b, images)
    if contrast is not None or saturation is not None:
        grey = _grey(images)
        middle = each((1 - c) * b, images) * mean(grey)
        varied += middle if saturation is None else grey.mul_(each((1 - s) * c * b, images)).add_(middle)
    return varied.clamp_(0, 255)


def turned(images: Tensor, turns: Floats) -> Tensor:
    """Add turns to the hue of (hue, saturation, value); `images` are red, green and blue."""
    red, green, blue = images.unbind(1)
    high = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = high - low
    divisor = torch.where(chroma > 0, chroma, 1)
    sixth = torch.where(
        high == red,
        (green - blue) / divisor,
        torch.where(high == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    sixth += each(6 * turns, images)[:, 0]
    sixth -= (sixth / 6).floor_() * 6
    out = torch.empty_like(images)
    for channel, (part, offset) in enumerate(
        (((sixth - 3).abs_(), -1), ((sixth - 2).abs_().neg_(), 2), ((sixth - 4).abs_().neg_(), 2))
    ):
        torch.add(part.add_(offset).clamp_(0, 1).mul_(chroma), low, out=out[:, channel])
    return out


def each(values: Floats, images: Tensor) -> Tensor:
    """Return a number for each picture, to reckon with it: (B, 1, 1, 1)."""
    return torch.from_numpy(values).to(images).reshape(-1, 1, 1, 1)


def _grey(images: Tensor) -> Tensor:
    """Return the grey of each cell, a tensor of its own: (B, 1, H, W)."""
    count = images.shape[1]
    weights = _LUMA if count == 3 else (1 / count,) * count
    grey = images[:, :1] * weights[0]
    for channel, weight in enumerate(weights[1:], start=1):
        grey += images[:, channel : channel + 1] * weight
    return grey


def mean(values: Tensor) -> Tensor:
    """Return the mean of each channel of each picture: (B, C, 1, 1).

    Halves are added to each other, since a sum's order may depend on the size of the batch.
    """
    rest = values.flatten(2)
    count = rest.shape[2]
    while rest.shape[2] > 1:
        half = rest.shape[2] // 2
        folded = rest[..., :half] + rest[..., half : 2 * half]
        if rest.shape[2] % 2:
            folded[..., :1] += rest[..., -1:]
        rest = folded
    return (rest / count)[..., None]
