"""Worked numbers of lectures and guides, as settings of the numbers page."""

from __future__ import annotations

from collections.abc import Mapping

_ONES = "1 1 1 0 0; 0 1 1 1 0; 0 0 1 1 1; 0 0 1 1 0; 0 1 1 0 0"
_PLUS = "1 0 1; 0 1 0; 1 0 1"
_GUIDE = "2 2 3 3 3; 0 1 3 0 3; 2 3 0 1 3; 3 3 2 1 2; 3 3 0 2 3"
_MAX = "1 0 2 3; 4 6 6 8; 3 1 1 0; 1 2 2 4"

EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "A pattern over ones and zeros": {"op": "convolve", "x": _ONES, "weight": _PLUS},
    "A stride of two over padding": {
        "op": "convolve", "x": _GUIDE, "weight": "2 0 1; 1 0 0; 0 1 1", "stride": "2", "padding": "1",
    },
    "Maxima of blocks": {"x": _MAX, "kernel": "2"},
    "Maxima, and the way back of their gradient": {
        "x": "0 3 1 2; 2 1 0 8; 1 4 5 3; 0 2 6 1", "kernel": "2", "grad": "8 2; 2 3", "cell": "0,0,1",
    },
    "Means, and the shares of their gradient": {
        "x": "1 2 3 4; 5 6 7 8; 8 7 6 5; 4 3 2 1", "reducer": "mean", "kernel": "2", "grad": "2 8; 4 6",
    },
    "The last cell that no window reads": {"x": "1 2 3 4 5", "kernel": "2"},
    "A window with gaps": {"x": "1 2 3 4 5 6 7 8 9 10", "kernel": "3", "stride": "2", "dilation": "2"},
    "Between four numbers": {"op": "resize", "x": "10 20; 30 40", "scale": "2", "at": "1,1"},
    "Steps of a sequence": {"op": "convolve", "x": "1 2 4 7 11 16 15", "weight": "-1 0 1"},
    "Bends of a sequence": {"op": "convolve", "x": "1 2 4 7 11 16 15", "weight": "1 -2 1"},
    "A sequence, smoothed": {"op": "convolve", "x": "1 2 4 7 11 16 15", "weight": "0.1 0.2 0.4 0.2 0.1"},
    "A bed of nails": {"op": "resize", "x": "1 2; 3 4", "method": "nails"},
    "Neighbours repeated": {"op": "resize", "x": "1 2; 3 4", "method": "nearest"},
    "Maxima put back where they were": {"op": "unpool", "x": _MAX},
    "Borders that reflect": {"op": "pad", "x": "1 2 3; 4 5 6; 7 8 9", "padding": "2"},
    "A kernel spread out": {"op": "transposed convolution", "x": "1 2; 3 4", "weight": "1 2 1; 2 4 2; 1 2 1"},
    "Two maps and one kernel each": {
        "op": "convolve", "x": "1 2 0; 0 1 1; 2 0 1 | 0 1 1; 1 0 2; 1 1 0", "weight": "1 0; 0 1 | 0 1; 1 0",
    },
    "LeNet-5's subsampling": {"op": "trainable subsampling", "x": _MAX, "w": "0.5", "bias": "1"},
    "A softer maximum": {"x": "0 2; 5 5", "reducer": "soft", "kernel": "2"},
}  # fmt: skip
"""By name."""
