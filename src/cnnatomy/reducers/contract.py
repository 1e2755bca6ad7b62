"""What a pooling is: its plain-torch definition, and the scalar functions that fast backends are made from.

A reducer is written once, in scalar form, as plain Python expressions on `Lane` values. A backend traces them
over vectors of its own kind, so a reducer knows nothing of layouts, paddings, strides or threads. There are
three kinds:

- a `Fold` reads each tap once. It is a monoid, so a window is folded down its rows, then across its columns;
- a `Scan` reads its taps several times, in order: ranks, and draws by weight;
- a blend has no kernel of its own: it is made of other poolings (`blended` is true).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from cnnatomy import spec
from cnnatomy.regions import Axis, Region

if TYPE_CHECKING:
    from torch import Tensor

BEYOND = 2.0**11
"""An exponent beyond those of every format."""

NO_TAP = 2**30
"""The tap of a window that has none: larger than every real tap, so that it loses every tie."""


class Mask(Protocol):
    """One truth value for each lane."""

    def __and__(self, other: Mask, /) -> Mask: ...
    def __or__(self, other: Mask, /) -> Mask: ...
    def __invert__(self) -> Mask: ...
    def select(self, yes: Lane, no: Lane | float, /) -> Lane:
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

    def like(self, number: float, /) -> Lane:
        """A constant of this kind in every lane."""
        ...

    def most(self, other: Lane | float, /) -> Lane:
        """The larger of two; where either is NaN, `other`. A single instruction."""
        ...

    def least(self, other: Lane | float, /) -> Lane:
        """The smaller of two; where either is NaN, `other`. A single instruction."""
        ...

    def maximum(self, other: Lane, /) -> Lane:
        """The larger of two; NaN where either is."""
        ...

    def minimum(self, other: Lane, /) -> Lane:
        """The smaller of two; NaN where either is."""
        ...

    def abs(self) -> Lane:
        """|v|"""
        ...

    def sqrt(self) -> Lane:
        """The square root, correctly rounded."""
        ...

    def floor(self) -> Lane:
        """The largest integral value that is not larger."""
        ...

    def exponential(self) -> tuple[Lane, Lane]:
        """(m, k) with e^v = m 2^k, k integral and 0.7 < m < 1.42: no v overflows.

        e^-inf is (0, a very small k), e^inf is (inf, a very large k), e^NaN is (NaN, some k).
        """
        ...

    def split(self) -> tuple[Lane, Lane]:
        """(m, k) with v = m 2^k for v >= 0, k integral and 1/sqrt 2 <= m < sqrt 2.

        0 is (0, a very small k), infinity (infinity, a very large k), NaN (NaN, some k).
        """
        ...

    def exp(self) -> Lane:
        """e^v, to 2 units in the last place."""
        ...

    def decay(self) -> Lane:
        """e^v for v <= 88, to 2 units in the last place; nearly 0 where it is below every normal number."""
        ...

    def log(self) -> Lane:
        """ln v, to 3 units in the last place; -inf at 0, NaN below."""
        ...

    def over(self, power: Lane, factor: Lane, /) -> Lane:
        """factor e^v / 2^power for a finite factor and an integral |power| < BEYOND.

        e^v must not be much more than 2^power. Right to 3 units in the last place, and as many more as this
        is halvings below 1; where that is below every normal number, nearly 0, and 0 of e^-inf.
        """
        ...

    def scale(self, power: Lane, /) -> Lane:
        """v 2^power for an integral power, however large or small.

        2^power is 0 where it is below every normal number; a power that is NaN counts as minus infinity.
        """
        ...

    def ordered(self) -> Lane:
        """An integer whose order is the order of the values, the same for 0 and -0."""
        ...

    def unordered(self) -> Lane:
        """The value that an integer from `ordered` came from."""
        ...

    def halved(self) -> Lane:
        """Of integers: half, rounded down."""
        ...

    def __and__(self, other: Lane, /) -> Lane:
        """Of integers: the bits that both have."""
        ...

    def __xor__(self, other: Lane, /) -> Lane:
        """Of integers: the bits that one of the two has."""
        ...

    @property
    def bits(self) -> int:
        """How many bits a value and its integer have."""
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
        companions: further inputs, each laid out as `values`
        noise: (N, C, *out), uniform in [0, 1), for reducers that draw
    Taps are in row-major order.
    """

    values: Tensor
    inside: Tensor
    divisor: Tensor
    companions: tuple[Tensor, ...] = ()
    noise: Tensor | None = None


