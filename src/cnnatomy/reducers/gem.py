"""Generalized-mean pooling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import Lane, Learned, Pooling
from cnnatomy.reducers.logsumexp import LogSumExp
from cnnatomy.reducers.shared import parameter_checks
from cnnatomy.reducers.shared.power import Power

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GeM(Power):
    """The generalized mean of a region: y = ((1/n) sum_i max(x_i, c)^p)^(1/p).

    p = 1 is the mean, and a large p comes near the largest value. Values below the clamp c count as c and get
    no gradient. A region without any tap gives NaN.

    Args:
        p: a number from 1 to 1000; where it is learned, its starting value.
        clamp: c, a positive number; None for none, where negative values give NaN.
        learned: how many p are learned: 0 none, 1 that all channels share, or one for each.

    Raises:
        ArgumentError: p or the clamp is out of range, `learned` is no such number, or p is learned without
            a clamp (its derivative has a logarithm, which 0 has not).

    Source: Radenovic, Tolias & Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2019.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 4.0, -2.0, 3.0]]])
        >>> cnnatomy.pool(x, GeM(), 2, rank=1)
        tensor([[[3.1913, 2.3811]]])
    """

    p: float = 3.0
    clamp: float | None = 1e-6
    learned: int = 0

    name = "gem"
    summary = "the p-th root of the mean of p-th powers"
    formula = "((1/n) sum_i max(x_i, c)^p)^(1/p)"
    source = "Radenovic, Tolias & Chum 2019"
    work = "s + max(x, e) ** p"
    positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        parameter_checks.real(self, "p", "a number from 1 to 1000", lambda p: 1 <= p <= 1000)
        if self.clamp is not None:
            parameter_checks.real(
                self, "clamp", "a number from 1e-30 to 1e30, or None", lambda c: 1e-30 <= c <= 1e30
            )
        parameter_checks.learned(self)
        if self.learned and self.clamp is None:
            raise ArgumentError("a learned p needs values above 0", expected="a clamp", got="None")
        super().__post_init__()

    @property
    def blended(self) -> bool:
        """True if p is learned."""
        return self.learned > 0

    @property
    def parameters(self) -> tuple[Learned, ...]:
        """The powers."""
        return Learned.shared("p", self.p, self.learned)

    def blend(self, x: Tensor, pool: Pooling, inputs: Mapping[str, Tensor]) -> Tensor:
        """e^((1/p) logsumexp(p log b)), the logarithm of the mean of powers, of b = max(x, c)"""
        p = inputs["p"]
        return (pool(self.bases(x).log() * p, LogSumExp()) / p).exp()

    def bases(self, values: Tensor) -> Tensor:
        """max(x, c), or x without a clamp: NaN below 0."""
        import torch

        return torch.where(values < 0, math.nan, values) if self.clamp is None else values.clamp(self.clamp)

    def base(self, x: Lane) -> Lane:
        """max(x, c), or x without a clamp: NaN below 0."""
        return (x < 0.0).select(x.like(math.nan), x) if self.clamp is None else x.like(self.clamp).larger(x)

    def turn(self, x: Lane, slope: Lane) -> Lane:
        """No slope below the clamp."""
        return slope if self.clamp is None else (x < self.clamp).select(slope.like(0.0), slope)
