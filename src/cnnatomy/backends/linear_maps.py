"""Run separable linear maps along spatial axes: CPU kernels where they can read, plain torch elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnatomy.backends import fast
from cnnatomy.backends.cpu.resampling import resampling_launch as kernels
from cnnatomy.backends.layout import is_last, memory_format
from cnnatomy.geometry import pillow
from cnnatomy.geometry.bands import Bands


def apply(x: Tensor, bands: tuple[Bands, ...]) -> Tensor:
    """y (N, C, *outputs) from x (N, C, *sizes), in the dtype and memory format of x; never x itself.

    uint8 is rounded, halves up, and clamped to 0 .. 255 after each axis, in Pillow's order.
    """
    if fast(x) or (x.is_cpu and x.dtype is torch.uint8):
        return kernels.apply(x, bands)
    return plain(x, bands)


def plain(x: Tensor, bands: tuple[Bands, ...]) -> Tensor:
    """The same in plain torch, for any device and dtype; sums in float32 or wider, in a fixed order."""
    picture = x.dtype is torch.uint8
    y = x if picks(bands) else x.to(torch.promote_types(x.dtype, torch.float64 if picture else torch.float32))
    for axis in _order(x, bands):
        y = _along(y, pillow.rounded(bands[axis]) if picture else bands[axis], axis + 2)
        if picture:
            y = (y + 0.5).floor().clamp(0, 255)
    out = torch.empty_like(y, dtype=x.dtype, memory_format=memory_format(len(bands), is_last(x)))
    return out.copy_(y)


def picks(bands: tuple[Bands, ...]) -> bool:
    """True if every output is one of the inputs, or 0."""
    return all(row in ((), (1.0,)) for one in bands for row in one.weights)


def _order(x: Tensor, bands: tuple[Bands, ...]) -> list[int]:
    """Axes that shrink before those that grow; of pictures as Pillow takes them."""
    if x.dtype is torch.uint8:
        return pillow.order(bands)
    return sorted(range(len(bands)), key=lambda axis: bands[axis].outputs / max(bands[axis].size, 1))


def _along(x: Tensor, bands: Bands, axis: int) -> Tensor:
    shape = [1] * x.dim()
    shape[axis] = bands.outputs
    total = x.new_zeros([*x.shape[:axis], bands.outputs, *x.shape[axis + 1 :]])
    for k in range(bands.most):
        reads = [k < len(row) for row in bands.weights]
        cells = [start + k if here else 0 for start, here in zip(bands.start, reads, strict=True)]
        weights = [row[k] if here else 0 for row, here in zip(bands.weights, reads, strict=True)]
        taken = x.index_select(axis, torch.tensor(cells, device=x.device))
        weight = torch.tensor(weights, dtype=torch.float64).to(x.device, x.dtype).view(shape)
        part = taken * weight
        if not all(reads):  # what is not read adds nothing, infinite or not
            part = torch.where(torch.tensor(reads, device=x.device).view(shape), part, 0)
        total += part
    return total
