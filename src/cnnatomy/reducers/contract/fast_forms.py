"""Optional speed: arithmetic for ordinary values that says where it was wrong, and torch's own operators.

A pooling is complete without any of it. What is here only makes it faster, and must not change a result by
more than rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cnnatomy.reducers.contract.folding import Folding
from cnnatomy.reducers.contract.lanes import Lane, Mask, State

if TYPE_CHECKING:
    from torch import Tensor


class FastFold(Folding, ABC):
    """A cheaper fold for ordinary values; windows whose state is not trusted are folded again by the reducer.

    What it keeps for backward means the same as what the reducer keeps.
    """

    @abstractmethod
    def trusts(self, state: State) -> Mask:
        """Whether the result of a whole window's state is right."""


class FastPull(ABC):
    """Cheaper `grad_terms` for inputs that a single output reads: no term of their own is worth keeping.

    Where an output is not trusted, its inputs get the reducer's own `grad_terms`.
    """

    @abstractmethod
    def grad_terms(self, values: State, given: State, tap: Lane) -> State:
        """The gradients of x and its companions: `grad_terms(input_terms(values), given, tap)`, cheaper."""

    @abstractmethod
    def trusts(self, given: State) -> Mask:
        """Whether `grad_terms` is right for these terms of an output."""


@dataclass(frozen=True)
class TorchOperator:
    """The operator of torch that computes the same pooling.

    Args:
        family: `torch.nn.functional.max_pool2d` and `adaptive_max_pool2d`, or those of `avg`, at any rank.
        whole: torch's reduction over whole axes, if it computes just this.
        negated: the operator pools -x, and its result is negated.
        counts_padding: averages count taps in the padding.
        power: the operator averages |x|^power, and the root of the sum is taken; None for x itself.
    """

    family: Literal["max", "avg"]
    whole: Literal["amax", "amin", "mean"] | None = None
    negated: bool = False
    counts_padding: bool = False
    power: float | None = None

    def over(self, x: Tensor, axes: Sequence[int], out: Tensor | None = None) -> Tensor:
        """Pool x over whole axes, which stay with size 1, where `whole` is given; into `out` if given."""
        import torch

        pooled: Tensor = getattr(torch, str(self.whole))(x, list(axes), keepdim=True, out=out)
        return pooled


@dataclass(frozen=True)
class FastPath:
    """Everything that makes one pooling faster."""

    fold: FastFold | None = None
    pull: FastPull | None = None
    torch: TorchOperator | None = None
