"""Regions that are made of others: each part is pooled by itself, and the results are put together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from cnnatomy.errors import ArgumentError
from cnnatomy.regions.region import Axis, Region

if TYPE_CHECKING:
    from torch import Tensor

PoolOver = Callable[["Tensor", Region], tuple["Tensor", "Tensor | None"]]
"""Pool (N, C, *spatial) over a simple region: y, and where wanted every winner's flat index in the cells."""


class Composite(Region, abstract=True):
    """A region that is no table for each axis, but a way to pool over regions that are.

    The parts are pooled with ordinary operators, so derivatives, transforms and graphs come with them.
    """

    composite: ClassVar[bool] = True

    @abstractmethod
    def compose(self, x: Tensor, pool: PoolOver) -> tuple[Tensor, Tensor | None]:
        """Pool x (N, C, *spatial): the result, and where `pool` gives them the winners' flat indices in x."""

    def axes(self, size: tuple[int, ...]) -> tuple[Axis, ...]:
        """There is no one table for each axis.

        Raises:
            ArgumentError: always.
        """
        what = f"{type(self).__name__} has no table for each axis: it is made of several regions"
        raise ArgumentError(what, hint="pool, or compose")
