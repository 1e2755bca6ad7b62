"""Modules that resize maps: torch.nn's `Upsample`, and the methods that it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cnnatomy.backends import FLOATING
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.axis_resampling import Resampling, output_size
from cnnatomy.nn.scripting import Scriptable
from cnnatomy.ops.resampling import resample
from cnnatomy.ops.routing import tracing

Sizes = int | Sequence[int]
Scales = float | Sequence[float]

_TORCH = {
    "nearest": ("nearest", (1, 2, 3)),
    "nearest-exact": ("nearest", (1, 2, 3)),
    "area": ("area", (1, 2, 3)),
    "linear": ("linear", (1,)),
    "bilinear": ("linear", (2,)),
    "trilinear": ("linear", (3,)),
    "bicubic": ("cubic", (2,)),
}
"""torch's modes: the method of each, and the numbers of axes for which torch has it."""


class _Resampled(nn.Module):
    """A module that calls `resample` with fixed arguments."""

    rank: ClassVar[int]

    def __init__(self, output_size: Any, scale_factor: Any, method: str, **options: Any) -> None:
        super().__init__()
        if (output_size is None) == (scale_factor is None):
            got = "neither" if output_size is None else "both"
            raise ArgumentError(
                "how large is the output to be", expected="output_size or scale_factor", got=got
            )
        Resampling(method, **options)  # a wrong one is told of here
        self.output_size, self.scale_factor = output_size, scale_factor
        self.method, self.options = method, options

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) or (C, *spatial) -> the same with the output's sizes."""
        return resample(x, self.output_size, self.scale_factor, self.method, rank=self.rank, **self.options)

    def extra_repr(self) -> str:
        """The arguments."""
        how = (
            f"output_size={self.output_size!r}"
            if self.scale_factor is None
            else f"scale_factor={self.scale_factor!r}"
        )
        parts = [f"{name}={value!r}" for name, value in self.options.items() if value not in (None, False)]
        return ", ".join([how, f"method={self.method!r}", *parts])


class _Resample(_Resampled):
    def __init__(
        self,
        output_size: Sizes | None = None,
        scale_factor: Scales | None = None,
        method: str = "linear",
        *,
        antialias: bool = False,
        coordinates: str | None = None,
        coefficient: float | None = None,
    ) -> None:
        options = {"antialias": antialias, "coordinates": coordinates, "coefficient": coefficient}
        super().__init__(output_size, scale_factor, method, **options)


class Resample1d(_Resample):
    """`cnnatomy.resample` on one axis.

    Example:
        >>> Resample1d(scale_factor=2, method="nearest")(torch.tensor([[[1.0, 2.0]]]))
        tensor([[[1., 1., 2., 2.]]])
    """

    rank = 1


class Resample2d(_Resample):
    """`cnnatomy.resample` on two axes (y, x).

    Example:
        >>> Resample2d((28, 28), method="lanczos3", antialias=True)
        Resample2d(output_size=(28, 28), method='lanczos3', antialias=True)
        >>> Resample2d(scale_factor=0.5, method="area")(torch.arange(4.0).view(1, 1, 2, 2))
        tensor([[[[1.5000]]]])
    """

    rank = 2


class Resample3d(_Resample):
    """`cnnatomy.resample` on three axes (z, y, x).

    Example:
        >>> Resample3d(scale_factor=(1, 2, 2))(torch.zeros(2, 3, 5, 8, 8)).shape
        torch.Size([2, 3, 5, 16, 16])
    """

    rank = 3


class _BedOfNails(_Resampled):
    def __init__(self, scale_factor: int | Sequence[int] = 2) -> None:
        super().__init__(None, scale_factor, "nails")

    def extra_repr(self) -> str:
        """The arguments."""
        return f"scale_factor={self.scale_factor!r}"


class BedOfNails1d(_BedOfNails):
    """Every input at the start of its own block of `scale_factor` outputs, and zeros elsewhere.

    y[o] = x[o / s] where s divides o, else 0.

    Example:
        >>> BedOfNails1d(2)(torch.tensor([[[1.0, 2.0]]]))
        tensor([[[1., 0., 2., 0.]]])
    """

    rank = 1


