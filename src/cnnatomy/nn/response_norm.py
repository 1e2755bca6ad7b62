"""Local response normalisation, by torch's formula and by the papers'."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnatomy.backends import FLOATING
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import per_axis
from cnnatomy.ops.routing import demand_dense, overridable


class LocalResponseNorm(nn.LocalResponseNorm):
    """Divide every value by those of the neighbouring channels: y[c] = x[c] / (k + a sum_j x[j]^2)^beta.

    j runs over the n channels c - floor(n / 2) .. c - floor(n / 2) + n - 1 that exist. torch divides alpha by
    the window, a = alpha / n, also where channels are missing; Krizhevsky et al. do not, a = alpha, and the
    parameters that they and later papers print are meant so. `divide` says which; left out it is torch's.
    `LocalResponseNorm(5, 5e-4, 0.75, 2.0)` and `LocalResponseNorm.alexnet()` are thus one and the same.

    Args:
        size: n, the channels of a window.
        alpha: the weight of the squares.
        beta: the exponent.
        k: what is added to them.
        divide: True for a = alpha / n, False for a = alpha.

    Shapes: (N, C, *) -> the same. bfloat16 and float16 compute in float32.

    Raises:
        ArgumentError: size is no int >= 1.

    Source: Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional neural networks",
    NIPS 2012, section 3.3: n = 5, k = 2, alpha = 1e-4, beta = 0.75.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[1.0], [2.0], [3.0]]])
        >>> LocalResponseNorm(3, alpha=1.0, beta=1.0, k=0.0, divide=False)(x).flatten()
        tensor([0.2000, 0.1429, 0.2308])
        >>> LocalResponseNorm(3, alpha=3.0, beta=1.0, k=0.0)(x).flatten()
        tensor([0.2000, 0.1429, 0.2308])
    """

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, *, divide: bool = True
    ) -> None:
        if not isinstance(divide, bool):
            raise ArgumentError("divide is not a bool", expected="True or False", got=repr(divide))
        super().__init__(per_axis((size,), 1, "size")[0], alpha, beta, k)
        self.divide = divide

    @classmethod
    def alexnet(cls) -> LocalResponseNorm:
        """The paper's: n = 5, alpha = 1e-4, beta = 0.75, k = 2, undivided.

        Example:
            >>> LocalResponseNorm.alexnet()
            LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=2.0, divide=False)
        """
        return cls(5, 1e-4, 0.75, 2.0, divide=False)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *) -> the same."""
        alpha = self.alpha if self.divide else self.alpha * self.size
        return _normed(input, self.size, alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The parameters."""
        parameters: str = super().extra_repr()  # type: ignore[no-untyped-call]
        return parameters + ("" if self.divide else ", divide=False")


@overridable
def _normed(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    demand_dense("local response normalisation", x, FLOATING)
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return F.local_response_norm(wide, size, alpha, beta, k).to(x.dtype)
