"""Operators on tensors: what the modules and the functional interface call."""

from cnnatomy.ops import decompositions  # noqa: F401 (exporters find them)
from cnnatomy.ops.border_values import per_vector
from cnnatomy.ops.convolution import convolve
from cnnatomy.ops.padding import pad
from cnnatomy.ops.pooling import pool
from cnnatomy.ops.resampling import resample
from cnnatomy.ops.transposed import convolve_transposed
from cnnatomy.ops.unpooling import unpool, unpool_mean

__all__ = [
    "convolve",
    "convolve_transposed",
    "pad",
    "per_vector",
    "pool",
    "resample",
    "unpool",
    "unpool_mean",
]
