"""Unpooling modules: torch's `MaxUnpool*d`, and those for any region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import Rule, Window, paddings, per_axis
from cnnatomy.geometry.padding_rules import LARGEST
from cnnatomy.nn.scripting import Scriptable
from cnnatomy.ops.indexed_values import place
from cnnatomy.ops.routing import tracing
from cnnatomy.ops.unpooling import unpool, unpool_mean
from cnnatomy.regions import Region, Sliding

Sizes = int | Sequence[int]


class Unpool(nn.Module):
    """What `Unpool*d` share."""

    rank: ClassVar[int]

    def __init__(self, region: Region | None = None) -> None:
        super().__init__()
        self.region = region

    def forward(self, y: Tensor, indices: Tensor, output_size: Sizes | None = None) -> Tensor:
        """(N, C, *out) or (C, *out), indices of that shape -> the same with the sizes of what was pooled."""
        return unpool(y, indices, output_size, region=self.region, rank=self.rank)

    def extra_repr(self) -> str:
        """The region, as it prints."""
        return "" if self.region is None else str(self.region)


class Unpool1d(Unpool):
    """Put the values of (N, C, L) or (C, L) back at their indices; see `Unpool2d`.

    Example:
        >>> Unpool1d()(torch.tensor([[5.0, 4.0]]), torch.tensor([[1, 3]]), 5)
        tensor([[0., 5., 0., 4., 0.]])
    """

    rank = 1


class Unpool2d(Unpool):
    """Put the values of (N, C, H, W) or (C, H, W) back at their indices: `cnnatomy.unpool` as a module.

    Args:
        region: what they were pooled over, if the size is to follow from it or be checked.

    Example:
        >>> from cnnatomy.nn import AdaptivePool2d
        >>> pool = AdaptivePool2d("min", (7, 5), return_indices=True)
        >>> y, indices = pool(torch.rand(2, 3, 20, 30))
        >>> Unpool2d(pool.region)(y, indices, (20, 30)).shape
        torch.Size([2, 3, 20, 30])
    """

    rank = 2


class Unpool3d(Unpool):
    """Put the values of (N, C, D, H, W) or (C, D, H, W) back at their indices; see `Unpool2d`.

    Example:
        >>> y, indices = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1, dtype=torch.int64)
        >>> Unpool3d()(y, indices, 2).sum()
        tensor(1.)
    """

    rank = 3


class _MaxUnpool(Scriptable):
    """Comes before torch's own class among the bases, so that `super().forward` is torch's."""

    rank: ClassVar[int]
    kernel_size: Any
    stride: Any
    padding: Any

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """As torch's; what that refuses, it refuses itself."""
        size = self._size(input, indices, output_size)
        if size is not None:
            try:
                return place(input, indices, size, self._apart())
            except ArgumentError:
                pass  # an index out of range
        return super().forward(input, indices, output_size)  # type: ignore[no-any-return]

    def _apart(self) -> bool:
        """True if windows share no cell."""
        axes = zip(*(per_axis(n, self.rank, "size") for n in (self.kernel_size, self.stride)), strict=True)
        return all(kernel <= stride for kernel, stride in axes)

    def _size(self, y: Any, indices: Any, wanted: Any) -> tuple[int, ...] | None:
        """The result's spatial sizes, those of torch's rule; None where torch has the word."""
        if not (isinstance(y, Tensor) and isinstance(indices, Tensor)) or not _alike(y, indices, self.rank):
            return None
        try:
            axes = (per_axis(getattr(self, name), self.rank, name) for name in ("kernel_size", "stride"))
            windows = map(Window, *axes, ((p, p) for p in per_axis(self.padding, self.rank, "padding", 0)))
            least = [w.transposed_size(n) for w, n in zip(windows, y.shape[-self.rank :], strict=True)]
        except ArgumentError:
            lengths = torch.utils._pytree.tree_leaves((self.kernel_size, self.stride))
            if any(type(n) is int and n > LARGEST for n in lengths):
                raise  # torch would try
            return None
        if wanted is None:
            return tuple(least)
        size = tuple(wanted)[-self.rank :]
        steps = zip(size, least, per_axis(self.stride, self.rank, "stride"), strict=False)
        fits = len(wanted) in (self.rank, self.rank + 2) and all(
            abs(n - m) < s and n > 0 for n, m, s in steps
        )
        return size if fits else None


