"""What a pooling is: a monoid over the taps of a window, and the derivative of its result.

A reducer is written once, in scalar form, as plain Python expressions on `Lane` values. A backend traces them
over vectors of its own kind, so a reducer knows nothing of layouts, paddings, strides or threads.

A window is folded down its rows and then across its columns:

    state = lift(first value)                      for every column of the window's rows
    state = step(state, next value)                down the rows
    state = merge(state, state of the next column) across the columns
    y     = finish(state, count)

Padding never enters a window: outside the input the state is `identity`, which `merge` must leave unseen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from cnnatomy import spec
from cnnatomy.regions import Axis

if TYPE_CHECKING:
    from torch import Tensor

NO_TAP = 2**30
"""The tap of a window that has none: larger than every real tap, so that it loses every tie."""


class Mask(Protocol):
    """One truth value for each lane."""

    def __and__(self, other: Mask, /) -> Mask: ...
    def __or__(self, other: Mask, /) -> Mask: ...
    def __invert__(self) -> Mask: ...
    def select(self, yes: Lane, no: Lane, /) -> Lane:
        """`yes` where this is true, else `no`."""
        ...


class Lane(Protocol):
    """One number for each lane: a floating-point value, or an integer tap."""

    def __add__(self, other: Lane | float, /) -> Lane: ...
    def __sub__(self, other: Lane | float, /) -> Lane: ...
    def __mul__(self, other: Lane | float, /) -> Lane: ...
    def __truediv__(self, other: Lane | float, /) -> Lane: ...
    def __gt__(self, other: Lane | float, /) -> Mask: ...
    def __lt__(self, other: Lane | float, /) -> Mask: ...
    def same(self, other: Lane | float, /) -> Mask:
        """True where the two are equal; false where either is NaN."""
        ...

    def isnan(self) -> Mask:
        """True where the value is not a number."""
        ...


State = tuple[Lane, ...]
"""One number per field of a reducer, for each lane."""

Field = Literal["value", "tap"]
"""What a number of the state is: a value in the accumulation type, or a tap's number in the window."""


@dataclass(frozen=True)
class Windows:
    """Every window of an input, laid out for the plain-torch definition of a reducer.

    Shapes, with `*out` the output's spatial sizes and T the number of taps of a whole window:
        values: (N, C, *out, T), anything where `inside` is false
        inside: (*out, T), true where the tap lies in the input
        divisor: (*out,), what a mean divides by
    Taps are in row-major order.
    """

    values: Tensor
    inside: Tensor
    divisor: Tensor


class Reducer(ABC):
    """One pooling: its plain-torch definition, and its scalar functions for the fast backends.

    `gradient` says how dy/dx is gathered. With `"winner"`, an output's gradient goes to its one selected tap,
    whose number is saved; with `"sum"`, an input's gradient is `collect(sum of spread(g, count))` over the
    outputs that read it.
    """

    kinds: ClassVar[dict[str, type[Reducer]]] = {}
    registry: ClassVar[dict[str, type[Reducer]]] = {}
    if TYPE_CHECKING:
        text: str
        """The printed form, made once so that compilers see a constant."""

    name: ClassVar[str]
    summary: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    gradient: ClassVar[Literal["winner", "sum"]]
    linear: ClassVar[bool] = False
    counts: ClassVar[bool] = False  # whether `finish` or `spread` look at the count
    identity: ClassVar[tuple[float, ...]]

    def __init_subclass__(cls) -> None:
        if "name" not in cls.__dict__:
            return
        before = (Reducer.kinds.get(cls.__name__), Reducer.registry.get(cls.name))
        if any(other and _home(other) != _home(cls) for other in before):
            raise TypeError(
                f"there is a pooling {cls.__name__!r} or {cls.name!r} already; choose other names"
            )
        Reducer.kinds[cls.__name__] = Reducer.registry[cls.name] = cls
        _parse.cache_clear()

    @staticmethod
    def parse(text: str) -> Reducer:
        """Read a reducer back from its printed form.

        Raises:
            ArgumentError: the text is no reducer.
        """
        return _parse(text)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", spec.text(self))

    @abstractmethod
    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """The truth: y of shape (N, C, *out), and the winners' positions among the T taps if this selects.

        A window without any tap has the winner -1.
        """

    @abstractmethod
    def lift(self, value: Lane, tap: Lane | None) -> State:
        """The state of a window of one tap; `tap` is None where winners need not be known."""

    @abstractmethod
    def merge(self, state: State, other: State) -> State:
        """The state of two parts of a window; the taps of both are numbered in the whole window."""

    @abstractmethod
    def finish(self, state: State, count: Lane) -> Lane:
        """The result of a window; `count` is what a mean divides by."""

    def step(self, state: State, value: Lane, tap: Lane | None) -> State:
        """The state after one more value whose tap comes after all the others."""
        return self.merge(state, self.lift(value, tap))

    def spread(self, grad: Lane, count: Lane) -> Lane:
        """What one output adds to the sums of the inputs it reads (`gradient = "sum"`)."""
        return grad

    def collect(self, total: Lane) -> Lane:
        """The gradient of an input from the sum over the outputs that read it (`gradient = "sum"`)."""
        return total

    def divisors(self, axes: Sequence[Axis]) -> tuple[tuple[float, ...], ...]:
        """For every axis and output, the factors whose product is `count`: the taps inside the input."""
        return tuple(axis.table.count for axis in axes)

    @property
    def selects(self) -> bool:
        """True if the result is one of the window's own values."""
        return self.gradient == "winner"

    def fields(self, track: bool) -> tuple[Field, ...]:
        """What each number of the state is, where winners are tracked or not."""
        return ("value", "tap") if track and self.selects else ("value",)


def _home(kind: type[Reducer]) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__


@lru_cache(maxsize=1024)
def _parse(text: str) -> Reducer:
    return spec.parse(text, Reducer.kinds, "reducer")
