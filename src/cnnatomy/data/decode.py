"""From the bytes of a picture file to pixels, by Pillow, with every way of failing as one plain reason.

Decided once: the first frame of an animation or a stack of pages; the EXIF orientation is honoured; colour
profiles are not applied.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from threading import Lock
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from cnnatomy.data.colours import BadPictureError as BadPictureError
from cnnatomy.data.colours import has_sixteen_bits, recolour
from cnnatomy.data.fit_policies import Bytes, Frame, Size
from cnnatomy.data.orientation import turn_of
from cnnatomy.files.printable import byte_count

KINDS = ".png .jpg .bmp .gif .tif .webp .ppm"  # as messages name them
SUFFIXES = frozenset(
    [*KINDS.split(), ".jpeg", ".jpe", ".jfif", ".dib", ".tiff", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"]
)
MAX_PIXELS = 89_478_485  # Pillow's own bound: a quarter of a GiB in 24 bits
MAX_BYTES = 256 << 20
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")


class Decoded(NamedTuple):
    """The (height, width) of a picture, and which `CONVERSIONS` changed its values."""

    size: Size
    conversions: tuple[str, ...]


def suffix(name: str) -> str:
    """Return the end of a file's name that says what it is, in small letters."""
    return os.path.splitext(name)[1].lower()


def is_picture(name: str) -> bool:
    """Return whether a file is named as pictures are."""
    return suffix(name) in SUFFIXES


@cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


class _Strict:
    """Pillow's warnings as errors while anybody decodes: several may begin and end in any order."""

    def __init__(self) -> None:
        self.lock, self.users, self.before = Lock(), 0, warnings.catch_warnings()

    def begin(self) -> None:
        with self.lock:
            if not self.users:
                self.before = warnings.catch_warnings()
                self.before.__enter__()
                warnings.filterwarnings("error", module=r"PIL\.")
            self.users += 1

    def end(self) -> None:
        with self.lock:
            self.users -= 1
            if not self.users:
                self.before.__exit__(None, None, None)


_STRICT = _Strict()


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Make Pillow's warnings errors; entered once around all decoding, because it holds for all threads."""
    _STRICT.begin()
    try:
        yield
    finally:
        _STRICT.end()


def decode(data: bytes, frame: Frame, out: Bytes) -> Decoded:
    """Decode a picture file, write it fitted into the zeroed `out` (C, H, W), return what it was.

    Raises:
        BadPictureError: empty, no known type, cut off or damaged, too large, or pixels without a fixed range.
    """
    with opened(data) as image:
        return _decode(image, frame, out)


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """Give the picture of a file, its pixels not read yet; what fails then is one plain reason, too.

    Raises:
        BadPictureError: empty, no known type, cut off or damaged, or too large.
    """
    if not data:
        raise BadPictureError("is empty (zero bytes)")
    if len(data) > MAX_BYTES:
        raise BadPictureError(f"is {byte_count(len(data))}, more than the {byte_count(MAX_BYTES)} allowed")
    try:
        with Image.open(BytesIO(data), formats=_formats()) as image:
            if (pixels := math.prod(image.size)) > MAX_PIXELS:
                raise BadPictureError(f"has {pixels:,} pixels, more than the {MAX_PIXELS:,} allowed")
            yield image
    except BadPictureError:
        raise
    except UnidentifiedImageError:
        raise BadPictureError(f"is no picture of a known type: it begins with {data[:8]!r}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPictureError(f"has more than the {MAX_PIXELS:,} pixels allowed") from None
    except MemoryError:
        raise BadPictureError("needs more memory than there is") from None
    except Exception as error:  # damaged bytes make decoders fail in more ways than they declare
        raise BadPictureError(f"is cut off or damaged ({_one_line(error)})") from error


def _decode(image: Image.Image, frame: Frame, out: Bytes) -> Decoded:
    conversions = ("eight",) if has_sixteen_bits(image) else ()
    if image.format == "TIFF":
        image.load()  # Pillow turns it upright, which may swap its sides
    turn = turn_of(image)
    width, height = image.size[::-1] if turn.swap else image.size
    placement = frame.place((height, width))
    part, scaled = turn.back(placement.box, (height, width)), placement.scaled
    shrunk = _draft(image, max(placement.zoom)) if image.format in ("JPEG", "MPO") else 1.0
    image.load()
    left, top, right, bottom = part
    box = (left * shrunk, top * shrunk, right * shrunk, bottom * shrunk)
    image, changed = recolour(image, frame.mode)
    stored = frame.scale(image, box, scaled[::-1] if turn.swap else scaled)
    placement.write(turn.upright(stored), out)
    return Decoded((height, width), (*conversions, *changed))


def _draft(image: Image.Image, zoom: float) -> float:
    """Let a large JPEG be decoded at 1/2, 1/4 or 1/8, never below twice the wanted size; return that factor.

    The sides are rounded up, so the factor is not the quotient of the sizes.
    """
    if zoom > 0.25:
        return 1.0
    width, height = image.size
    drafted = image.draft(None, (math.ceil(2 * zoom * width), math.ceil(2 * zoom * height)))
    return drafted[1][2] / width if drafted else 1.0


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:100] or type(error).__name__
