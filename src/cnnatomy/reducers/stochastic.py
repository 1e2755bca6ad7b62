"""Stochastic pooling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.reducers.contract import Field, Lane, Line, Reducer, Scan, State, Tap, Taps, Windows
from cnnatomy.reducers.expected import Expected
from cnnatomy.reducers.shared import parameter_checks
from cnnatomy.reducers.shared.order_statistics import no_tap
from cnnatomy.reducers.shared.rank_tracking import nothing
from cnnatomy.reducers.soft import Soft

if TYPE_CHECKING:
    from torch import Tensor

_TINY = 2.0**-126  # the smallest normal number in single precision


@dataclass(frozen=True)
class Stochastic(Scan):
    """One value of a region, drawn by weight: y = x_k with probability p_k = w_k / sum_i w_i.

    The draw takes the first tap at which the running sum of the weights exceeds u sum_i w_i, with u uniform
    in [0, 1), and that tap takes the whole gradient. By value, w_i = max(x_i, 0), and all are equally likely
    if none is positive; by `"exp"`, w_i = e^{x_i}. A value of plus infinity leaves no chance to finite ones.
    A NaN wins, the last of several; a region without any tap is NaN. Outside of training the expected value
    takes its place: `Expected`, or `Soft`.

    Args:
        weights: `"value"` or `"exp"`.

    Raises:
        ArgumentError: there are no such weights.

    Source: Zeiler & Fergus, "Stochastic pooling for regularization of deep convolutional neural networks",
    ICLR 2013, equations 5 and 6.

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 0.0, 0.0, 3.0]]])
        >>> cnnatomy.pool(x, cnnatomy.Stochastic(), 2, training=True, seed=0, rank=1)
        tensor([[[1., 3.]]])
        >>> cnnatomy.Stochastic().settled()
        Expected()
    """

    weights: Literal["value", "exp"] = "value"

    name = "stochastic"
    summary = "a value drawn by weight"
    formula = "x_k, k drawn with p_k = w_k / sum_i w_i"
    source = "Zeiler & Fergus 2013"
    gradient: ClassVar[Literal["winner"]] = "winner"
    saves: ClassVar[tuple[Field, ...]] = ("tap",)
    draws: ClassVar[bool] = True
    positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        parameter_checks.word(self, "weights", ("value", "exp"))
        super().__post_init__()

    def settled(self) -> Reducer:
        """The expected value."""
        return Soft() if self.weights == "exp" else Expected()

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """The draw, and up to where each value would be drawn."""
        import torch

        assert windows.noise is not None, "a draw needs noise"
        weight = self._weighed(windows)
        until = weight.cumsum(-1) / weight.sum(-1, keepdim=True)
        place = torch.arange(weight.shape[-1]).expand(weight.shape)
        named = torch.where((weight != 0) | windows.values.isnan(), place, -1)
        return Line("at {u} in <{until}: {x};, >", {"until": until}, {"u": windows.noise}, named)

    def _weighed(self, windows: Windows) -> Tensor:
        """The weights, relative to that of the largest value; 0 outside."""
        import torch

        values, inside = windows.values.detach(), windows.inside
        wide = values if values.is_floating_point() else values.double()
        peak = torch.where(inside & ~wide.isnan(), wide, -math.inf).amax(-1, keepdim=True)
        if self.weights == "exp":
            weight = (wide - peak).exp()
        else:
            weight = torch.where(peak > 0, wide.clamp(min=0) / peak, 1)
        return torch.where(inside, torch.where(wide == peak, 1, weight), 0)

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """Weights relative to the largest value, their running sums, and where these pass the draw."""
        import torch

        assert windows.noise is not None, "a draw needs noise"
        values, inside, weight = windows.values.detach(), windows.inside, self._weighed(windows)
        after = weight.cumsum(-1)
        before = torch.cat([torch.zeros_like(after[..., :1]), after[..., :-1]], -1)
        drawn = (weight > 0) & (before <= windows.noise.unsqueeze(-1) * after[..., -1:])
        place = torch.arange(inside.shape[-1], device=values.device)
        nan = torch.where(inside & values.isnan(), place, -1).amax(-1)
        winner = torch.where(nan < 0, torch.where(drawn, place, -1).amax(-1), nan)
        y = windows.values.gather(-1, winner.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return torch.where(winner < 0, nothing(y.dtype), y), winner

    def scan(self, taps: Taps) -> State:
        """The largest value; the sum of the weights; and the draw."""
        none = taps.count.like(0.0)
        (peak,) = taps.fold((taps.count.like(-math.inf),), _peak, ("value",))
        even, scale, top = _by_value(peak)

        def weight(value: Lane) -> Lane:
            if self.weights == "exp":
                return value.same(peak).select(value.like(1.0), (value - peak).exp())
            return value.same(peak).select(top, even.larger(value) * scale)

        def add(state: State, tap: Tap) -> State:
            return (state[0] + weight(tap.value),)

        (total,) = taps.fold((none,), add, ("value",))
        goal, spoilt = total * taps.noise, total.isnan()

        def draw(state: State, tap: Tap) -> State:
            """The last tap at which the running sum so far does not exceed the goal; or the last NaN."""
            before, *drawn = state
            passes = before > goal
            if taps.tracks:
                passes |= spoilt & ~tap.value.isnan()
            found = (
                passes.select(old, new) for old, new in zip(drawn, (tap.value, tap.number), strict=False)
            )
            return (before + weight(tap.value), *found)

        fields: tuple[Field, ...] = ("value", "value", "tap")
        start, kept = (none, none.like(math.nan), no_tap(taps)), 3 if taps.tracks else 2
        _, y, *tap = taps.fold(start[:kept], draw, fields[:kept])
        return (spoilt.select(none.like(math.nan), y), *tap)


def _peak(state: State, tap: Tap) -> State:
    return (tap.value.larger(state[0]),)


def _by_value(peak: Lane) -> tuple[Lane, Lane, Lane]:
    """(a, b, top) with the weights max(x, a) b, and `top` that of the peak; all are 1 if none is positive.

    They are relative to the peak, so that no sum of them overflows. Beside an infinite peak they are 0.
    """
    some, one = peak > 0.0, peak.like(1.0)
    even, scale = some.select(peak.like(0.0), 1.0), some.select(one / peak.larger(_TINY), 1.0)
    return even, scale, (even.larger(peak) * scale).smaller(1.0)
