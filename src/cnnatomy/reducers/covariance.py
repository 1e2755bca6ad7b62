"""Covariance pooling: how the channels of a region vary together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Literal

from cnnatomy.errors import ArgumentError
from cnnatomy.reducers.contract import Line, Reducer, Windows
from cnnatomy.reducers.shared import parameter_checks
from cnnatomy.regions import Region

if TYPE_CHECKING:
    from torch import Tensor

Function = Literal["power", "newton-schulz", "log", "top", "none"]

_OWN: Mapping[str, tuple[str, ...]] = {
    "power": ("alpha", "scaled"),
    "newton-schulz": ("iterations", "scaled"),
    "log": ("epsilon", "scaled"),
    "top": ("k",),
    "none": ("scaled",),
}
"""The functions, and the fields that mean something to each."""


@dataclass(frozen=True)
class Covariance(Reducer):
    """The second moments of a region's channels, through a function: y = f(M), M = (1/n) sum_i d_i d_i^T.

    d_i is the vector x_i of all channels at position i, less the mean of these vectors. M is a C x C matrix
    for each output, so channels mix: (N, C, *spatial) becomes (N, D, *out). D is C (C + 1) / 2 for the upper
    triangle of f(M), row by row, and k for the k largest eigenvalues.

    | function | f(M) | parameter |
    |---|---|---|
    | `"power"` | M^alpha, by eigenvalues | `alpha` > 0 |
    | `"newton-schulz"` | nearly the square root of M, by matrix products only | `iterations` >= 1 |
    | `"log"` | log(M + epsilon I) | `epsilon` > 0 |
    | `"top"` | the k largest eigenvalues of M, from the largest down | `k` >= 1 |
    | `"none"` | M | |

    Gradients are finite for equal eigenvalues, fewer positions than channels and constant inputs, and exact
    to the second order wherever f has derivatives; `reducers/shared/spectral.py` says what stands where it
    has none. Where M is not finite, by a NaN, an infinity or no tap at all, every entry is NaN, except that
    `"none"` leaves M as it is. Reduced precisions compute in float32, under autocast too.

    Args:
        function: f.
        alpha: the power.
        iterations: how often the square root is refined.
        epsilon: what is added to the eigenvalues before the logarithm.
        k: how many eigenvalues.
        centred: subtract the mean; without it M = (1/n) sum_i x_i x_i^T.
        scaled: multiply the entries beside the diagonal by sqrt 2, so that lengths and angles are those of
            the matrices.

    Raises:
        ArgumentError: a parameter is out of range, or means nothing to the function; in use, x has fewer than
            k channels, or is not floating-point.

    Source: Li et al., "Is second-order information helpful for large-scale visual recognition?", ICCV 2017
    (power); Li et al., CVPR 2018 (Newton-Schulz); Ionescu, Vantzos & Sminchisescu, "Matrix backpropagation
    for deep networks with structured layers", ICCV 2015 (log); Tuzel, Porikli & Meer, "Pedestrian detection
    via classification on Riemannian manifolds", PAMI 2008 (sqrt 2).

    Example:
        >>> import torch, cnnatomy
        >>> x = torch.tensor([[[2.0, -2.0, 2.0, -2.0], [3.0, 3.0, -3.0, -3.0]]])
        >>> cnnatomy.pool(x, Covariance("none"), "global", rank=1).flatten()  # variances 4 and 9
        tensor([4., 0., 9.])
        >>> cnnatomy.pool(x, Covariance("power", alpha=0.5), "global", rank=1).flatten()
        tensor([2., 0., 3.])
    """

    function: Function = "power"
    alpha: float = 0.5
    iterations: int = 5
    epsilon: float = 1e-3
    k: int = 1
    centred: bool = True
    scaled: bool = False

    name = "covariance"
    summary = "how the channels vary together, through a root, power or logarithm"
    formula = "f((1/n) sum_i (x_i - m) (x_i - m)^T), m = (1/n) sum_i x_i"
    source = "Li et al. 2017"
    mixes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        parameter_checks.word(self, "function", tuple(_OWN))
        self._refuse_foreign()
        for name in ("alpha", "epsilon"):
            parameter_checks.real(self, name, "a finite number > 0", lambda value: 0 < value < math.inf)
        for name in ("iterations", "k"):
            self._hold(name, "an int >= 1", lambda value: type(value) is int and value >= 1)
        for name in ("centred", "scaled"):
            self._hold(name, "True or False", lambda value: isinstance(value, bool))
        super().__post_init__()

    def _refuse_foreign(self) -> None:
        own = _OWN[self.function]
        for field in fields(self):
            value, shared = getattr(self, field.name), field.name in ("function", "centred")
            if not shared and field.name not in own and value != field.default:
                what = f"{field.name} means nothing to function={self.function!r}"
                expected = " and ".join(own) + " at most"
                raise ArgumentError(what, expected=expected, got=f"{field.name}={value!r}")

    def _hold(self, name: str, expected: str, allowed: Callable[[object], bool]) -> None:
        value = getattr(self, name)
        if not allowed(value):
            raise ArgumentError(f"Covariance has no such {name}", expected=expected, got=repr(value))

    @property
    def blended(self) -> bool:
        """True: no kernel reads several channels."""
        return True

    def width(self, channels: int) -> int:
        """D, the number of channels that come out of so many.

        Raises:
            ArgumentError: there are fewer channels than eigenvalues wanted.

        Example:
            >>> Covariance().width(64)
            2080
        """
        if self.function != "top":
            return channels * (channels + 1) // 2
        if self.k > channels:
            raise ArgumentError(
                "there is one eigenvalue for each channel", expected=f"k <= {channels}", got=f"{self.k}"
            )
        return self.k

    def define(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        """The moments of the taps inside, and their function."""
        from cnnatomy.reducers.shared.moments import windowed

        return self._finish(windowed(windows, self.centred)), None

    def line(self, windows: Windows, learned: Mapping[str, Tensor]) -> Line:
        """The function of the matrix of moments, and which entry of it."""
        import torch

        from cnnatomy.reducers.shared.moments import windowed

        moments, channels = windowed(windows, self.centred), windows.values.shape[1]
        rows, columns = torch.triu_indices(channels, channels)
        steps = {
            f"m{i}_{j}": moments[..., i, j].unsqueeze(1)
            for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
        }
        if self.function == "top":
            steps["i"] = torch.arange(self.k).view(1, -1, *(1,) * (moments.dim() - 3))
        else:
            shape = (1, -1, *(1,) * (moments.dim() - 3))
            steps |= {"i": rows.view(shape), "j": columns.view(shape)}
        matrix = ", ".join(
            "[" + ", ".join(f"{{m{min(i, j)}_{max(i, j)}}}" for j in range(channels)) + "]"
            for i in range(channels)
        )
        settings = "".join(
            f", {getattr(self, name):g}" for name in _OWN[self.function] if name not in ("scaled", "k")
        )
        entry = "({i})" if self.function == "top" else "({i}, {j})"
        scale = "scaled " if self.scaled else ""
        what = f"[{matrix}]" if self.function == "none" else f"{self.function}([{matrix}]{settings})"
        return Line(f"entry {entry} of {scale}{what}", {}, steps)

    def across(self, x: Tensor, region: Region) -> Tensor:
        """The pooling of x (N, C, *spatial) to (N, D, *out): one matrix product for each output.

        Raises:
            ArgumentError: x is not floating-point, or has fewer than k channels.
        """
        import torch

        from cnnatomy.reducers.shared.moments import regional
        from cnnatomy.reducers.shared.spectral import full_precision

        if not x.is_floating_point():
            what = "covariance pooling wants real numbers"
            raise ArgumentError(what, expected="a floating-point dtype", got=str(x.dtype), hint="x.float()")
        with full_precision(x):
            wide = x.to(torch.promote_types(x.dtype, torch.float32))
            return self._finish(regional(wide, region, self.centred)).to(x.dtype)

    def _finish(self, moments: Tensor) -> Tensor:
        """(N, *out, C, C) to (N, D, *out)"""
        import torch

        if self.function == "none":
            y = self._vector(moments)
        else:
            finite = moments.isfinite().flatten(-2).all(-1)[..., None]
            y = self._vector(torch.where(finite.unsqueeze(-1), moments, 0))
            y = y + torch.where(finite, 0, math.nan)
        return y.movedim(-1, 1).contiguous()

    def _vector(self, m: Tensor) -> Tensor:
        """(.., C, C) to (.., D)"""
        from cnnatomy.reducers.shared import spectral

        match self.function:
            case "top":
                return spectral.top(m, self.width(m.shape[-1]))
            case "power":
                m = spectral.power(m, self.alpha)
            case "newton-schulz":
                m = spectral.newton_schulz(m, self.iterations)
            case "log":
                m = spectral.log(m, self.epsilon)
        return spectral.upper(m, self.scaled)
