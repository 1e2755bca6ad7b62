"""One pooling that has been done, as its gradient must know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from cnnatomy.backends.layout import is_last
from cnnatomy.reducers.contract import Reducer
from cnnatomy.regions import Region

Saved = tuple[Tensor, ...]


class Kept(NamedTuple):
    """The tensors that a gradient is made of, beside that of the output."""

    inputs: Sequence[Tensor] = ()
    """x and its companions, if the reducer neither is linear nor selects."""
    y: Tensor | None = None
    """The result, if the reducer reads it."""
    saved: Saved = ()
    """What the forward pass saved of each output."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of them in one row, which `Pooled.kept` reads."""
        return (*self.inputs, *(() if self.y is None else (self.y,)), *self.saved)


@dataclass(slots=True)
class Pooled:
    """The settings of a pooling, and the shape and layout of what it pooled."""

    region: Region
    reducer: Reducer
    size: tuple[int, ...]
    """The spatial size of x."""
    last: bool
    """Whether x has its channels last."""

    @staticmethod
    def of(x: Tensor, region: Region, reducer: Reducer) -> Pooled:
        """The pooling of x."""
        return Pooled(region, reducer, tuple(x.shape[2:]), is_last(x))

    def keep(self, inputs: Sequence[Tensor], y: Tensor, saved: Saved) -> Kept:
        """What the gradient needs of x with its companions, the result, and what was saved."""
        return Kept(inputs if curved(self.reducer) else (), y if "y" in self.reducer.reads else None, saved)

    def kept(self, tensors: Sequence[Tensor]) -> Kept:
        """The same, read back from its `tensors`."""
        held, looks = self.held, "y" in self.reducer.reads
        return Kept(tensors[:held], tensors[held] if looks else None, tuple(tensors[held + looks :]))

    @property
    def held(self) -> int:
        """How many of the inputs are kept."""
        return 1 + len(self.reducer.companions) if curved(self.reducer) else 0


def curved(reducer: Reducer) -> bool:
    """True if the gradient depends on x beyond which taps won."""
    return not (reducer.linear or reducer.selects)