@dataclass(frozen=True)
class Line:
    """How the result of a window is written out, so that a reader can follow and evaluate it.

    In `text`, `{name}` is a number of the window, and `<..{name}..;separator>` stands once for each tap, with
    the separator between. `{x}` is a tap's value and `{n}` what a mean divides by. The signs are those of
    formulas: `+ - · / ^ ( )`, `√( )`, `ln( )`, `e^( )`, `max( )`, `min( )`, and `x_(r) of ..` for the value
    of rank r among values in order, counted from 0.

    Args:
        text: the expression.
        taps: further numbers of the taps, (N, C, *out, T).
        steps: further numbers of the windows, (N, C, *out) or of a shape that expands to it.
        order: (N, C, *out, K), the taps that are written, in that order, -1 for none; all that lie inside,
            in row-major order, if left out.

    Example:
        >>> Line("(<{x}; + >)/{n}")
        Line(text='(<{x}; + >)/{n}', taps={}, steps={}, order=None)
    """

    text: str
    taps: Mapping[str, Tensor] = field(default_factory=dict)
    steps: Mapping[str, Tensor] = field(default_factory=dict)
    order: Tensor | None = None


@dataclass(frozen=True)
class Output:
    """What a derivative knows of one output: its result, what was saved beside it, and its divisor."""

    y: Lane
    saved: State
    count: Lane


Pooling = Callable[["Tensor", "Reducer"], "Tensor"]
"""Pool a tensor over the region at hand with another reducer."""


class Reducer(metaclass=spec.Family):
    """One pooling: its plain-torch definition, and what every kind of reducer declares.

    `gradient` says how dy/dx is gathered:

    - `"winner"`: an output's gradient goes to its one selected tap, whose number is saved;
    - `"sum"`: an input's gradient is `collect(sum of spread(grad, output), x)` over the outputs that read it;
    - `"pairs"`: it is the sum of `pull(own(x), give(grad, output), tap)` over them.
    """

    kinds: ClassVar[dict[str, type[Reducer]]] = {}
    registry: ClassVar[dict[str, type[Reducer]]] = {}
    if TYPE_CHECKING:
        text: str
        """The printed form, made once so that compilers see a constant."""
        takes: tuple[str, ...]
        """The names of everything that must be given beside x: companions, and learned parameters."""

    name: ClassVar[str]
    summary: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    work: ClassVar[str | None] = None  # the arithmetic of one tap; None if it depends on the data
    gradient: ClassVar[Literal["winner", "sum", "pairs"]]
    saves: ClassVar[tuple[Field, ...]] = ()  # what forward keeps for backward beside x and y
    reads: ClassVar[tuple[Literal["x", "y"], ...]] = ()  # which of the two backward looks at
    companions: ClassVar[tuple[str, ...]] = ()  # names of further inputs of x's shape
    draws: ClassVar[bool] = False  # whether results depend on noise
    linear: ClassVar[bool] = False
    counts: ClassVar[bool] = False  # whether anything looks at the count
    mixes: ClassVar[bool] = False  # whether channels meet: then `across` is what computes
    positive: ClassVar[bool] = False  # whether it is meant for values above 0; tests and peers get such
    squares: ClassVar[bool] = False  # whether it sums squares as they are, which overflow where y does not

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
        object.__setattr__(self, "takes", (*self.companions, *self.learns))

    @abstractmethod
    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """The truth: y of shape (N, C, *out), and the winners' positions among the T taps if this selects.

        A window without any tap has the winner -1.
        """

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """How the results of these windows are written; `learned` are the parameters of `learns`.

        As it comes, the name and the values.
        """
        return Line(f"{self.name}(<{{x}};, >)")

    @property
    def selects(self) -> bool:
        """True if the result is one of the window's own values."""
        return not self.blended and self.gradient == "winner"

    @property
    def sparse(self) -> bool:
        """True if no input has a gradient but those whose taps `keep` gives, each of `saves` being one."""
        return self.selects

    @property
    def blended(self) -> bool:
        """True if this is made of other poolings by `blend`, and has no kernel."""
        return False

    def blend(self, x: Tensor, pool: Pooling, inputs: Mapping[str, Tensor]) -> Tensor:
        """The pooling of x made of others, differentiable, where `blended` is true.

        `inputs` are the learned parameters of `learns`, each of one value or shaped (C, 1, ..) for x; and
        for a blend that draws `"draw"`, one number from [0, 1) for the whole call.
        """
        raise TypeError(f"{self} is no blend")

    @property
    def learns(self) -> dict[str, tuple[float, ...]]:
        """The starting values of learned parameters: one that all channels share, or one for each."""
        return {}

    def settled(self) -> Reducer:
        """The pooling that stands for this one outside of training: without chance, if this draws."""
        return self

    @property
    def whole_map(self) -> bool:
        """True if torch has an operator for just this over whole axes, `at_once`."""
        return False

    def at_once(self, x: Tensor, axes: Sequence[int], out: Tensor | None = None) -> Tensor:
        """Pool x over whole axes, which stay with size 1, where `whole_map` is true; into `out` if given."""
        raise TypeError(f"torch has no operator for {self} over whole axes")

    def across(self, x: Tensor, region: Region) -> Tensor:
        """The pooling of x (N, C, *spatial) to (N, D, *out), where `mixes` is true."""
        raise TypeError(f"{self} pools each channel by itself")

    def divisors(self, axes: Sequence[Axis]) -> tuple[tuple[float, ...], ...]:
        """For every axis and output, the factors whose product is `count`: the taps inside the input."""
        return tuple(axis.table.count for axis in axes)

    def spread(self, grad: Lane, output: Output) -> Lane:
        """What one output adds to the sums of the inputs it reads (`gradient = "sum"`)."""
        return grad

    def collect(self, total: Lane, x: Lane) -> Lane:
        """The gradient of an input from the sum over the outputs that read it (`gradient = "sum"`)."""
        return total

    def give(self, grad: Lane, output: Output) -> State:
        """What one output tells each input that it reads (`gradient = "pairs"`)."""
        return (grad, *output.saved)

    def own(self, values: State) -> State:
        """What an input, x and its companions, brings to all outputs that read it (`gradient = "pairs"`)."""
        return values

    def pull(self, own: State, given: State, tap: Lane) -> State:
        """What one output adds to the gradients of x and its companions (`gradient = "pairs"`).

        `tap` is the input's number in the output's window.
        """
        raise TypeError(f"{self} has no pull")

    def sole(self, values: State, given: State, tap: Lane) -> State:
        """As `pull`, of an input that no other output reads, so that nothing of its own is worth keeping."""
        return self.pull(self.own(values), given, tap)

    def usual(self, given: State) -> Mask | None:
        """Whether `sole` can be told this, where it is a shorter way; None if it can be told anything.

        What it cannot be told, `pull` is. Only for gradients in pairs.
        """
        return None


