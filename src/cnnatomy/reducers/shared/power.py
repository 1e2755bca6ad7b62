"""What the poolings by powers share: the p-th root of a sum of p-th powers, which never overflow."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.reducers.contract import (
    FastFold,
    FastPath,
    Field,
    Fold,
    Lane,
    Line,
    Mask,
    Output,
    State,
    Windows,
)
from cnnatomy.reducers.shared import scaled_sums

if TYPE_CHECKING:
    from torch import Tensor


class Power(Fold):
    """y = (sum_i b_i^p)^(1/p) of bases b_i >= 0 made of the values, with 1/n inside or outside the root.

    Powers are kept as mantissas and exponents: no y that the format can hold overflows on the way. Where
    y = 0 the gradient is 0.
    """

    p: float

    gradient: ClassVar[Literal["pairs"]] = "pairs"
    saves: ClassVar[tuple[Field, ...]] = ("value",)
    reads: ClassVar[tuple[Literal["x", "y"], ...]] = ("x",)
    counts: ClassVar[bool] = True
    identity = (scaled_sums.NOTHING, 0.0)

    @property
    def division(self) -> str:
        """Where 1/n stands: `"mean"` under the root, `"size"` before it, `"sum"` nowhere."""
        return "mean"

    @abstractmethod
    def bases(self, values: Tensor) -> Tensor:
        """What is raised to the power, of a tensor."""

    @abstractmethod
    def base(self, x: Lane) -> Lane:
        """What is raised to the power."""

    @abstractmethod
    def turn(self, x: Lane, slope: Lane) -> Lane:
        """The slope of the base made that of x."""

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """The root of the powers of the bases."""
        import torch

        texts = {
            "sum": "(<{b}^{p}; + >)^(1/{p})",
            "mean": "((<{b}^{p}; + >)/{n})^(1/{p})",
            "size": "(<{b}^{p}; + >)^(1/{p})/{n}",
        }
        power = learned.get("p", torch.tensor(self.p, dtype=torch.float64))
        return Line(texts[self.division], {"b": self.bases(windows.values)}, {"p": power.reshape(1, -1, 1)})

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """The largest base times the root of the sum of (base / largest)^p."""
        import torch

        inside, bases = windows.inside, self.bases(windows.values)
        top = torch.where(inside, bases.detach(), 0).amax(-1, keepdim=True)
        top = torch.where((top > 0) & top.isfinite(), top, 1)
        shares = torch.where(inside, bases, top) / top
        total = torch.where(inside, shares**self.p, 0).sum(-1)
        if self.division == "mean":
            total = total / windows.divisor
        zero = total == 0
        y = torch.where(zero, 0, torch.where(zero, 1, total) ** (1 / self.p)) * top.squeeze(-1)
        return y / windows.divisor if self.division == "size" else y, None

    def fields(self, track: bool) -> tuple[Field, ...]:
        """(k, s): the sum of the powers is s 2^k."""
        return ("value", "value")

    def lift(self, values: State, tap: Lane | None) -> State:
        """(k, m) with base^p = m 2^k"""
        m, k = scaled_sums.power(*self.base(values[0]).split(), self.p)
        return k, m

    def merge(self, state: State, other: State) -> State:
        """The sum, at the larger exponent."""
        return scaled_sums.merge(state, other)

    def finish(self, state: State, count: Lane) -> Lane:
        """The root, with the count where it belongs."""
        k, total = state
        y = scaled_sums.root(total / count if self.division == "mean" else total, k, self.p)
        return y / count if self.division == "size" else y

    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """The root itself, which y is read back from with fewer digits, or over n."""
        return (y * count if self.division == "size" else y,)

    @property
    def fast(self) -> FastPath:
        """A plain sum forward."""
        return FastPath(_PlainSum(self))

    def input_terms(self, values: State) -> State:
        """(m, k) with base^(p - 1) = m 2^k, m with the sign of the slope of the base"""
        (x,) = values
        m, k = scaled_sums.power(*self.base(x).split(), self.p - 1)
        return self.turn(x, m), k

    def output_terms(self, grad: Lane, output: Output) -> State:
        """(grad m / n, k) with root^(1 - p) = m 2^k; 0 where the root is"""
        (root,) = output.saved
        m, k = scaled_sums.power(*root.split(), 1 - self.p)
        part = grad if self.division == "sum" else grad / output.count
        return root.same(0.0).select(m.like(0.0), part * m), k

    def grad_terms(self, own: State, given: State, tap: Lane) -> State:
        """dy/dx_i = (base_i / root)^(p - 1), and over n"""
        (m, k), (part, down) = own, given
        return ((m * part).scale(k + down),)


class _PlainSum(FastFold):
    """A sum of powers where none comes near the ends of the format: without an exponent beside it."""

    identity = (0.0,)

    def __init__(self, whole: Power) -> None:
        self.whole = whole

    def fields(self, track: bool) -> tuple[Field, ...]:
        """The sum."""
        return ("value",)

    def lift(self, values: State, tap: Lane | None) -> State:
        """base^p"""
        base, p = self.whole.base(values[0]), self.whole.p
        if p == int(p) and p <= scaled_sums.TIMES:
            return (scaled_sums.repeated(base, int(p)),)
        return (scaled_sums.held(base.log() * p).decay(),)

    def merge(self, state: State, other: State) -> State:
        """The sum."""
        return (state[0] + other[0],)

    def finish(self, state: State, count: Lane) -> Lane:
        """The root, with the count where it belongs."""
        division = self.whole.division
        y = ((state[0] / count if division == "mean" else state[0]).log() * (1 / self.whole.p)).exp()
        return y / count if division == "size" else y

    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """The root itself."""
        return self.whole.keep(state, y, count)

    def trusts(self, state: State) -> Mask:
        """Whether the sum is far from both ends."""
        return scaled_sums.moderate(state[0])
