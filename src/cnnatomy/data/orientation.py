"""How a camera was held: the EXIF orientation, applied to pixels and to parts of a picture.

Source: CIPA DC-008, Exchangeable image file format for digital still cameras (EXIF), tag 274.
"""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from cnnatomy.data.fit_policies import Box, Bytes, Size


class Turn(NamedTuple):
    """How a stored picture is made upright: swap its axes, then mirror left-right, then top-bottom."""

    swap: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def upright(self, pixels: Bytes) -> Bytes:
        """Return stored pixels (h, w, C) upright."""
        pixels = pixels.transpose(1, 0, 2) if self.swap else pixels
        return pixels[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]

    def back(self, box: Box, size: Size) -> Box:
        """Return where a part of the upright picture of `size` (height, width) is stored."""
        (left, top, right, bottom), (height, width) = box, size
        if self.mirror_x:
            left, right = width - right, width - left
        if self.mirror_y:
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if self.swap else (left, top, right, bottom)


_TAG = 0x0112
_UPRIGHT = Turn()
_SAYING = {"exif", "xmp"}  # where a JPEG may say it
_TURNS = {
    2: Turn(mirror_x=True),
    3: Turn(mirror_x=True, mirror_y=True),
    4: Turn(mirror_y=True),
    5: Turn(swap=True),
    6: Turn(swap=True, mirror_x=True),
    7: Turn(swap=True, mirror_x=True, mirror_y=True),
    8: Turn(swap=True, mirror_y=True),
}


def turn_of(image: Image.Image) -> Turn:
    """Return how to make a picture upright; one that does not say is upright."""
    if image.format == "JPEG" and not _SAYING & image.info.keys():
        return _UPRIGHT
    return _TURNS.get(image.getexif().get(_TAG, 1), _UPRIGHT)