class Fold(Reducer):
    """A pooling that reads each tap once.

        state = lift(first value)                      for every column of the window's rows
        state = step(state, next value)                down the rows
        state = merge(state, state of the next column) across the columns
        y     = finish(state, count)

    Padding never enters a window: outside the input the state is `identity`, which `merge` must leave unseen.
    """

    identity: tuple[float, ...]

    @abstractmethod
    def lift(self, values: State, tap: Lane | None) -> State:
        """The state of a window of one tap, x and its companions; `tap` is None where nothing is saved."""

    @abstractmethod
    def merge(self, state: State, other: State) -> State:
        """The state of two parts of a window; the taps of both are numbered in the whole window."""

    @abstractmethod
    def finish(self, state: State, count: Lane) -> Lane:
        """The result of a window; `count` is what a mean divides by."""

    def step(self, state: State, values: State, tap: Lane | None) -> State:
        """The state after one more tap, which comes after all the others."""
        return self.merge(state, self.lift(values, tap))

    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """What is saved for backward, one number for each of `saves`: by default the state's last fields."""
        return state[len(state) - len(self.saves) :]

    def fields(self, track: bool) -> tuple[Field, ...]:
        """What each number of the state is, where backward will be asked for or not."""
        return ("value", "tap") if track and self.selects else ("value",)

    @property
    def quick(self) -> Fold | None:
        """A cheaper fold of the same kind, tried first: right wherever it `trusts` its own state."""
        return None

    def trusts(self, state: State) -> Mask:
        """Whether the result of a whole window's state is right."""
        return state[0].same(state[0]) | state[0].isnan()


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


def _home(kind: type[Reducer]) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__


@lru_cache(maxsize=1024)
def _parse(text: str) -> Reducer:
    return spec.parse(text, Reducer.kinds, "reducer")
