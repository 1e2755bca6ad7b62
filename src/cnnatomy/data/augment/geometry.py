"""Where the cells of a varied picture come from: one affine map and one bend, sampled once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cnnatomy.data.augment.draws import Draws

Floats = NDArray[np.float64]
Background = Tensor | None
"""What comes in from outside: a value, or one for each channel (C, 1, 1); None for the mirrored picture."""


@dataclass(frozen=True)
class Affine:
    """How far a picture may be moved; each amount is drawn evenly between minus and plus its bound.

    A part of it is cropped, then sheared, scaled, rotated (counter-clockwise, about the centre), mirrored and
    shifted.
    """

    rotate: float = 0.0
    shear: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    flip: float = 0.0
    vflip: float = 0.0
    crop: tuple[float, float] | None = None

    @property
    def whole(self) -> bool:
        """Whether cells are only copied: then shifts are by whole cells."""
        return not (self.rotate or self.shear or self.scale or self.crop)

    def inverse(self, draws: Draws, height: int, width: int) -> Floats:
        """Return (B, 2, 3): from an output cell to the input cell it shows, as (x, y) from the centre."""
        uniform = draws.uniform("rotate", "shear", "scale", "shift down", "shift right", "flip", "vflip")
        signed = 2 * uniform - 1
        angle = np.radians(self.rotate * signed[:, 0])
        # Cell by cell with math: a vectorised sine may differ in the last bit with the length of the batch.
        cos, sin = (np.array([f(a) for a in angle.tolist()]) for f in (math.cos, math.sin))
        shear, scale = self.shear * signed[:, 1], 1 + self.scale * signed[:, 2]
        dy, dx = self.shift * height * signed[:, 3], self.shift * width * signed[:, 4]
        if self.whole:
            dy, dx = np.round(dy), np.round(dx)
        mirror, upside = (
            np.where(uniform[:, lane] < p, -1.0, 1.0) for lane, p in ((5, self.flip), (6, self.vflip))
        )
        # Forward: shear [[1, s], [0, 1]], scale, rotation, mirrors, shift; here the inverse, row by row.
        a, b = cos * mirror / scale, -sin * upside / scale
        c, d = sin * mirror / scale, cos * upside / scale
        a, b = a - shear * c, b - shear * d
        rows = (a, b, -(a * dx + b * dy), c, d, -(c * dx + d * dy))
        inverse = np.stack(rows, axis=1).reshape(-1, 2, 3)
        return _cropped(inverse, draws, *self.crop, height, width) if self.crop else inverse


def box(draws: Draws, name: str, area: tuple[float, float], ratio: float) -> tuple[Floats, Floats]:
    """Return the height and the width, as parts of the picture's, of a random rectangle that fits into it.

    Its area is drawn evenly; the logarithm of the ratio of its sides too, as far as it fits.
    """
    first, second = draws.uniform(f"{name} area", f"{name} ratio").T
    share = area[0] + (area[1] - area[0]) * first
    # One by one with math, as the sines above.
    bound = np.array([min(math.log(ratio), -math.log(s)) for s in share.tolist()])
    stretch = np.array([math.exp(e / 2) for e in (bound * (2 * second - 1)).tolist()])
    side = np.sqrt(share)
    return np.minimum(side * stretch, 1.0), np.minimum(side / stretch, 1.0)


def _cropped(inverse: Floats, draws: Draws, area: float, ratio: float, height: int, width: int) -> Floats:
    """Let a map look at a random part of the picture only."""
    tall, wide = box(draws, "crop", (area, 1.0), ratio)
    places = draws.uniform("crop right", "crop down").T - 0.5
    parts = np.stack([wide, tall], axis=1)
    inverse = inverse * parts[:, :, None]
    inverse[:, :, 2] += places.T * (1 - parts) * [width, height]
    return inverse


def copied(images: Tensor, inverse: Floats, background: Background) -> Tensor:
    """Copy cells: the maps only mirror and shift by whole cells."""
    sides = zip((inverse[:, 1, 1:], inverse[:, 0, ::2]), images.shape[2:], strict=True)
    (rows, inside_y), (columns, inside_x) = (
        [torch.from_numpy(part).to(images.device) for part in _source(line, length, background is None)]
        for line, length in sides
    )
    index = (rows[:, :, None] * images.shape[3] + columns[:, None, :]).flatten(1)[:, None]
    out = torch.empty_like(images)
    torch.gather(images.flatten(2), 2, index.expand(-1, images.shape[1], -1), out=out.flatten(2))
    if background is None:
        return out
    inside = inside_y[:, None, :, None] & inside_x[:, None, None, :]
    return torch.where(inside, out, background)


def _source(line: Floats, length: int, reflect: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return from which cell each cell of a side comes, and whether it is one of the picture's own."""
    centre = (length - 1) / 2
    cells = np.rint(line[:, :1] * (np.arange(length) - centre) + line[:, 1:] + centre).astype(np.int64)
    inside = (cells >= 0) & (cells < length)
    if reflect:
        period = max(2 * (length - 1), 1)
        cells = length - 1 - np.abs(length - 1 - cells % period)
    return np.clip(cells, 0, length - 1), inside


def sampled(images: Tensor, inverse: Floats, bend: Tensor | None, background: Background) -> Tensor:
    """Sample between cells, bilinearly; `bend` (B, H, W, 2) is added to the places, in cells as (x, y)."""
    height, width = images.shape[2:]
    grid = _grid(torch.from_numpy(inverse).to(images), bend, height, width, background is None)
    if background is None:
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=True)
    shifted = images - background if background.any() else images  # grid_sample pads with zero
    moved = F.grid_sample(shifted, grid, padding_mode="zeros", align_corners=False)
    return moved if shifted is images else moved.add_(background)


def _grid(inverse: Tensor, bend: Tensor | None, height: int, width: int, reflect: bool) -> Tensor:
    """Return the sampling grid (B, H, W, 2) in the units of `grid_sample`.

    -1 and 1 are the outer edges, or the centres of the outer cells where edges reflect.
    `affine_grid` would go through a matrix product, whose rounding depends on the size of the batch.
    """
    y = torch.arange(height, dtype=inverse.dtype, device=inverse.device)[:, None] - (height - 1) / 2
    x = torch.arange(width, dtype=inverse.dtype, device=inverse.device) - (width - 1) / 2
    grid = inverse.new_empty(len(inverse), height, width, 2)
    for axis, length in enumerate((width, height)):
        unit = 2 / max(length - reflect, 1)
        along_x, along_y, offset = (inverse * unit)[:, axis, :, None, None].unbind(1)
        torch.add(along_x * x, along_y * y + offset, out=grid[..., axis])
        if bend is not None:
            grid[..., axis] += bend[..., axis] * unit
    return grid
