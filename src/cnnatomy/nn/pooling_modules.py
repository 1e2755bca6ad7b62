"""Pooling modules: one for each kind of region and number of axes, with the reducer as an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cnnatomy.geometry.padding_rules import Rule, paddings, per_axis
from cnnatomy.ops import pool
from cnnatomy.ops.padding import Mode, checked_mode
from cnnatomy.reducers import Reducer, demand_first
from cnnatomy.reducers import reducer as by_name
from cnnatomy.regions import Adaptive, Region, Sliding, Whole

Sizes = int | Sequence[int]


class PoolingModule(nn.Module):
    """What all pooling modules share: a region, a reducer and, if the reducer learns, its parameters.

    A parameter has the name that the reducer gives it, starts as the reducer says and is trained with the
    network. Further inputs of a reducer, of x's shape, are given by name: `module(x, logits=...)`.
    """

    rank: ClassVar[int]
    padding_mode: Mode = "clip"

    def __init__(self, region: Region, reducer: Reducer | str, return_indices: bool = False) -> None:
        super().__init__()
        self.region = region
        self.reducer = by_name(reducer)
        self.return_indices = return_indices
        for name, start in self.reducer.learns.items():
            self.register_parameter(name, nn.Parameter(torch.tensor(start)))

    def reset_parameters(self) -> None:
        """Let the reducer's parameters start again."""
        for name, start in self.reducer.learns.items():
            with torch.no_grad():
                getattr(self, name).copy_(torch.tensor(start))

    def forward(self, x: Tensor, **inputs: Any) -> Any:
        """y, or (y, indices)."""
        if type(inputs) is not dict:  # torch.fx has one symbol for all of them
            inputs = {name: inputs[name] for name in self.reducer.companions}
        return self.over(self.region, x, inputs)

    def over(self, region: Region, x: Tensor, inputs: Mapping[str, Tensor]) -> Any:
        """Pool over a region other than the module's own."""
        beside: dict[str, Any] = {name: getattr(self, name) for name in self.reducer.learns} | dict(inputs)
        return pool(
            x,
            self.reducer,
            region,
            return_indices=self.return_indices,
            rank=self.rank,
            training=self.training,
            padding_mode=self.padding_mode,
            **beside,
        )

    def extra_repr(self) -> str:
        """The reducer and the region, as they print."""
        mode = "" if self.padding_mode == "clip" else f", padding_mode={self.padding_mode!r}"
        return f"{self.reducer}, {self.region}{', return_indices=True' * self.return_indices}{mode}"


class _Sliding(PoolingModule):
    def __init__(
        self,
        reducer: Reducer | str,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Rule | Sequence[Rule] = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
        padding_mode: Mode = "clip",
    ) -> None:
        demand_first(f"{type(self).__name__}(", reducer, kernel_size)
        kernel = per_axis(kernel_size, self.rank, "kernel_size")
        step = kernel if stride is None else per_axis(stride, self.rank, "stride")
        region = Sliding(
            kernel,
            step,
            paddings(padding, self.rank),
            per_axis(dilation, self.rank, "dilation"),
            ceil_mode,
        )
        super().__init__(region, reducer, return_indices)
        if padding_mode != "clip":
            checked_mode(padding_mode)
        self.padding_mode = padding_mode


class _Adaptive(PoolingModule):
    def __init__(
        self,
        reducer: Reducer | str,
        output_size: int | Sequence[int | None] | None,
        return_indices: bool = False,
    ) -> None:
        demand_first(f"{type(self).__name__}(", reducer, output_size)
        size = output_size if isinstance(output_size, int | None) else tuple(output_size)
        super().__init__(Adaptive(size), reducer, return_indices)


class _Whole(PoolingModule):
    def __init__(self, reducer: Reducer | str, return_indices: bool = False) -> None:
        super().__init__(Whole(), reducer, return_indices)


