"""How a picture of any size is brought to the size that a network takes.

| policy    | what happens                                                            | price          |
|-----------|-------------------------------------------------------------------------|----------------|
| letterbox | shrunk to fit inside, or enlarged by a whole factor; the rest is black  | padding        |
| crop      | shrunk or enlarged until it covers, then the centre is taken            | edges are lost |
| stretch   | both sides are brought to the wanted length, each by its own factor     | shapes distort |

Letterbox enlarges by whole factors only, so that the 28x28 pictures of MNIST sit unscaled in the middle of
32x32 as in LeCun et al. 1998, section III-A. An odd cell of padding goes after. Scaling is bicubic with
antialiasing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnatomy.data.data_catalog import one_of
from cnnatomy.data.picture_memory import room
from cnnatomy.errors import ArgumentError

POLICIES: Mapping[str, str] = {
    "letterbox": "keep the whole picture and its ratio; pad with black",
    "crop": "keep the ratio and fill the network's input; cut what sticks out",
    "stretch": "fill the network's input with the whole picture; the ratio changes",
}
Size = tuple[int, int]  # (height, width)
Box = tuple[float, float, float, float]  # (left, top, right, bottom)
Bytes = NDArray[np.uint8]


class Placement(NamedTuple):
    """Where a picture goes: the part `box` of it is scaled to `scaled` and put at `offset` into `into`."""

    box: Box
    scaled: Size
    offset: Size  # (top, left) in the network's input
    into: Size

    @property
    def padded(self) -> float:
        """The part of the network's input that is padding, 0..1."""
        return 1 - self.scaled[0] * self.scaled[1] / (self.into[0] * self.into[1])

    def cut(self, size: Size) -> float:
        """The part of a picture of `size` that is cut off, 0..1."""
        left, top, right, bottom = self.box
        return 1 - (right - left) * (bottom - top) / (size[0] * size[1])

    @property
    def zoom(self) -> tuple[float, float]:
        """The factors (y, x) by which the picture grows."""
        left, top, right, bottom = self.box
        return self.scaled[0] / (bottom - top), self.scaled[1] / (right - left)

    def write(self, pixels: Bytes, out: Bytes) -> None:
        """Put scaled pixels (h, w, C) where they belong in the zeroed `out` (C, H, W)."""
        (h, w), (top, left) = self.scaled, self.offset
        out[:, top : top + h, left : left + w] = pixels.transpose(2, 0, 1)


@lru_cache(maxsize=4096)
def place(size: Size, into: Size, policy: str) -> Placement:
    """Return where a picture of `size` (height, width) goes in a network's input of size `into`.

    Example:
        >>> place((28, 28), (32, 32), "letterbox")[1:3]
        ((28, 28), (2, 2))
        >>> place((8, 8), (32, 32), "letterbox").scaled, place((300, 400), (32, 32), "letterbox").scaled
        ((32, 32), (24, 32))
        >>> place((300, 400), (32, 32), "crop").box
        (50.0, 0.0, 350.0, 300.0)
    """
    (h, w), (height, width) = size, into
    box = (0.0, 0.0, float(w), float(h))
    scaled = into
    if policy == "letterbox":
        scaled = _inside(size, into)
    elif policy == "crop":
        seen_h, seen_w = min(float(h), w * height / width), min(float(w), h * width / height)
        left, top = (w - seen_w) // 2, (h - seen_h) // 2  # whole cells, or an unscaled picture would blur
        box = (left, top, left + seen_w, top + seen_h)
    return Placement(box, scaled, ((height - scaled[0]) // 2, (width - scaled[1]) // 2), into)


def _inside(size: Size, into: Size) -> Size:
    """Return the letterbox size: a whole multiple where that fits, else the largest of the same ratio."""
    (h, w), (height, width) = size, into
    if whole := min(height // h, width // w):
        return h * whole, w * whole
    if height * w <= width * h:  # the height is the tighter side
        return height, max(1, (2 * w * height + h) // (2 * h))
    return max(1, (2 * h * width + w) // (2 * w)), width


@dataclass(frozen=True)
class Frame:
    """What a network takes: `size` (height, width), `channels` (1 grey, 3 colour), and the fit `policy`.

    Raises:
        ArgumentError: a side below 1, channels other than 1 or 3, an unknown policy.
    """

    size: Size
    channels: int
    policy: str = "letterbox"

    def __post_init__(self) -> None:
        if len(self.size) != 2 or any(side < 1 for side in self.size):
            raise ArgumentError("size must be two sides", expected="(height, width) >= 1", got=str(self.size))
        if self.channels not in (1, 3):
            raise ArgumentError(
                "pictures have another number of channels", expected="1 or 3", got=str(self.channels)
            )
        one_of("fit policy", self.policy, POLICIES)

    @property
    def mode(self) -> str:
        """Pillow's name of the colours: "L" or "RGB"."""
        return "L" if self.channels == 1 else "RGB"

    def place(self, size: Size) -> Placement:
        """Return where a picture of `size` (height, width) goes."""
        return place(size, self.size, self.policy)

    def scale(self, image: Image.Image, box: Box, size: Size) -> Bytes:
        """Return the part `box` of `image`, which has this `mode`, scaled to `size`: (height, width, C)."""
        (h, w) = size
        if image.size != (w, h) or box != (0, 0, w, h):
            image = image.resize((w, h), Image.Resampling.BICUBIC, box)
        return np.asarray(image).reshape(h, w, self.channels)

    def stack(self, pictures: Bytes) -> Bytes:
        """Return pictures of one size (N, 1 or 3, h, w) as the network takes them: (N, C, H, W).

        Raises:
            DataError: they do not fit into memory.
        """
        pictures = self._recolour(pictures)
        placement = self.place((pictures.shape[2], pictures.shape[3]))
        out = room((len(pictures), self.channels, *self.size), f"a set of {len(pictures):,} pictures")
        if placement.zoom == (1.0, 1.0):
            (h, w), (top, left) = placement.scaled, placement.offset
            x, y = int(placement.box[0]), int(placement.box[1])
            out[:, :, top : top + h, left : left + w] = pictures[:, :, y : y + h, x : x + w]
            return out
        for picture, cell in zip(pictures, out, strict=True):
            pixels = picture[0] if self.channels == 1 else picture.transpose(1, 2, 0)
            image = Image.fromarray(np.ascontiguousarray(pixels))
            placement.write(self.scale(image, placement.box, placement.scaled), cell)
        return out

    def _recolour(self, pictures: Bytes) -> Bytes:
        if pictures.shape[1] == self.channels:
            return pictures
        if self.channels == 3:
            return np.repeat(pictures, 3, axis=1)
        weights = np.array([19595, 38470, 7471], np.uint32)  # ITU-R 601 in 16 bits, as Pillow rounds it
        grey = (np.tensordot(pictures, weights, axes=(1, 0)) + 0x8000) >> 16
        return grey.astype(np.uint8)[:, None]
