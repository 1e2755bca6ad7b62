"""Pictures as the lab keeps and shows them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.data import read_pictures
from cnnatomy.errors import DataError
from cnnatomy.lab.limits import KEPT
from cnnatomy.report.anatomy_page import PICTURE
from cnnatomy.report.pixels import png

GONE = "this picture is not here any more, since the lab was started anew: choose it again"


def kept(body: bytes) -> bytes:
    """An uploaded picture as PNG in colour, of at most KEPT rows and columns.

    Raises:
        DataError: it is no picture that can be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "the picture"
        file.write_bytes(body)
        return png(_read(file, KEPT, 3))


def _read(file: Path, most: int, channels: int) -> Tensor:
    """A picture (C, H, W), its longer side at most so long."""
    try:
        with Image.open(file) as opened:
            width, height = opened.size
    except Exception:  # whatever Pillow says; the reader below says what is wrong in words
        width = height = 1
    scale = min(1.0, most / max(width, height, 1))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    try:
        return read_pictures([file], size=size, channels=channels, fit="stretch")[0]
    except DataError as error:
        raise DataError(str(error).replace(str(file), "the picture")) from None


def chosen(query: Mapping[str, str], picture: bytes) -> Path | bytes:
    """The picture that an address names: the one that comes along if it names none.

    Raises:
        DataError: the server has it no more.
    """
    if not query.get("picture"):
        return PICTURE
    if not picture:
        raise DataError(GONE)
    return picture


def grey(picture: Path | bytes, side: int) -> Tensor:
    """A picture in grey, whole levels from 0 to 255, (1, H, W), its longer side so long at most."""
    source = io.BytesIO(picture) if isinstance(picture, bytes) else picture
    with Image.open(source) as opened:
        levels = torch.from_numpy(_array(opened))
    scale = min(1.0, side / max(levels.shape))
    size = [max(1, round(n * scale)) for n in levels.shape]
    return F.interpolate(levels[None, None].float(), size, mode="area")[0].round()


def _array(opened: Image.Image) -> object:
    import numpy as np

    return np.array(opened.convert("L"))


def shades(plane: Tensor, low: float | None = None, high: float | None = None) -> bytes:
    """A plane (H, W) as PNG in grey from its least finite value to its greatest, or from low to high."""
    known = plane[plane.isfinite()]
    least = low if low is not None else float(known.min()) if known.numel() else 0.0
    most = high if high is not None else float(known.max()) if known.numel() else 1.0
    span = most - least if most > least else 1.0
    levels = 255 * (plane.nan_to_num(least, most, least) - least) / span
    return png(levels[None])
