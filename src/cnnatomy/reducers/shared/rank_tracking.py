"""What median, quantile and k-th value share: one rank of a window, found and tracked."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.reducers.contract import Field, Line, Scan, State, Taps, Windows
from cnnatomy.reducers.shared import order_statistics

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Order(Scan):
    """The value of one rank of a region: x_(r), where x_(0) <= x_(1) <= .. are its values in order.

    The first tap of that value in row-major order is the winner and takes the whole gradient. A NaN wins, the
    last of several; a region without any tap is NaN (0 for integers).
    """

    gradient: ClassVar[Literal["winner"]] = "winner"
    saves: ClassVar[tuple[Field, ...]] = ("tap",)

    @property
    @abstractmethod
    def rank(self) -> order_statistics.Rank:
        """Which of the values in order, from the least."""

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """The rank, and the values in order."""
        import torch

        taps = windows.inside.shape[-1]
        return of_rank(
            windows, torch.tensor([self.rank.of(n) for n in range(taps + 1)])[windows.inside.sum(-1)]
        )

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """Sort, and look where the value stands first; or the last NaN."""
        import torch

        values, inside, taps = windows.values, windows.inside, windows.inside.shape[-1]
        rank = torch.tensor([self.rank.of(n) for n in range(taps + 1)])[inside.sum(-1).cpu()]
        rank = rank.to(values.device).expand(values.shape[:-1]).unsqueeze(-1)
        wanted = ordered(windows).detach().gather(-1, rank)
        place = torch.arange(taps, device=values.device)
        first = torch.where(inside & (values == wanted), place, taps).amin(-1)
        nan = torch.where(inside & values.isnan(), place, -1).amax(-1)
        winner = torch.where(nan < 0, torch.where(first < taps, first, -1), nan)
        y = values.gather(-1, winner.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return torch.where(winner < 0, nothing(y.dtype), y), winner

    def scan(self, taps: Taps) -> State:
        """The value, and the first tap that has it."""
        (y,) = order_statistics.find(taps, [self.rank])
        return (y, order_statistics.first(taps, y)) if taps.tracks else (y,)


def ordered(windows: Windows, descending: bool = False) -> Tensor:
    """The values of every window in order, equal ones in row-major order, those in the padding last."""
    return windows.values.gather(-1, ranked(windows, descending))


def ranked(windows: Windows, descending: bool = False) -> Tensor:
    """The taps of every window in the order of their values, equal ones as they lie, padding last."""
    import torch

    values = windows.values.detach()
    tap = torch.argsort(values, dim=-1, descending=descending, stable=True)
    outside = (~windows.inside).to(torch.uint8).expand(values.shape).gather(-1, tap)
    return tap.gather(-1, torch.argsort(outside, dim=-1, stable=True))


def of_rank(windows: Windows, rank: Tensor) -> Line:
    """The line of the value of a rank; of values with a NaN, the last in order, that is the result."""
    import torch

    last = windows.inside.sum(-1) - 1
    spoilt = (windows.inside & windows.values.isnan()).any(-1)
    rank = torch.where(spoilt, last, torch.minimum(rank, last))
    return Line("x_({rank}) of <{x};, >", {}, {"rank": rank}, ranked(windows))


def nothing(dtype: torch.dtype) -> float:
    """The result of a window without any tap."""
    return math.nan if dtype.is_floating_point else 0
