"""Smooth random displacements: independent numbers on a lattice, joined by Gaussians.

Source: Simard, Steinkraus and Platt, Best practices for convolutional neural networks applied to visual
document analysis, ICDAR 2003. They smooth a number for every cell by a Gaussian; numbers one standard
deviation apart, spread by the same Gaussian, give the same displacements to within 1% and cost far less.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from cnnatomy.data.augment.draws import Draws

_REACH = 3  # standard deviations
_BYTE = math.sqrt((256**2 - 1) / 12)  # the standard deviation of 0..255


def bend(images: Tensor, draws: Draws, alpha: float, smooth: float) -> Tensor:
    """Return displacements (B, H, W, 2) in cells, as (x, y), of `alpha` of a side in root mean square.

    `smooth` is the standard deviation of the Gaussian, as a part of a side.
    """
    height, width = images.shape[2:]
    nodes = math.ceil(1 / smooth) + 2 * _REACH + 1
    noise = (draws.noise("elastic", 2 * nodes * nodes, images) - 127.5) / _BYTE
    # Pictures last: the sums run over long rows, and one after the other, so that the batch changes no bit.
    field = noise.reshape(-1, nodes, nodes, 2).permute(1, 2, 0, 3)
    field = _joined(field, height, smooth).transpose(0, 1)
    field = _joined(field, width, smooth).permute(2, 1, 0, 3)
    return field * torch.tensor([alpha * width, alpha * height]).to(images)


def _joined(values: Tensor, length: int, smooth: float) -> Tensor:
    """Sum (nodes, ...) with Gaussians about the nodes to (length, ...), keeping the variance."""
    nodes = len(values)
    places = (np.arange(nodes) - _REACH) * smooth
    cells = (np.arange(length) + 0.5) / length
    apart = (cells[:, None] - places) / smooth
    weights = np.where(abs(apart) <= _REACH, np.exp(-(apart**2) / 2), 0.0)
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    out = values.new_zeros(length, *values.shape[1:])
    values, table = values.contiguous(), torch.from_numpy(weights).to(values)
    for node in range(nodes):
        (reached,) = np.nonzero(weights[:, node])
        if len(reached):
            part = slice(reached[0], reached[-1] + 1)
            out[part] += table[part, node].reshape(-1, *[1] * (values.ndim - 1)) * values[node]
    return out
