"""Smooth random displacements: independent numbers on a lattice, joined by Gaussians.

Source: Simard, Steinkraus and Platt, Best practices for convolutional neural networks applied to visual
document analysis, ICDAR 2003. They smooth a number for every cell by a Gaussian; numbers one standard
deviation apart, spread by the same Gaussian, give the same displacements to within 1% and cost far less.

All is reckoned in whole numbers small enough for products and sums to be exact in 32-bit floats, and the
factors in 11 bits: neither the order of sums, which may depend on the size of the batch, nor shorter formats
of matrix products change a bit.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from cnnatomy.data.augment.draws import Draws

_REACH = 3  # standard deviations
_ONE = 512  # a weight of 1
_SHORTER = 256  # what sums are divided by before they are multiplied again
_SPREAD = math.sqrt((256**2 - 1) / 3) * _ONE**2 / _SHORTER  # the standard deviation of what comes out


def bend(images: Tensor, draws: Draws, alpha: float, smooth: float) -> Tensor:
    """Return displacements (B, 2, H, W) in cells, x before y, of `alpha` of a side in root mean square.

    `smooth` is the standard deviation of the Gaussian, as a part of a side.
    """
    height, width = images.shape[2:]
    nodes = math.ceil(1 / smooth) + 2 * _REACH + 1
    noise = draws.noise("elastic", 2 * nodes * nodes, images).mul_(2).sub_(255)
    field = noise.reshape(-1, 2, nodes, nodes) @ _weights(nodes, height, smooth).to(images)
    field = field.div_(_SHORTER).round_().mT @ _weights(nodes, width, smooth).to(images)
    field *= torch.tensor([alpha * width / _SPREAD, alpha * height / _SPREAD]).to(images).reshape(2, 1, 1)
    return field


def _weights(nodes: int, length: int, smooth: float) -> Tensor:
    """Return the weight of each node for each cell, (nodes, length): Gaussians that keep the variance."""
    places = (np.arange(nodes) - _REACH) * smooth
    cells = (np.arange(length) + 0.5) / length
    apart = (cells - places[:, None]) / smooth
    weights = np.where(abs(apart) <= _REACH, np.exp(-(apart**2) / 2), 0.0)
    return torch.from_numpy(np.rint(_ONE * weights / np.sqrt((weights**2).sum(axis=0))))