def _alike(y: Tensor, indices: Tensor, rank: int) -> bool:
    return (
        not tracing()
        and indices.dtype is torch.int64
        and y.shape == indices.shape
        and y.device == indices.device
        and y.dim() in (rank + 1, rank + 2)
        and all(n > 0 for n in y.shape[y.dim() - rank - 1 :])
    )


class MaxUnpool1d(_MaxUnpool, nn.MaxUnpool1d):
    """`torch.nn.MaxUnpool1d`, the same but for speed, and with an answer where outputs collide."""

    rank = 1


class MaxUnpool2d(_MaxUnpool, nn.MaxUnpool2d):
    """`torch.nn.MaxUnpool2d`, the same but for speed, and with an answer where outputs collide.

    The last output in row-major order has the cell, and it alone gets the cell's gradient. The index -1,
    which torch refuses, is left out.

    Example:
        >>> x = torch.rand(2, 3, 8, 8)
        >>> y, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
        >>> torch.equal(MaxUnpool2d(2)(y, indices), torch.nn.MaxUnpool2d(2)(y, indices))
        True
    """

    rank = 2


class MaxUnpool3d(_MaxUnpool, nn.MaxUnpool3d):
    """`torch.nn.MaxUnpool3d`, the same but for speed, and with an answer where outputs collide."""

    rank = 3


class MeanUnpool(nn.Module):
    """What `MeanUnpool*d` share."""

    rank: ClassVar[int]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Rule | Sequence[Rule] = 0,
        dilation: Sizes = 1,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        kernel = per_axis(kernel_size, self.rank, "kernel_size")
        step = kernel if stride is None else per_axis(stride, self.rank, "stride")
        spread = per_axis(dilation, self.rank, "dilation")
        self.region = Sliding(kernel, step, paddings(padding, self.rank), spread)
        self.normalize = normalize

    def forward(self, y: Tensor, output_size: Sizes | None = None) -> Tensor:
        """(N, C, *out) or (C, *out) -> the same with the sizes of what was averaged."""
        return unpool_mean(y, self.region, output_size, normalize=self.normalize, rank=self.rank)

    def extra_repr(self) -> str:
        """The region, as it prints."""
        return str(self.region) + (", normalize=True" if self.normalize else "")


class MeanUnpool1d(MeanUnpool):
    """Spread the values of (N, C, L) or (C, L) over their windows; see `MeanUnpool2d`.

    Example:
        >>> MeanUnpool1d(2, stride=1)(torch.tensor([[2.0, 6.0]]))
        tensor([[1., 4., 3.]])
    """

    rank = 1


class MeanUnpool2d(MeanUnpool):
    """Spread the values of (N, C, H, W) or (C, H, W) over their windows: the adjoint of mean pooling.

    Args:
        kernel_size: taps, an int or (y, x).
        stride: cells from one window to the next; the kernel if left out.
        padding: an int, a rule's name, or one entry per axis.
        dilation: cells from one tap to the next.
        normalize: give every cell the mean of the values that cover it, not the sum of its shares.

    Example:
        >>> MeanUnpool2d(2)(torch.tensor([[[4.0]]]), output_size=(2, 3))
        tensor([[[1., 1., 0.],
                 [1., 1., 0.]]])
    """

    rank = 2


class MeanUnpool3d(MeanUnpool):
    """Spread the values of (N, C, D, H, W) or (C, D, H, W) over their windows; see `MeanUnpool2d`.

    Example:
        >>> MeanUnpool3d(2, normalize=True)(torch.ones(1, 1, 2, 2, 2), output_size=4).unique()
        tensor([1.])
    """

    rank = 3
