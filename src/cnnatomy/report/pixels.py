"""Pictures as the bytes that a page embeds."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor


def png(picture: Tensor) -> bytes:
    """A picture (C, H, W) of levels as PNG: in colour with three channels or more, else the first in grey.

    Example:
        >>> import torch
        >>> png(torch.zeros(1, 2, 2, dtype=torch.uint8))[:4]
        b'\\x89PNG'
    """
    levels = picture.round().clamp(0, 255).to(torch.uint8) if picture.is_floating_point() else picture
    pixels = levels[0] if len(levels) < 3 else levels[:3].permute(1, 2, 0)
    out = io.BytesIO()
    Image.fromarray(pixels.contiguous().numpy()).save(out, "PNG", optimize=True)
    return out.getvalue()
