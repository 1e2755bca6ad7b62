"""Random variation of pictures while a network trains: rotation, shift, scale, shear and flip by the batch.

What a sample gets is a hash of (seed, epoch, index of the sample) and of nothing else: there is no state, so
batches may be cut differently, spread over processes or resumed, and every sample still gets the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cnnatomy.data.catalog import one_of
from cnnatomy.errors import ArgumentError

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1
_DTYPES = (torch.float32, torch.float64)  # fewer bits cannot tell where between two cells a sample lies


def splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64 well mixed bits for each 64-bit counter.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014, Fig. 16.

    Example:
        >>> hex(splitmix64(np.zeros(1, np.uint64))[0])
        '0xe220a8397b1dcdaf'
    """
    x = x + _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(seed: int, epoch: int, indices: NDArray[np.int64], lanes: int) -> NDArray[np.float64]:
    """Return (len(indices), lanes) numbers in [0, 1), each a hash of (seed, epoch, index, lane)."""
    run = splitmix64(np.array([seed & _MASK], np.uint64)) + np.array([epoch & _MASK], np.uint64)
    sample = splitmix64(run) + indices.astype(np.uint64)
    bits = splitmix64(splitmix64(sample)[:, None] + np.arange(lanes).astype(np.uint64))
    return np.ldexp((bits >> np.uint64(11)).astype(np.float64), -53)


@dataclass(frozen=True)
class Augment:
    """How far a picture may be moved; each amount is drawn evenly between minus and plus its bound.

    A picture is sheared, scaled, rotated (about its centre), flipped, then shifted; what comes in from
    outside has the value `fill`. Interpolation is bilinear; where only flips and whole shifts are asked for,
    every value is an exact copy.

    Example:
        >>> images, indices = torch.rand(4, 1, 32, 32), torch.arange(4)
        >>> varied = RECIPES["distortions"](images, indices, seed=0, epoch=3)
        >>> again = RECIPES["distortions"](images[2:], indices[2:], seed=0, epoch=3)
        >>> varied.shape == images.shape, torch.equal(varied[2:], again)
        (True, True)
    """

    rotate_deg: float = 0.0
    """Degrees, counter-clockwise."""
    shift: float = 0.0
    """Part of the height and of the width."""
    scale: float = 0.0
    """0.1 scales by 0.9 to 1.1."""
    shear: float = 0.0
    """The tangent of the angle by which upright lines lean."""
    flip: bool = False
    """Mirror left and right, half of the time."""
    whole_shift: bool = False
    """Shift by whole cells only."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ArgumentError(
                    f"{field.name} is a bound", expected="a finite number >= 0", got=str(value)
                )
        if self.scale >= 1:
            raise ArgumentError("scale would make pictures vanish", expected="below 1", got=str(self.scale))

    def __call__(
        self,
        images: Tensor,
        indices: Tensor,
        *,
        seed: int,
        epoch: int,
        fill: float | Sequence[float] | Tensor = 0.0,
    ) -> Tensor:
        """Return images (B, C, H, W), each varied by the draw of its index in the data set: `indices` (B,).

        `fill` is the value of the background: a number, or one for each channel. The layout in memory stays.
        """
        if self == Augment():
            return images
        if images.ndim != 4 or images.dtype not in _DTYPES or len(indices) != len(images):
            raise ArgumentError(
                "cannot vary these images",
                expected="float32 or float64 (B, C, H, W) and an index for each",
                got=f"{images.dtype} {tuple(images.shape)}, {len(indices)} indices",
            )
        height, width = images.shape[2:]
        grid = _grid(self._inverse(seed, epoch, indices, height, width).to(images), height, width)
        exact = not (self.rotate_deg or self.scale or self.shear) and (self.whole_shift or not self.shift)
        background = torch.as_tensor(fill, dtype=images.dtype, device=images.device).reshape(-1, 1, 1)
        shifted = images - background if background.any() else images  # grid_sample pads with zero
        moved = F.grid_sample(
            shifted, grid, "nearest" if exact else "bilinear", padding_mode="zeros", align_corners=False
        )
        if shifted is not images:
            moved += background
        return moved.contiguous(memory_format=_layout(images))

    def _inverse(self, seed: int, epoch: int, indices: Tensor, height: int, width: int) -> Tensor:
        """Return (B, 2, 3): from an output cell to the input cell it shows, as (x, y) from the centre."""
        draws = uniform(seed, epoch, indices.cpu().numpy(), 6)
        signed = 2 * draws - 1
        angle = np.radians(self.rotate_deg * signed[:, 0])
        # Cell by cell with math: a vectorised sine may differ in the last bit with the length of the batch.
        cos, sin = (np.array([f(a) for a in angle.tolist()]) for f in (math.cos, math.sin))
        shear, scale = self.shear * signed[:, 1], 1 + self.scale * signed[:, 2]
        dy, dx = self.shift * height * signed[:, 3], self.shift * width * signed[:, 4]
        if self.whole_shift:
            dy, dx = np.round(dy), np.round(dx)
        mirror = np.where(draws[:, 5] < 0.5, -1.0, 1.0) if self.flip else np.ones(len(draws))
        # Forward: shear [[1, s], [0, 1]], scale, rotation, mirror, shift; here the inverse, row by row.
        a, b = cos * mirror / scale, -sin / scale
        c, d = sin * mirror / scale, cos / scale
        a, b = a - shear * c, b - shear * d
        rows = (a, b, -(a * dx + b * dy), c, d, -(c * dx + d * dy))
        return torch.from_numpy(np.stack(rows, axis=1).reshape(-1, 2, 3))


def _layout(images: Tensor) -> torch.memory_format:
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def _grid(inverse: Tensor, height: int, width: int) -> Tensor:
    """Return the sampling grid (B, H, W, 2) in the units of `grid_sample`: -1 and 1 are the outer edges.

    `affine_grid` would go through a matrix product, whose rounding depends on the size of the batch.
    """
    y = torch.arange(height, dtype=inverse.dtype, device=inverse.device)[:, None] - (height - 1) / 2
    x = torch.arange(width, dtype=inverse.dtype, device=inverse.device) - (width - 1) / 2
    grid = inverse.new_empty(len(inverse), height, width, 2)
    for axis, length in enumerate((width, height)):
        along_x, along_y, offset = (inverse * (2 / length))[:, axis, :, None, None].unbind(1)
        torch.add(along_x * x, along_y * y + offset, out=grid[..., axis])
    return grid


RECIPES: Mapping[str, Augment] = MappingProxyType(
    {
        "none": Augment(),
        "distortions": Augment(rotate_deg=10, shift=0.06, scale=0.10, shear=0.15),
        "flip-shift": Augment(flip=True, shift=2 / 32, whole_shift=True),
    }
)


def recipe(name: str) -> Augment:
    """Return a named recipe: "none", "distortions" (for digits), "flip-shift" (for photos).

    Raises:
        ArgumentError: no such recipe.
    """
    return RECIPES[one_of("augmentation", name, RECIPES)]
