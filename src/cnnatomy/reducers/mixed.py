"""Mixed pooling: between max and mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import (
    Field,
    Fold,
    Lane,
    Learned,
    Line,
    Output,
    Pooling,
    Reducer,
    State,
    Windows,
)
from cnnatomy.reducers.max import Max
from cnnatomy.reducers.mean import Mean
from cnnatomy.reducers.shared import parameter_checks

if TYPE_CHECKING:
    from torch import Tensor

_MAX, _MEAN = Max(), Mean()


@dataclass(frozen=True)
class Mixed(Fold):
    """Something of both the largest value and the mean: y = a max_i x_i + (1 - a) mean_i x_i.

    Ties and NaN are as in max pooling. A region without any tap gives NaN.

    Args:
        share: a, from 0 to 1; where it is learned, its starting value.
        learned: how many shares are learned: 0 none, 1 that all channels share, or one for each. A learned
            share is used as it is: to keep it between 0 and 1, give a sigmoid of your own parameter.
        random: in training, draw for every call whether all regions take max (with probability a) or mean;
            outside of training they take the blend, which is what is expected.

    Raises:
        ArgumentError: the share is not from 0 to 1, `learned` is no such number, or the share is both
            learned and random.

    Source: Lee, Gallagher & Tu, "Generalizing pooling functions in convolutional neural networks: mixed,
    gated, and tree", AISTATS 2016; for random choice Yu, Wang, Chen & Wei, "Mixed pooling for convolutional
    neural networks", RSKT 2014.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 4.0, 2.0, 3.0]]])
        >>> cnnatomy.pool(x, Mixed(), 2, rank=1)
        tensor([[[3.2500, 2.7500]]])
    """

    share: float = 0.5
    learned: int = 0
    random: bool = False

    name = "mixed"
    summary = "a share of the largest value, and the rest of the mean"
    formula = "a max_i x_i + (1 - a) (1/n) sum_i x_i"
    source = "Lee, Gallagher & Tu 2016"
    gradient: ClassVar[Literal["pairs"]] = "pairs"
    saves: ClassVar[tuple[Field, ...]] = ("tap",)
    counts: ClassVar[bool] = True
    identity = (0.0, *_MAX.identity)

    def __post_init__(self) -> None:
        parameter_checks.real(self, "share", "a number from 0 to 1", lambda share: 0 <= share <= 1)
        parameter_checks.learned(self)
        if not isinstance(self.random, bool) or (self.random and self.learned):
            expected = "a truth value, and no learned share beside a random one"
            raise ArgumentError("Mixed has no such choice", expected=expected, got=f"random={self.random!r}")
        object.__setattr__(self, "draws", self.random)
        super().__post_init__()

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """Both definitions in their shares."""
        best, mean = _MAX.define(windows)[0], _MEAN.define(windows)[0]
        return self.share * best + (1 - self.share) * mean, None

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """Both in their shares; where one of them was drawn, it has all."""
        import torch

        share = learned.get("share", torch.tensor(self.share, dtype=torch.float64)).reshape(1, -1, 1)
        if self.random and windows.noise is not None:
            share = (windows.noise < self.share).to(windows.values.dtype)
        return Line("{a}·max(<{x};, >) + {rest}·(<{x}; + >)/{n}", {}, {"a": share, "rest": 1 - share})

    @property
    def blended(self) -> bool:
        """True if the share is learned or drawn."""
        return self.learned > 0 or self.random

    @property
    def parameters(self) -> tuple[Learned, ...]:
        """The shares."""
        return Learned.shared("share", self.share, self.learned)

    def settled(self) -> Reducer:
        """The blend that random choice gives on average."""
        return Mixed(self.share) if self.random else self

    def blend(self, x: Tensor, pool: Pooling, inputs: Mapping[str, Tensor]) -> Tensor:
        """Max and mean in their shares, or the one that is drawn."""
        import torch

        best, mean = pool(x, _MAX), pool(x, _MEAN)
        if self.random:
            return torch.where(inputs["draw"] < self.share, best, mean)
        share = inputs["share"]
        return share * best + (1 - share) * mean

    def fields(self, track: bool) -> tuple[Field, ...]:
        """(sum, best) or (sum, best, tap)"""
        return ("value", "value", "tap") if track else ("value", "value")

    def lift(self, values: State, tap: Lane | None) -> State:
        """(value, value, tap)"""
        return (*values, *_MAX.lift(values, tap))

    def step(self, state: State, values: State, tap: Lane | None) -> State:
        """One more value to the sum, and to the largest."""
        return (state[0] + values[0], *_MAX.step(state[1:], values, tap))

    def merge(self, state: State, other: State) -> State:
        """Both sums, and the larger of both."""
        return (state[0] + other[0], *_MAX.merge(state[1:], other[1:]))

    def finish(self, state: State, count: Lane) -> Lane:
        """a best + (1 - a) sum / count"""
        return state[1] * self.share + state[0] * (1 - self.share) / count

    def output_terms(self, grad: Lane, output: Output) -> State:
        """(tap, what the winner gets, what the others get)"""
        others = grad * (1 - self.share) / output.count
        return output.saved[0], others + grad * self.share, others

    def grad_terms(self, own: State, given: State, tap: Lane) -> State:
        """dy/dx_i = (1 - a) / n, and a more for the winner."""
        winner, most, rest = given
        return (tap.same(winner).select(most, rest),)
