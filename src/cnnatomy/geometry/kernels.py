"""The methods of resampling by name, and the kernels of those that weigh neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Kernel = Callable[[float], float]

COORDINATES = ("half_pixel", "corners", "asymmetric")
ALIASES = {
    **{"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic", "lanczos": "lanczos3"},
    **{"bedofnails": "nails", "zerofill": "nails", "nearestexact": "nearest", "nearestneighbour": "nearest"},
    **{"nearestneighbor": "nearest", "box": "area"},
}
"""Names that other libraries and lectures use, in small letters without what stands between."""


def linear(t: float) -> float:
    """The triangle, 1 - |t|.

    Example:
        >>> linear(0.25), linear(-1.5)
        (0.75, 0.0)
    """
    return max(0.0, 1.0 - abs(t))


def cubic(t: float, a: float) -> float:
    """Cubic convolution: Keys 1981, equation (4) with the slope a at 1 left free.

    (a + 2)|t|^3 - (a + 3)|t|^2 + 1 up to 1, and a(|t|^3 - 5|t|^2 + 8|t| - 4) from there to 2.

    Example:
        >>> cubic(0.0, -0.5), cubic(0.5, -0.5), cubic(-1.5, -0.5)
        (1.0, 0.5625, -0.0625)
    """
    t = abs(t)
    if t <= 1:
        return ((a + 2) * t - (a + 3)) * t * t + 1
    return a * (((t - 5) * t + 8) * t - 4) if t < 2 else 0.0


def lanczos(t: float, lobes: int) -> float:
    """sinc(t) sinc(t / lobes), sinc(t) = sin(pi t) / (pi t): Duchon 1979.

    Example:
        >>> lanczos(0.0, 3), lanczos(1.0, 3), round(lanczos(0.5, 3), 4)
        (1.0, 0.0, 0.6079)
    """
    if t == int(t) or abs(t) >= lobes:
        return float(t == 0)
    return lobes * math.sin(math.pi * t) * math.sin(math.pi * t / lobes) / (math.pi * t) ** 2


def gaussian(t: float, sigma: float) -> float:
    """exp(-t^2 / (2 sigma^2)).

    Example:
        >>> round(gaussian(0.5, 0.5), 4)
        0.6065
    """
    return math.exp(-0.5 * (t / sigma) ** 2)


@dataclass(frozen=True, slots=True)
class Method:
    """What is told of a method beside its name.

    Args:
        coordinates: where its outputs may lie; by default in the first of these.
        radius: how far its kernel reaches, if it has one, in units of the coefficient if it has one.
        kernel: makes the kernel of a coefficient.
        coefficient: its one parameter, without antialias and with it.
        replicates: without antialias, cells beyond the border are copies of the border's; otherwise they do
            not exist, and the weights of the others are divided by their sum.
    """

    coordinates: tuple[str, ...]
    radius: float = 0.0
    kernel: Callable[[float], Kernel] | None = None
    coefficient: tuple[float, float] | None = None
    replicates: bool = False


METHODS = {
    "nearest": Method(("half_pixel", "asymmetric")),
    "nails": Method(("asymmetric",)),
    "linear": Method(COORDINATES, 1, lambda _: linear, replicates=True),
    "cubic": Method(COORDINATES, 2, lambda a: lambda t: cubic(t, a), (-0.75, -0.5), replicates=True),
    "lanczos2": Method(COORDINATES, 2, lambda _: lambda t: lanczos(t, 2)),
    "lanczos3": Method(COORDINATES, 3, lambda _: lambda t: lanczos(t, 3)),
    "area": Method(("half_pixel",)),
    "gaussian": Method(COORDINATES, 4, lambda sigma: lambda t: gaussian(t, sigma), (0.5, 0.5)),
}
