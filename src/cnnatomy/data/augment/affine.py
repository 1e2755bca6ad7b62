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
        uniform = draws.uniform("rotate", "shear", "scale", "shift down", "shift right")
        signed = 2 * uniform - 1
        cos, sin = turned(self.rotate * signed[:, 0]) if self.rotate else (1.0, 0.0)
        shear, scale = self.shear * signed[:, 1], 1 + self.scale * signed[:, 2]
        dy, dx = self.shift * height * signed[:, 3], self.shift * width * signed[:, 4]
        if self.whole:
            dy, dx = np.round(dy), np.round(dx)
        mirrored = draws.alternating("flip", "vflip") < [self.flip, self.vflip]
        mirror, upside = np.where(mirrored, -1.0, 1.0).T
        # Forward: shear [[1, s], [0, 1]], scale, rotation, mirrors, shift; here the inverse, row by row.
        a, b = cos * mirror / scale, -sin * upside / scale
        c, d = sin * mirror / scale, cos * upside / scale
        a, b = a - shear * c, b - shear * d
        rows = (a, b, -(a * dx + b * dy), c, d, -(c * dx + d * dy))
        inverse = np.stack(rows, axis=1).reshape(-1, 2, 3)
        return _cropped(inverse, draws, *self.crop, height, width) if self.crop else inverse


def turned(degrees: Floats) -> tuple[Floats, Floats]:
    """Return cosines and sines, one by one: vectorised, their last bits may depend on how many there are."""
    angles = np.radians(degrees).tolist()
    return np.array([math.cos(a) for a in angles]), np.array([math.sin(a) for a in angles])


def box(draws: Draws, name: str, area: tuple[float, float], ratio: float) -> tuple[Floats, Floats]:
    """Return the height and the width, as parts of the picture's, of a random rectangle that fits into it.

    Its area is drawn evenly; the logarithm of the ratio of its sides too, as far as it fits.
    """
    first, second = draws.uniform(f"{name} area", f"{name} ratio").T
    share = area[0] + (area[1] - area[0]) * first
    limit = np.minimum(ratio, 1 / share).tolist()
    stretch = np.array([a**b for a, b in zip(limit, (second - 0.5).tolist(), strict=True)])  # as in `turned`
    side = np.sqrt(share)
    return np.minimum(side * stretch, 1.0), np.minimum(side / stretch, 1.0)


def _cropped(inverse: Floats, draws: Draws, area: float, ratio: float, height: int, width: int) -> Floats:
    """Let a map look at a random part of the picture only."""
    tall, wide = box(draws, "crop", (area, 1.0), ratio)
    places = draws.uniform("crop right", "crop down").T - 0.5
    parts = np.stack([wide, tall], axis=1)
    inverse = inverse * parts[:, :, None]
    # From centre to centre of cells: beyond the outermost the background would be blended in.
    inverse[:, :, 2] += places.T * (1 - parts) * [width - 1, height - 1]
    return inverse


def copied(images: Tensor, inverse: Floats, background: Background) -> Tensor:
    """Copy cells: the maps only mirror and shift by whole cells, by a side at most."""
    height, width = images.shape[2:]
    lines = ((inverse[:, 1, 1:], height), (inverse[:, 0, ::2], width))
    sources = [(_sources(line, length), length) for line, length in lines]
    row, column = (torch.from_numpy(_mirrored(*source)).to(images.device) for source in sources)
    index = (row[:, :, None] * width + column[:, None, :]).flatten(1)[:, None]
    out = torch.empty_like(images)
    torch.gather(images.flatten(2), 2, index.expand(-1, images.shape[1], -1), out=out.flatten(2))
    if background is None:
        return out
    above, beside = (torch.from_numpy(_within(*source)).to(images) for source in sources)
    inside = above[:, None, :, None] * beside[:, None, None, :]
    # With 0 and 1 as factors: choosing by a condition takes ten times as long on a CPU.
    out *= inside
    return out.add_(background * (1 - inside)) if background.any() else out


def _sources(line: Floats, length: int) -> NDArray[np.int64]:
    """Return from which cell each cell of a side comes: from -length to 2 length - 1."""
    centre = (length - 1) / 2
    cells = line[:, :1] * (np.arange(length) - centre) + (line[:, 1:] + centre)
    return np.rint(cells).astype(np.int64)


def _mirrored(cells: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    last = length - 1
    mirrored: NDArray[np.int64] = np.abs(last - np.abs(last - np.abs(cells)))
    return np.minimum(mirrored, last)


def _within(cells: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    return (cells >= 0) & (cells < length)


def sampled(images: Tensor, inverse: Floats, bend: Tensor | None, background: Background) -> Tensor:
    """Sample between cells, bilinearly; `bend` (B, 2, H, W) is added to the places, in cells, x before y."""
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
    grid = inverse.new_empty(len(inverse), 2, height, width)
    units = [2 / max(length - reflect, 1) for length in (width, height)]
    for axis, unit in enumerate(units):
        along_x, along_y, offset = (inverse * unit)[:, axis, :, None, None].unbind(1)
        torch.add(along_x * x, along_y * y + offset, out=grid[:, axis])
    if bend is not None:
        grid += bend * grid.new_tensor(units).reshape(2, 1, 1)
    return grid.permute(0, 2, 3, 1)
