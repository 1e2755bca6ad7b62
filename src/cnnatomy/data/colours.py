"""From any of Pillow's modes to 8-bit grey or colour, and what was changed on the way.

Decided once: 16 bits are scaled to 8; what is transparent shows white; colour becomes grey by ITU-R 601, and
grey becomes colour by repeating.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from cnnatomy.data.fit_policies import Bytes

CONVERSIONS: Mapping[str, str] = MappingProxyType(
    {
        "eight": "brought from 16 bits to 8",
        "white": "laid on white where transparent",
        "grey": "turned from colour to grey",
        "colour": "turned from grey to colour",
    }
)
"""What can be done to the values of a picture, in the order in which it is done."""

_GLANCE = (16, 16)


class BadPictureError(Exception):
    """Why a picture cannot be read, as the end of a sentence that begins with its name."""


def recolour(image: Image.Image, mode: str) -> tuple[Image.Image, tuple[str, ...]]:
    """Return a loaded picture as "L" or "RGB", and which of `CONVERSIONS` changed it, "eight" left out.

    A picture that holds grey in three channels loses nothing as grey, and one that is opaque all over
    nothing on white: neither counts as changed.

    Raises:
        BadPictureError: its pixels have more than 16 bits, and do not say what is white.
    """
    if image.mode == mode and "transparency" not in image.info:
        return image, ()
    colourless, done = is_grey(image.mode), []
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_eight_bits(image))
    elif image.has_transparency_data:
        image, shows = _on_white(image)
        done += ["white"] * shows
    elif image.mode not in ("1", "L", "P", "RGB"):
        image = image.convert("RGB")
    if colourless and mode == "RGB":
        done.append("colour")
    elif mode == "L" and not colourless and _shows_colour(image):
        done.append("grey")
    return (image if image.mode == mode else image.convert(mode)), tuple(done)


def is_grey(mode: str) -> bool:
    """Return whether one of Pillow's modes has no colours."""
    return mode in ("1", "L", "LA", "La") or mode.startswith(("I", "F"))


def has_sixteen_bits(image: Image.Image) -> bool:
    """Return whether an opened picture that is not loaded yet stores 16 bits: Pillow keeps 8 of colours."""
    if image.format == "JPEG":
        return False
    if image.mode.startswith("I"):
        return True
    tiles: Any = getattr(image, "tile", ())
    said = [str(tile[3]) for tile in tiles]  # how the bytes are to be unpacked
    if image.format == "PPM":
        return any(int(largest) > 0xFF for one in said for largest in re.findall(r"\d+", one))
    return any(";16" in one for one in said)


def colour_notes(counts: Mapping[str, int], pictures: int) -> list[str]:
    """Say how many out of so many pictures were changed in which of the `CONVERSIONS`.

    Example:
        >>> colour_notes({"grey": 5, "eight": 1}, 5)
        ['1 of them brought from 16 bits to 8', 'all of them turned from colour to grey']
    """
    known = ((counts.get(name, 0), what) for name, what in CONVERSIONS.items())
    return [
        f"{'all' if count == pictures > 1 else f'{count:,}'} of them {what}" for count, what in known if count
    ]


def stacked(pictures: Bytes, channels: int) -> dict[str, int]:
    """Return how many of the pictures (N, 1 or 3, h, w) change on the way to 1 or 3 channels, and how."""
    if pictures.shape[1] == channels:
        return {}
    if channels == 3:
        return {"colour": len(pictures)}
    return {"grey": int((pictures[:, :1] != pictures[:, 1:]).any((1, 2, 3)).sum())}


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return a picture laid on white, and whether any of the white shows through."""
    clear = image.convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(clear)
    return paper, clear.getchannel("A").getextrema() != (0xFF, 0xFF)


def _shows_colour(image: Image.Image) -> bool:
    # A glance first: most pictures in colour are so nearly everywhere, and large ones take a while.
    return _differ(image.resize(_GLANCE, Image.Resampling.NEAREST)) or _differ(image)


def _differ(image: Image.Image) -> bool:
    pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    red = pixels[..., 0]
    return bool((red != pixels[..., 1]).any() or (red != pixels[..., 2]).any())


def _eight_bits(image: Image.Image) -> Bytes:
    """Return 16-bit grey as 8-bit grey, rounded."""
    pixels = np.asarray(image)
    low, high = pixels.min(), pixels.max()
    if pixels.dtype.kind == "f" or low < 0 or high > 0xFFFF:
        raise BadPictureError(f"has pixels {low}..{high}: neither 8 nor 16 bits say what is white")
    return ((pixels.astype(np.uint32) * 255 + 0x7FFF) // 0xFFFF).astype(np.uint8)