class BedOfNails2d(_BedOfNails):
    """Every input in the first corner of its own block of outputs, and zeros elsewhere.

    Example:
        >>> BedOfNails2d((1, 2))(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[[1., 0., 2., 0.],
                 [3., 0., 4., 0.]]])
    """

    rank = 2


class BedOfNails3d(_BedOfNails):
    """Every input in the first corner of its own block of outputs, and zeros elsewhere.

    Example:
        >>> BedOfNails3d(2)(torch.ones(1, 2, 3, 4)).sum().item()
        24.0
    """

    rank = 3


class Upsample(Scriptable, nn.Upsample):
    """`torch.nn.Upsample`, the same but for speed, and with every method of `cnnatomy.resample` as a mode.

    torch's modes mean what they mean in torch, which answers, or raises, for what these kernels cannot read.
    Other modes, and torch's with one of the arguments that it lacks, are those of `resample`, on as many axes
    as the input has.

    Args:
        size: the output's spatial size.
        scale_factor: outputs for each input instead.
        mode: one of torch's, or a method of `resample`.
        align_corners: the coordinates `"corners"`.
        recompute_scale_factor: let the step be n / size, not the inverse of the factor.
        antialias: widen the kernel where the map shrinks.
        coordinates: instead of `align_corners`.
        coefficient: of cubic and Gaussian.

    Example:
        >>> x = torch.rand(2, 3, 8, 8)
        >>> options = {"scale_factor": 2, "mode": "bicubic"}
        >>> torch.allclose(Upsample(**options)(x), nn.Upsample(**options)(x), atol=1e-6)
        True
        >>> Upsample(scale_factor=0.5, mode="lanczos3", antialias=True)(x).shape
        torch.Size([2, 3, 4, 4])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
        *,
        antialias: bool = False,
        coordinates: str | None = None,
        coefficient: float | None = None,
    ) -> None:
        super().__init__(size, scale_factor, mode, align_corners, recompute_scale_factor)
        self.antialias, self.coordinates, self.coefficient = antialias, coordinates, coefficient
        self._own = mode not in _TORCH or antialias or coordinates is not None or coefficient is not None
        if self._own:
            Resampling(self._method, antialias=antialias, coordinates=self._lie, coefficient=coefficient)

    def scripts(self) -> bool:
        """True for what torch has."""
        return not self._own

    @property
    def _method(self) -> str:
        return _TORCH[self.mode][0] if self.mode in _TORCH else self.mode

    @property
    def _lie(self) -> str | None:
        """Where the outputs lie."""
        if self.coordinates is not None:
            return self.coordinates
        if self.mode == "nearest":
            return "asymmetric"
        return "corners" if self.align_corners else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) -> (N, C, *size)."""
        if not (self._own or self._takes(x)):
            return super().forward(x)
        size, scale = self.size, self.scale_factor
        if self.recompute_scale_factor and scale is not None:
            factors = scale if isinstance(scale, tuple) else (scale,) * (x.dim() - 2)
            size = tuple(output_size(n, factor) for n, factor in zip(x.shape[2:], factors, strict=True))
            scale = None
        options: dict[str, Any] = {"antialias": self.antialias, "coefficient": self.coefficient}
        options["rank"] = x.dim() - 2
        return resample(x, size, scale, self._method, coordinates=self._lie, **options)

    def _takes(self, x: Any) -> bool:
        """True if torch takes x with these arguments, and the kernels have a path for it."""
        if not isinstance(x, Tensor) or tracing() or x.dtype not in FLOATING or x.layout is not torch.strided:
            return False
        if x.device.type not in ("cpu", "meta") or torch.is_autocast_enabled("cpu"):
            return False
        method, ranks = _TORCH[self.mode]
        rank = x.dim() - 2
        if rank not in ranks or (method != "linear" and method != "cubic" and self.align_corners is not None):
            return False
        given = self.size if self.scale_factor is None else self.scale_factor
        if given is None or (self.size is not None and (self.scale_factor or self.recompute_scale_factor)):
            return False
        entries = given if isinstance(given, tuple | list) else (given,) * rank
        if len(entries) != rank or not all(type(entry) in (int, float) for entry in entries):
            return False
        sizes = zip(x.shape[2:], entries, strict=True)
        outs = entries if self.size is not None else [output_size(n, factor) for n, factor in sizes]
        return all(type(n) is int and n > 0 for n in (*x.shape[1:], *outs))
