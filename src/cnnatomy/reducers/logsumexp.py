"""Log-sum-exp pooling: a smooth maximum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.reducers.contract import (
    BEYOND,
    FastFold,
    FastPath,
    FastPull,
    Field,
    Fold,
    Lane,
    Learned,
    Line,
    Mask,
    Output,
    Pooling,
    State,
    Windows,
)
from cnnatomy.reducers.shared import parameter_checks, scaled_sums

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LogSumExp(Fold):
    """A smooth maximum of a region: y = (1/r) log((1/n) sum_i e^(r x_i)).

    A large sharpness r comes near the largest value, a small one near the mean, and a negative one near the
    smallest value. No finite r x overflows; infinities follow arithmetic. Rounding errs by about eps / r, for
    the format's eps, which matters where r is small. A region without any tap gives
    log(0) / r, an infinity, if nothing is divided by n, and else NaN.

    Args:
        sharpness: r, of a size from 1e-30 to 1e30; where it is learned, its starting value.
        normalize: `"mean"` divides the sum by n, `"sum"` does not.
        learned: how many sharpnesses are learned: 0 none, 1 that all channels share, or one for each.

    Raises:
        ArgumentError: the sharpness is zero or out of range, there is no such normalization, or `learned` is
            no such number.

    Source: Pinheiro & Collobert, "From image-level to pixel-level labeling with convolutional networks",
    CVPR 2015 (with the mean).

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[1.0, 4.0, 2.0, 3.0]]])
        >>> cnnatomy.pool(x, LogSumExp(), 2, rank=1)
        tensor([[[3.3554, 2.6201]]])
        >>> cnnatomy.pool(x, LogSumExp(normalize="sum"), 2, rank=1)
        tensor([[[4.0486, 3.3133]]])
    """

    sharpness: float = 1.0
    normalize: str = "mean"
    learned: int = 0

    name = "logsumexp"
    summary = "the logarithm of the mean of the exponentials"
    formula = "(1/r) log((1/n) sum_i e^(r x_i))"
    source = "Pinheiro & Collobert 2015"
    work = "max(m, x); s + exp(r * (x - m))"
    gradient: ClassVar[Literal["pairs"]] = "pairs"
    saves: ClassVar[tuple[Field, ...]] = ("value", "value")
    reads: ClassVar[tuple[Literal["x", "y"], ...]] = ("x",)
    counts: ClassVar[bool] = True
    identity = (scaled_sums.NOTHING, 0.0)

    def __post_init__(self) -> None:
        expected = "a number of a size from 1e-30 to 1e30"
        parameter_checks.real(self, "sharpness", expected, lambda r: 1e-30 <= abs(r) <= 1e30)
        parameter_checks.word(self, "normalize", ("mean", "sum"))
        parameter_checks.learned(self)
        super().__post_init__()

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """The logarithm of the sum of e^(r x - top), plus top: the largest r x."""
        grown, top = scaled_sums.weights(windows.values * self.sharpness, windows.inside)
        total = grown.sum(-1)
        mean = total / windows.divisor if self.normalize == "mean" else total
        return (mean.log() + top.squeeze(-1)) / self.sharpness, None

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """The largest r x, and the logarithm of the others relative to it."""
        import torch

        sharpness = learned.get("sharpness", torch.tensor(self.sharpness, dtype=torch.float64))
        scaled_values = windows.values * sharpness
        _, top = scaled_sums.weights(scaled_values, windows.inside)
        total = "(<e^({z}); + >)/{n}" if self.normalize == "mean" else "<e^({z}); + >"
        steps = {"top": top.squeeze(-1), "r": sharpness.reshape(1, -1, 1)}
        return Line(f"({{top}} + ln({total}))/{{r}}", {"z": scaled_values - top}, steps)

    @property
    def blended(self) -> bool:
        """True if the sharpness is learned."""
        return self.learned > 0

    @property
    def parameters(self) -> tuple[Learned, ...]:
        """The sharpnesses."""
        return Learned.shared("sharpness", self.sharpness, self.learned)

    def blend(self, x: Tensor, pool: Pooling, inputs: Mapping[str, Tensor]) -> Tensor:
        """(1/r) logsumexp(r x)"""
        sharpness = inputs["sharpness"]
        return pool(x * sharpness, LogSumExp(normalize=self.normalize)) / sharpness

    def fields(self, track: bool) -> tuple[Field, ...]:
        """(k, s): the sum of the exponentials is s 2^k."""
        return ("value", "value")

    def lift(self, values: State, tap: Lane | None) -> State:
        """(k, m) with e^(r x) = m 2^k"""
        m, k = self.input_terms(values)
        return k, m

    def merge(self, state: State, other: State) -> State:
        """The sum, at the larger exponent."""
        return scaled_sums.merge(state, other)

    def finish(self, state: State, count: Lane) -> Lane:
        """(log s + k log 2) / r"""
        k, total = state
        mean = total / count if self.normalize == "mean" else total
        y = mean.log() + k * math.log(2)
        return y if self.sharpness == 1 else y * (1 / self.sharpness)

    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """(k, 1 / s)"""
        return state[0], y.like(1.0) / state[1]

    @property
    def fast(self) -> FastPath:
        """A plain sum forward, and one exponential for each input backward."""
        return FastPath(_PlainSum(self), _OneExponential(self))

    def input_terms(self, values: State) -> State:
        """(m, k), which spares the pairs an exponential."""
        return self.exponent(values).exponential()

    def exponent(self, values: State) -> Lane:
        """r x"""
        (x,) = values
        return x if self.sharpness == 1 else x * self.sharpness

    def output_terms(self, grad: Lane, output: Output) -> State:
        """(k, grad / s)"""
        k, inverse = output.saved
        return k, grad * inverse

    def grad_terms(self, own: State, given: State, tap: Lane) -> State:
        """dy/dx_i = e^(r x_i) / sum_j e^(r x_j)"""
        (m, k), (top, part) = own, given
        return (m.scale(k - top) * part,)


class _PlainSum(FastFold):
    """The plain sum of e^(r x), where no exponential comes near the ends of the format."""

    identity = (0.0,)

    def __init__(self, whole: LogSumExp) -> None:
        self.whole = whole
        self.sharpness, self.normalize = whole.sharpness, whole.normalize

    def fields(self, track: bool) -> tuple[Field, ...]:
        """The sum."""
        return ("value",)

    def lift(self, values: State, tap: Lane | None) -> State:
        """e^(r x)"""
        return (scaled_sums.held(self.whole.exponent(values)).decay(),)

    def merge(self, state: State, other: State) -> State:
        """The sum."""
        return (state[0] + other[0],)

    def finish(self, state: State, count: Lane) -> Lane:
        """(log s) / r"""
        y = (state[0] / count if self.normalize == "mean" else state[0]).log()
        return y if self.sharpness == 1 else y * (1 / self.sharpness)

    def keep(self, state: State, y: Lane, count: Lane) -> State:
        """(k, 1 / m) with s = m 2^k"""
        m, k = state[0].split()
        return k, y.like(1.0) / m

    def trusts(self, state: State) -> Mask:
        """Whether the sum is far from both ends."""
        return scaled_sums.moderate(state[0])


class _OneExponential(FastPull):
    """e^(r x) over the sum at once, for exponents that a format can have and finite gradients."""

    def __init__(self, whole: LogSumExp) -> None:
        self.whole = whole

    def grad_terms(self, values: State, given: State, tap: Lane) -> State:
        """dy/dx_i = e^(r x_i) / sum_j e^(r x_j)"""
        top, part = given
        return (self.whole.exponent(values).over(top, part),)

    def trusts(self, given: State) -> Mask:
        """Whether they are such: a gradient that is not finite is not 0 times 0."""
        k, part = given
        return (part * 0.0 + k).abs() < BEYOND
