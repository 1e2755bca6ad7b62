"""Padding as modules: `cnnatomy.pad` over the spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.borders import pairs
from cnnatomy.ops.padding import Filler, pad


class PadModule(nn.Module):
    """What padding modules share: widths for the last `rank` axes, a mode, and the mode's option."""

    rank: ClassVar[int]

    def __init__(
        self,
        padding: int | Sequence[int | Sequence[int]],
        mode: str | Filler = "constant",
        **options: Any,
    ) -> None:
        super().__init__()
        self.padding = pairs(padding, self.rank, "padding", least=None, each=True)
        self.mode, self.options = mode, options

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) or (C, *spatial) -> the same with its spatial axes padded."""
        if isinstance(x, Tensor) and x.dim() not in (self.rank + 1, self.rank + 2):
            expected = f"(N, C, *spatial) or (C, *spatial) with {self.rank} spatial axes"
            raise ArgumentError("padding does not fit x", expected=expected, got=f"shape {tuple(x.shape)}")
        return pad(x, self.padding, self.mode, **self.options)

    def extra_repr(self) -> str:
        """The widths, the mode and its option."""
        named = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"{self.padding}, mode={self.mode!r}{named}"


class Pad1d(PadModule):
    """Pad (N, C, L) or (C, L) in any mode of `cnnatomy.pad`.

    Example:
        >>> import torch
        >>> Pad1d(((2, 1),), mode="symmetric")(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[2., 1., 1., 2., 3., 3.]])
    """

    rank = 1


class Pad2d(PadModule):
    """Pad (N, C, H, W) or (C, H, W) in any mode of `cnnatomy.pad`.

    Args:
        padding: cells, an int or one entry per axis (y, x), each an int or a pair; negative ones crop.
        mode: a mode's name, or a function.
        options: the mode's option, as `cnnatomy.pad` takes it.

    Raises:
        ArgumentError: padding is no width or has another number of entries; `forward` checks the rest.

    Example:
        >>> import torch
        >>> Pad2d(((1, 0), 2), mode="edge")(torch.rand(8, 3, 32, 32)).shape
        torch.Size([8, 3, 33, 36])
    """

    rank = 2


class Pad3d(PadModule):
    """Pad (N, C, D, H, W) or (C, D, H, W) in any mode of `cnnatomy.pad`.

    Example:
        >>> import torch
        >>> Pad3d(1, mode="wrap")(torch.rand(2, 3, 4, 5, 6)).shape
        torch.Size([2, 3, 6, 7, 8])
    """

    rank = 3
