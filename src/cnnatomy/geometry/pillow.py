"""How Pillow resizes pictures of bytes: the order of its passes, and its weights; results are then equal.

After each axis a value is rounded, halves up, and clamped to 0 .. 255: in `backends/linear_maps.py`, and
alike in the kernels of `backends/cpu/resampling`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnatomy.geometry.bands import Bands

FINEST = 2**22
"""Weights are whole multiples of 1 / FINEST."""


def weight_of(weight: float) -> float:
    """A weight of pictures of bytes, in whole 2^-22: sums of products are then exact in float64.

    Source: Pillow, src/libImaging/Resample.c, `normalize_coeffs_8bpc`.

    Example:
        >>> weight_of(0.25), weight_of(1 / 3) * 2**22
        (0.25, 1398101.0)
    """
    return math.copysign(math.floor(abs(weight) * FINEST + 0.5) / FINEST, weight)


def rounded(bands: Bands) -> Bands:
    """Bands with the weights of pictures."""
    weights = tuple(tuple(map(weight_of, row)) for row in bands.weights)
    return Bands(bands.size, bands.start, weights)


def order(bands: Sequence[Bands]) -> list[int]:
    """The axes of pictures of bytes, which are rounded after each: the last one first, as in Pillow.

    The height goes before the width if it loses more than twice as many cells.

    Source: Pillow 13, src/libImaging/Resample.c, `ImagingResampleInner`.
    """
    order = list(reversed(range(len(bands))))
    lost = [bands[axis].size - bands[axis].outputs for axis in order]
    if len(order) > 1 and lost[1] > max(0, 2 * lost[0]):
        order[:2] = order[1], order[0]
    return order
