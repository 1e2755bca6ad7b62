"""What max and min share: one tap wins the window, and takes its gradient."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.reducers.contract import Field, Fold, Lane, Mask, State, Windows

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Extreme(Fold):
    """The value that beats all others; of equal values the first in row-major order, and a NaN beats all.

    Among several NaN the last wins: so does torch's pooling, whose scan replaces its winner at every NaN.
    """

    gradient: ClassVar[Literal["winner"]] = "winner"
    saves: ClassVar[tuple[Field, ...]] = ("tap",)

    @abstractmethod
    def beats(self, one: Lane, other: Lane) -> Mask:
        """True where `one` is strictly better."""

    @abstractmethod
    def better(self, one: Lane, other: Lane) -> Lane:
        """The better of two; NaN where either is."""

    @abstractmethod
    def best(self, values: Tensor) -> Tensor:
        """The best value along the last axis; NaN if there is one."""

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """The best value's first place, or the last NaN's."""
        import torch

        inside, taps = windows.inside, windows.inside.shape[-1]
        values = torch.where(inside, windows.values, self._worst(windows.values.dtype))
        place = torch.arange(taps, device=values.device)
        best = self.best(values.detach()).unsqueeze(-1)
        first = torch.where(inside & (values == best), place, taps).amin(-1)
        nan = torch.where(inside & values.isnan(), place, -1).amax(-1)
        winner = torch.where(nan < 0, torch.where(first < taps, first, -1), nan)
        return values.gather(-1, winner.clamp(min=0).unsqueeze(-1)).squeeze(-1), winner

    def _worst(self, dtype: torch.dtype) -> float:
        import torch

        if dtype.is_floating_point:
            return self.identity[0]
        return torch.iinfo(dtype).min if self.identity[0] < 0 else torch.iinfo(dtype).max

    def lift(self, values: State, tap: Lane | None) -> State:
        """(value, tap)"""
        return values if tap is None else (*values, tap)

    def step(self, state: State, values: State, tap: Lane | None) -> State:
        """A later tap wins if it is better or NaN."""
        (value,) = values
        if tap is None:
            return (self.better(state[0], value),)
        wins = self.beats(value, state[0]) | value.isnan()
        return wins.select(value, state[0]), wins.select(tap, state[1])

    def merge(self, state: State, other: State) -> State:
        """The better of two; of equals the smaller tap, of NaNs the larger."""
        if len(state) == 1:
            return self.step(state, other, None)
        (best, tap), (value, at) = state, other
        ahead: Mask = value.isnan() & (~best.isnan() | (at > tap))
        wins = self.beats(value, best) | (value.same(best) & (at < tap)) | ahead
        return wins.select(value, best), wins.select(at, tap)

    def finish(self, state: State, count: Lane) -> Lane:
        """The winner's value."""
        return state[0]
