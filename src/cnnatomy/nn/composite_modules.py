"""Modules that pool over several regions at once: spatial pyramids, and boxes of interest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.errors import ArgumentError
from cnnatomy.nn.pooling_modules import PoolingModule, Sizes
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Boxes, Pyramid


class _Pyramid(PoolingModule):
    def __init__(self, reducer: Reducer | str, levels: Sequence[Sizes], return_indices: bool = False) -> None:
        super().__init__(Pyramid(levels), reducer, return_indices)


class PyramidPool1d(_Pyramid):
    """Pool (N, C, L) to (N, C * bins) over grids from coarse to fine with any reducer.

    Example:
        >>> PyramidPool1d("max", (1, 2))(torch.rand(2, 4, 10)).shape
        torch.Size([2, 12])
    """

    rank = 1


class PyramidPool2d(_Pyramid):
    """Pool (N, C, H, W) of any size to (N, C * bins) over grids from coarse to fine with any reducer.

    Args:
        reducer: what a bin becomes: a reducer, or its name in the registry.
        levels: bins along every axis, for each level an int or (y, x).
        return_indices: also return every winner's flat index (reducers that select).

    Source: He et al., "Spatial pyramid pooling in deep convolutional networks for visual recognition",
    ECCV 2014.

    Raises:
        ArgumentError: there is no level, or one is below 1.

    Example:
        >>> PyramidPool2d("max", (1, 2, 4))(torch.rand(2, 256, 13, 11)).shape
        torch.Size([2, 5376])
    """

    rank = 2


class PyramidPool3d(_Pyramid):
    """Pool (N, C, D, H, W) to (N, C * bins) over grids from coarse to fine with any reducer.

    Example:
        >>> PyramidPool3d("mean", (1, 2))(torch.rand(2, 4, 5, 6, 7)).shape
        torch.Size([2, 36])
    """

    rank = 3


class _RoI(PoolingModule):
    region: Boxes

    def __init__(
        self,
        reducer: Reducer | str,
        output_size: Sizes,
        spatial_scale: float = 1.0,
        return_indices: bool = False,
    ) -> None:
        super().__init__(Boxes((), output_size, spatial_scale), reducer, return_indices)

    def forward(self, x: Tensor, boxes: Tensor | Sequence[Tensor], **inputs: Tensor) -> Any:  # type: ignore[override]
        """y (K, C, *output_size), or (y, indices)."""
        if x.dim() != self.rank + 2:
            expected = f"{self.rank + 2} axes"
            raise ArgumentError(
                "boxes lie in a batch of maps", expected=expected, got=f"shape {tuple(x.shape)}"
            )
        if not isinstance(boxes, Tensor):
            if len(boxes) != len(x):
                expected, got = f"a tensor, or a list of {len(x)}", f"a list of {len(boxes)}"
                raise ArgumentError(
                    "there are not as many tensors of boxes as images", expected=expected, got=got
                )
            boxes = torch.cat([F.pad(own.double(), (1, 0), value=image) for image, own in enumerate(boxes)])
        return self.over(Boxes(boxes, self.region.output_size, self.region.spatial_scale), x, inputs)

    def extra_repr(self) -> str:
        """The reducer, and what is known of the boxes."""
        region = self.region
        return f"{self.reducer}, output_size={region.output_size}, spatial_scale={region.spatial_scale}"


class RoIPool1d(_RoI):
    """Pool boxes (image, x1, x2) of (N, C, L) with any reducer.

    Example:
        >>> RoIPool1d("mean", 2)(torch.arange(6.0).view(1, 1, 6), torch.tensor([[0, 1, 4]]))
        tensor([[[1.5000, 3.5000]]])
    """

    rank = 1


class RoIPool2d(_RoI):
    """Pool boxes of (N, C, H, W) with any reducer: region-of-interest pooling by torchvision's rule.

    `forward(x, boxes)` takes the boxes as torchvision does: a tensor (K, 5) of rows (image, x1, y1, x2, y2),
    or a list with the (K_i, 4) boxes of each image. Boxes are read as numbers, so in a compiled graph they
    must not be tensors that it computes; `pool` over a `Boxes` region has them as constants.

    Args:
        reducer: what a bin becomes: a reducer, or its name in the registry.
        output_size: bins of every box, an int or (y, x).
        spatial_scale: cells per unit of the boxes' coordinates.
        return_indices: also return every winner's flat index in its image (reducers that select).

    Source: Girshick, "Fast R-CNN", ICCV 2015; see `Boxes`.

    Raises:
        ArgumentError: a size or the scale is out of range; in forward, these are no boxes.

    Example:
        >>> boxes = torch.tensor([[0.0, 16, 16, 80, 64], [1.0, 0, 0, 32, 96]])
        >>> RoIPool2d("max", 7, spatial_scale=1 / 16)(torch.rand(2, 256, 14, 14), boxes).shape
        torch.Size([2, 256, 7, 7])
    """

    rank = 2


class RoIPool3d(_RoI):
    """Pool boxes (image, x1, y1, z1, x2, y2, z2) of (N, C, D, H, W) with any reducer.

    Example:
        >>> RoIPool3d("max", 2)(torch.rand(1, 4, 5, 6, 7), torch.tensor([[0, 1, 1, 1, 4, 3, 2]])).shape
        torch.Size([1, 4, 2, 2, 2])
    """

    rank = 3
