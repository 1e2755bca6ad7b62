"""Modules: `import cnnatomy.nn as nn` has every name of torch.nn, and its pooling on these kernels.

>>> import cnnatomy.nn as nn
>>> nn.Sequential(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.MaxPool2d(2))[-1].__class__.__module__
'cnnatomy.nn.dropin'
"""

import torch
from torch.nn import *  # noqa: F403
from torch.nn import functional, init, parameter, utils

from cnnatomy.nn.composite import (
    PyramidPool1d,
    PyramidPool2d,
    PyramidPool3d,
    RoIPool1d,
    RoIPool2d,
    RoIPool3d,
)
from cnnatomy.nn.connections import ConnectedConv2d
from cnnatomy.nn.dropin import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from cnnatomy.nn.fractional import FractionalPool1d, FractionalPool2d, FractionalPool3d
from cnnatomy.nn.importance import LIPool2d, SoftGate
from cnnatomy.nn.lppool import LPPool1d, LPPool2d, LPPool3d
from cnnatomy.nn.pooling import (
    AdaptivePool1d,
    AdaptivePool2d,
    AdaptivePool3d,
    GlobalPool1d,
    GlobalPool2d,
    GlobalPool3d,
    Pool1d,
    Pool2d,
    Pool3d,
)
from cnnatomy.nn.rbf import RBF
from cnnatomy.nn.subsample import Subsample2d

__all__ = [
    "RBF",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AdaptivePool1d",
    "AdaptivePool2d",
    "AdaptivePool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "ConnectedConv2d",
    "FractionalPool1d",
    "FractionalPool2d",
    "FractionalPool3d",
    "GlobalPool1d",
    "GlobalPool2d",
    "GlobalPool3d",
    "LIPool2d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Pool1d",
    "Pool2d",
    "Pool3d",
    "PyramidPool1d",
    "PyramidPool2d",
    "PyramidPool3d",
    "RoIPool1d",
    "RoIPool2d",
    "RoIPool3d",
    "SoftGate",
    "Subsample2d",
    "functional",
    "init",
    "parameter",
    "utils",
]
__all__ += [name for name in dir(torch.nn) if not name.startswith("_") and name not in __all__]
