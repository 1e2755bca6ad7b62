"""What every pooling declares, whatever its kind."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy import spec
from cnnatomy.reducers.contract.fast_forms import FastPath
from cnnatomy.reducers.contract.lanes import Field, Lane, State
from cnnatomy.reducers.contract.learned import Learned
from cnnatomy.regions import Axis, Region

if TYPE_CHECKING:
    from torch import Tensor


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


class Registry(dict[str, "type[Reducer]"]):
    """Every pooling by its name; shown in a notebook, a table of them."""

    def _repr_markdown_(self) -> str:
        rows = [
            f"| `{name}` | {kind.summary} | `{_cell(kind.formula)}` |" for name, kind in sorted(self.items())
        ]
        return "\n".join(["| pooling | y | formula |", "| --- | --- | --- |", *rows])


def _cell(formula: str) -> str:
    return formula.replace("|", "\\|")


class Reducer(metaclass=spec.Family):
    """One pooling: its plain-torch definition, and what every kind of reducer declares.

    `gradient` says how dy/dx is gathered:

    - `"winner"`: an output's gradient goes to its one selected tap, whose number is saved;
    - `"sum"`: an input's gradient is `collect(sum of spread(grad, output), x)` over the outputs that read it;
    - `"pairs"`: it is the sum of `grad_terms(input_terms(x), output_terms(grad, output), tap)` over them.
    """

    kinds: ClassVar[dict[str, type[Reducer]]] = {}
    registry: ClassVar[Registry] = Registry()
    if TYPE_CHECKING:
        text: str
        """The printed form, made once so that compilers see a constant."""
        takes: tuple[str, ...]
        """The names of everything that must be given beside x: companions, and learned parameters."""

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()  # names of the literature; the first is what notation prints
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

        `inputs` are the learned parameters: one value, or shaped (C, 1, ..) for x if there is one for each
        channel, or (ranks,) if there is one for each rank; and for a blend that draws `"draw"`, one number
        from [0, 1) for the whole call.
        """
        raise TypeError(f"{self} is no blend")

    @property
    def parameters(self) -> tuple[Learned, ...]:
        """The learned parameters: none for most."""
        return ()

    @property
    def learns(self) -> dict[str, tuple[float, ...]]:
        """The names of the learned parameters, and their starting values."""
        return {one.name: one.start for one in self.parameters}

    def settled(self) -> Reducer:
        """The pooling that stands for this one outside of training: without chance, if this draws."""
        return self

    @property
    def fast(self) -> FastPath:
        """What makes this pooling faster without changing it: nothing for most."""
        return FastPath()

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

    def output_terms(self, grad: Lane, output: Output) -> State:
        """What is worked out once for an output, for all inputs that it reads (`gradient = "pairs"`)."""
        return (grad, *output.saved)

    def input_terms(self, values: State) -> State:
        """What is worked out once for x and its companions, for all outputs that read them (`"pairs"`)."""
        return values

    def grad_terms(self, own: State, given: State, tap: Lane) -> State:
        """What one output adds to the gradients of x and its companions (`gradient = "pairs"`).

        `tap` is the input's number in the output's window.
        """
        raise TypeError(f"{self} has no grad_terms")


def _home(kind: type[Reducer]) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__


@lru_cache(maxsize=1024)
def _parse(text: str) -> Reducer:
    return spec.parse(text, Reducer.kinds, "reducer")
