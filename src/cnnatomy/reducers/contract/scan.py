"""Poolings that read the taps of a window several times, in order: ranks, and draws by weight."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cnnatomy.reducers.contract.lanes import Field, Lane, Mask, State
from cnnatomy.reducers.contract.reducer import Reducer


@dataclass(frozen=True)
class Tap:
    """One tap of a window that is read as a whole; `inside` is None where no lane's can lie in padding."""

    value: Lane
    number: Lane
    inside: Mask | None = None


Step = Callable[[State, Tap], State]


class Taps(Protocol):
    """A window as a `Scan` sees it."""

    @property
    def count(self) -> Lane:
        """How many taps lie in the input, as a value."""
        ...

    @property
    def tracks(self) -> bool:
        """Whether what backward needs must be found."""
        ...

    @property
    def few(self) -> Sequence[Tap] | None:
        """All taps in order, in registers, if they are few; None where they must be visited in a loop."""
        ...

    @property
    def all_inside(self) -> bool:
        """True if it is known that no tap of `few` lies in padding."""
        ...

    @property
    def noise(self) -> Lane:
        """A number drawn uniformly from [0, 1), for reducers that draw."""
        ...

    def fold(self, state: State, step: Step, fields: Sequence[Field]) -> State:
        """`step` through the taps inside the input, in row-major order; `fields` are the state's kinds."""
        ...

    def repeat(self, times: int, state: State, body: Callable[[State], State]) -> State:
        """`body` applied over and over to a state of any lanes, as a loop."""
        ...


class Scan(Reducer):
    """A pooling that reads the taps of a window several times, in row-major order."""

    @abstractmethod
    def scan(self, taps: Taps) -> State:
        """y, and after it what is saved for backward (one number for each of `saves`) if `taps.tracks`."""
