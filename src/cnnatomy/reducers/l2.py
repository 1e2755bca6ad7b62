"""L2 pooling: the length of a region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.reducers.contract import Fold, Lane, Line, Output, State, Windows
from cnnatomy.reducers.shared import parameter_checks

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class L2(Fold):
    """The Euclidean norm of a region: y = sqrt(sum_i x_i^2).

    Squares beyond the range of the format overflow to infinity or vanish, as in torch: in float32, those of
    values above 1e19 or below 1e-19. Where y = 0 the gradient is 0. A region without any tap gives 0, or NaN
    where something is divided by n.

    Args:
        normalize: `"sum"` as above; `"mean"` gives sqrt((1/n) sum), the root mean square; `"size"` gives
            (1/n) sqrt(sum).

    Raises:
        ArgumentError: there is no such normalization.

    Source: Sermanet, Chintala & LeCun, "Convolutional neural networks applied to house numbers digit
    classification", ICPR 2012 (Lp pooling).

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[3.0, 4.0, 0.0, -2.0]]])
        >>> cnnatomy.pool(x, L2(), 2, rank=1)
        tensor([[[5., 2.]]])
    """

    normalize: str = "sum"

    name = "l2"
    summary = "the Euclidean norm"
    formula = "sqrt(sum_i x_i^2)"
    source = "Sermanet, Chintala & LeCun 2012"
    work = "s + x * x"
    gradient: ClassVar[Literal["sum"]] = "sum"
    reads: ClassVar[tuple[Literal["x", "y"], ...]] = ("x", "y")
    counts: ClassVar[bool] = True
    squares: ClassVar[bool] = True
    identity = (0.0,)

    def __post_init__(self) -> None:
        parameter_checks.word(self, "normalize", ("sum", "mean", "size"))
        super().__post_init__()

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """The root of the squares."""
        texts = {"sum": "√(<{x}^2; + >)", "mean": "√((<{x}^2; + >)/{n})", "size": "√(<{x}^2; + >)/{n}"}
        return Line(texts[self.normalize])

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """The root of the sum of squares; 0 is set apart, where the root has no derivative."""
        import torch

        total = torch.where(windows.inside, windows.values, 0).square().sum(-1)
        if self.normalize == "mean":
            total = total / windows.divisor
        zero = total == 0
        y = torch.where(zero, 0, torch.where(zero, 1, total).sqrt())
        return y / windows.divisor if self.normalize == "size" else y, None

    def lift(self, values: State, tap: Lane | None) -> State:
        """(x^2,)"""
        (x,) = values
        return (x * x,)

    def merge(self, state: State, other: State) -> State:
        """The sum of both parts."""
        return (state[0] + other[0],)

    def finish(self, state: State, count: Lane) -> Lane:
        """sqrt(sum), with the count where it belongs"""
        (total,) = state
        if self.normalize == "mean":
            return (total / count).sqrt()
        return total.sqrt() / count if self.normalize == "size" else total.sqrt()

    def spread(self, grad: Lane, output: Output) -> Lane:
        """dy/dx_i = x_i / y without the x_i, and over n or n^2 for `"mean"` or `"size"`; 0 where y is."""
        below = output.y
        if self.normalize != "sum":
            below = below * output.count
        if self.normalize == "size":
            below = below * output.count
        return below.same(0.0).select(below.like(0.0), grad / below)

    def collect(self, total: Lane, x: Lane) -> Lane:
        """x sum(grad / y); 0 where nothing reads x, whatever it is"""
        return total.same(0.0).select(total, x * total)
