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
_UNITS = 4096  # in which values are counted when they are summed


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

    def __call__(self, images: Tensor, draws: Draws) -> None:
        """Vary colours of images (B, C, H, W) in place, and cut off at 0 and 255."""
        coloured = images.shape[1] == 3
        uniform = draws.uniform("brightness", "contrast", "saturation", "grey")
        bounds = (self.brightness, self.contrast, self.saturation)
        factors = [1 + s * (2 * u - 1) if s else None for s, u in zip(bounds, uniform.T, strict=False)]
        if self.grey:
            kept = uniform[:, 3] >= self.grey
            factors[2] = kept * (1.0 if factors[2] is None else factors[2])
        if any(factor is not None for factor in factors):
            blend(images, *factors)
        if self.hue and coloured:
            turn(images, self.hue * draws.signed("hue"))


def blend(
    images: Tensor,
    brightness: Floats | None = None,
    contrast: Floats | None = None,
    saturation: Floats | None = None,
) -> None:
    """Vary brightness, contrast and saturation in place, by a factor for each picture; cut off at 0 and 255.

    With b, c and s the factors, g the grey of a cell and m the mean of g over the picture: b x, then
    c x + (1 - c) m, then s x + (1 - s) g are together s c b x + (1 - s) c b g + (1 - c) b m.
    """
    if images.shape[1] != 3:
        saturation = None
    one = np.ones(len(images))
    b, c, s = (one if factor is None else factor for factor in (brightness, contrast, saturation))
    rest = None
    if contrast is not None or saturation is not None:
        grey = _grey(images)
        middle = each((1 - c) * b, images) * mean(grey)
        rest = middle if saturation is None else grey.mul_(each((1 - s) * c * b, images)).add_(middle)
    images *= each(s * c * b, images)
    if rest is not None:
        images += rest
    images.clamp_(0, 255)


def turn(images: Tensor, turns: Floats) -> None:
    """Add turns to the hue of (hue, saturation, value), in place; `images` are red, green and blue."""
    red, green, blue = images.unbind(1)
    high = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = high - low
    # With 0 and 1 as factors: choosing by a condition takes ten times as long on a CPU.
    not_red, not_green = (high - red).sign_(), (high - green).sign_()
    from_green = (blue - red).add_(chroma * 2)
    from_blue = (red - green).add_(chroma * 4)
    sixth = green - blue
    sixth += from_blue.sub_(from_green).mul_(not_green).add_(from_green).sub_(sixth).mul_(not_red)
    sixth /= chroma.clamp(min=torch.finfo(chroma.dtype).tiny)
    sixth += each(6 * turns, images)[:, 0]
    sixth -= (sixth / 6).floor_() * 6
    for channel, (part, offset) in enumerate(
        (((sixth - 3).abs_(), -1), ((sixth - 2).abs_().neg_(), 2), ((sixth - 4).abs_().neg_(), 2))
    ):
        torch.add(part.add_(offset).clamp_(0, 1).mul_(chroma), low, out=images[:, channel])


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

    Whole numbers are summed: the order of sums, which may depend on the size of the batch, changes no bit.
    """
    sums = (values * _UNITS).to(torch.int32).sum((2, 3), keepdim=True)
    return sums.to(values.dtype) / (_UNITS * values[0, 0].numel())