class Pool1d(_Sliding):
    """Pool windows of (N, C, L) or (C, L) with any reducer.

    Example:
        >>> import torch
        >>> Pool1d("min", 2)(torch.tensor([[3.0, 1.0, 2.0, 5.0]]))
        tensor([[1., 2.]])
    """

    rank = 1


class Pool2d(_Sliding):
    """Pool windows of (N, C, H, W) or (C, H, W) with any reducer.

    Args:
        reducer: what a window becomes: a reducer, or its name in the registry.
        kernel_size: taps, an int or (y, x).
        stride: cells from one window to the next; the kernel if left out.
        padding: an int, a rule's name (`"valid"`, `"same"`, `"keep"`, `"full"`, `"causal"`), or one entry
            per axis.
        dilation: cells from one tap to the next.
        ceil_mode: let a last window overhang the padded input.
        return_indices: also return every winner's flat index (reducers that select).
        padding_mode: `"clip"`: padding adds no value; or what it holds: any mode of `cnnatomy.pad`.

    Further inputs of the reducer go to `forward` by name; what it learns are parameters of the module.

    Raises:
        ArgumentError: a size is out of range, or there is no such reducer.

    Example:
        >>> import torch
        >>> Pool2d("mean", 3, stride=2, padding="same")(torch.rand(8, 16, 57, 57)).shape
        torch.Size([8, 16, 29, 29])
    """

    rank = 2


class Pool3d(_Sliding):
    """Pool windows of (N, C, D, H, W) or (C, D, H, W) with any reducer.

    Example:
        >>> import torch
        >>> Pool3d("max", 2)(torch.rand(1, 4, 8, 8, 8)).shape
        torch.Size([1, 4, 4, 4, 4])
    """

    rank = 3


class AdaptivePool1d(_Adaptive):
    """Pool (N, C, L) or (C, L) to a fixed number of bins with any reducer.

    Example:
        >>> import torch
        >>> AdaptivePool1d("max", 3)(torch.rand(2, 4, 10)).shape
        torch.Size([2, 4, 3])
    """

    rank = 1


class AdaptivePool2d(_Adaptive):
    """Pool (N, C, H, W) or (C, H, W) to a fixed grid with any reducer.

    Args:
        reducer: what a bin becomes: a reducer, or its name in the registry.
        output_size: bins, an int or (y, x); None keeps an axis.
        return_indices: also return every winner's flat index (reducers that select).

    Example:
        >>> import torch
        >>> AdaptivePool2d("mean", (7, None))(torch.rand(2, 4, 30, 20)).shape
        torch.Size([2, 4, 7, 20])
    """

    rank = 2


class AdaptivePool3d(_Adaptive):
    """Pool (N, C, D, H, W) or (C, D, H, W) to a fixed grid with any reducer.

    Example:
        >>> import torch
        >>> AdaptivePool3d("max", 2)(torch.rand(2, 4, 5, 6, 7)).shape
        torch.Size([2, 4, 2, 2, 2])
    """

    rank = 3


class GlobalPool1d(_Whole):
    """Pool all of (N, C, L) or (C, L) to one value per channel with any reducer.

    Example:
        >>> import torch
        >>> GlobalPool1d("mean")(torch.tensor([[1.0, 2.0, 6.0]]))
        tensor([[3.]])
    """

    rank = 1


class GlobalPool2d(_Whole):
    """Pool all of (N, C, H, W) or (C, H, W) to one value per channel with any reducer.

    Example:
        >>> import torch
        >>> GlobalPool2d("max")(torch.rand(2, 4, 7, 7)).shape
        torch.Size([2, 4, 1, 1])
    """

    rank = 2


class GlobalPool3d(_Whole):
    """Pool all of (N, C, D, H, W) or (C, D, H, W) to one value per channel with any reducer.

    Example:
        >>> import torch
        >>> GlobalPool3d("min")(torch.rand(2, 4, 3, 3, 3)).shape
        torch.Size([2, 4, 1, 1, 1])
    """

    rank = 3
