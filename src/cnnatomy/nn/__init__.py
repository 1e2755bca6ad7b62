"""Modules: `import cnnatomy.nn as nn` has every name of torch.nn, and its pooling on these kernels.

Lazy modules (`LazyConv2d` and its like) are torch's own, and become torch's own.

>>> import cnnatomy.nn as nn
>>> nn.Sequential(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.MaxPool2d(2))[-1].__class__.__module__
'cnnatomy.nn.dropin'
"""

import torch
from torch.nn import *  # noqa: F403
from torch.nn import functional, init, parameter, utils

from cnnatomy.filters import FixedFilter1d, FixedFilter2d, FixedFilter3d
from cnnatomy.nn.blur_pooling import (
    BlurPool1d,
    BlurPool2d,
    BlurPool3d,
    MaxBlurPool1d,
    MaxBlurPool2d,
    MaxBlurPool3d,
)
from cnnatomy.nn.composite_modules import (
    PyramidPool1d,
    PyramidPool2d,
    PyramidPool3d,
    RoIPool1d,
    RoIPool2d,
    RoIPool3d,
)
from cnnatomy.nn.connections import ConnectedConv2d
from cnnatomy.nn.convolution_modules import (  # type: ignore[assignment]
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
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
from cnnatomy.nn.fractional_modules import FractionalPool1d, FractionalPool2d, FractionalPool3d
from cnnatomy.nn.importance_modules import LIPool2d, SoftGate
from cnnatomy.nn.lppool import LPPool1d, LPPool2d, LPPool3d
from cnnatomy.nn.padding_modules import Pad1d, Pad2d, Pad3d
from cnnatomy.nn.pooling_modules import (
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
from cnnatomy.nn.response_norm import LocalResponseNorm
from cnnatomy.nn.separable import (
    DepthwiseConv1d,
    DepthwiseConv2d,
    DepthwiseConv3d,
    PointwiseConv1d,
    PointwiseConv2d,
    PointwiseConv3d,
    SeparableConv1d,
    SeparableConv2d,
    SeparableConv3d,
    StridedConvPool1d,
    StridedConvPool2d,
    StridedConvPool3d,
)
from cnnatomy.nn.subpixel import (
    ResizeConv1d,
    ResizeConv2d,
    ResizeConv3d,
    SubpixelConv1d,
    SubpixelConv2d,
    SubpixelConv3d,
    depth_to_space,
    icnr_,
    space_to_depth,
)
from cnnatomy.nn.subsample import Subsample2d
from cnnatomy.nn.unpooling_modules import (
    MaxUnpool1d,
    MaxUnpool2d,
    MaxUnpool3d,
    MeanUnpool1d,
    MeanUnpool2d,
    MeanUnpool3d,
    Unpool1d,
    Unpool2d,
    Unpool3d,
)
from cnnatomy.nn.upsample import (
    BedOfNails1d,
    BedOfNails2d,
    BedOfNails3d,
    Resample1d,
    Resample2d,
    Resample3d,
    Upsample,
)

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
    "BedOfNails1d",
    "BedOfNails2d",
    "BedOfNails3d",
    "BlurPool1d",
    "BlurPool2d",
    "BlurPool3d",
    "ConnectedConv2d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "DepthwiseConv1d",
    "DepthwiseConv2d",
    "DepthwiseConv3d",
    "FixedFilter1d",
    "FixedFilter2d",
    "FixedFilter3d",
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
    "LocalResponseNorm",
    "MaxBlurPool1d",
    "MaxBlurPool2d",
    "MaxBlurPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "MeanUnpool1d",
    "MeanUnpool2d",
    "MeanUnpool3d",
    "Pad1d",
    "Pad2d",
    "Pad3d",
    "PointwiseConv1d",
    "PointwiseConv2d",
    "PointwiseConv3d",
    "Pool1d",
    "Pool2d",
    "Pool3d",
    "PyramidPool1d",
    "PyramidPool2d",
    "PyramidPool3d",
    "Resample1d",
    "Resample2d",
    "Resample3d",
    "ResizeConv1d",
    "ResizeConv2d",
    "ResizeConv3d",
    "RoIPool1d",
    "RoIPool2d",
    "RoIPool3d",
    "SeparableConv1d",
    "SeparableConv2d",
    "SeparableConv3d",
    "SoftGate",
    "StridedConvPool1d",
    "StridedConvPool2d",
    "StridedConvPool3d",
    "SubpixelConv1d",
    "SubpixelConv2d",
    "SubpixelConv3d",
    "Subsample2d",
    "Unpool1d",
    "Unpool2d",
    "Unpool3d",
    "Upsample",
    "depth_to_space",
    "functional",
    "icnr_",
    "init",
    "parameter",
    "space_to_depth",
    "utils",
]
__all__ += [name for name in dir(torch.nn) if not name.startswith("_") and name not in __all__]
