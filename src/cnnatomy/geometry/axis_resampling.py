"""Resampling one axis: where each output lies among the inputs, and what it takes of those around it.

An axis of n cells becomes one of m. Output o lies at c(o), in units of cells, cell i lying at i; s is the
step from one output to the next, n / m or the inverse of a given scale:

| coordinates    | c(o)                | first and last output                      |
|----------------|---------------------|--------------------------------------------|
| `"half_pixel"` | s (o + 1/2) - 1/2   | half a step inside the input's edges       |
| `"corners"`    | o (n - 1) / (m - 1) | on the first and last cell                 |
| `"asymmetric"` | s o                 | the first on the first cell                |

A method is a kernel k of radius r: output o takes k((i - c) / w) of every cell i within r w. The width w is
1, and max(s, 1) with `antialias`, which keeps detail finer than the outputs' grid from folding into it.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from cnnatomy import spec
from cnnatomy.checks import constant
from cnnatomy.errors import ArgumentError
from cnnatomy.geometry.axis_table import LONGEST, share
from cnnatomy.geometry.bands import Bands
from cnnatomy.geometry.kernels import ALIASES, METHODS, Method


@dataclass(frozen=True)
class Resampling:
    """How an axis, or each of several, is resampled.

    Args:
        method: `"nearest"`, `"nails"`, `"linear"`, `"cubic"`, `"lanczos2"`, `"lanczos3"`, `"area"` or
            `"gaussian"`; also by the names of ALIASES.
        coordinates: `"half_pixel"`, `"corners"` or `"asymmetric"`; the method's own if left out.
        antialias: widen the kernel by the step where that is above 1, as Pillow does and torch can.
        coefficient: the cubic's a (by default torch's: -0.75, and -0.5 with antialias, which is Pillow's), or
            the Gaussian's sigma in cells (0.5, as in ImageMagick), cut off at 4 sigma.
        scale: outputs for each input on every axis, where the step is to be exactly the inverse of that.

    Raises:
        ArgumentError: no such method, or not with these settings.

    Example:
        >>> Resampling("linear").bands(2, 4).weights
        ((1.0,), (0.75, 0.25), (0.25, 0.75), (1.0,))
        >>> Resampling("area").bands(3, 2)
        Bands(size=3, start=(0, 1), weights=((0.5, 0.5), (0.5, 0.5)))
    """

    method: str
    coordinates: str | None = None
    antialias: bool = False
    coefficient: float | None = None
    scale: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", method_name(self.method))
        if self.coordinates is None:
            object.__setattr__(self, "coordinates", self.traits.coordinates[0])
        _check(self)
        usual = self.traits.coefficient
        if usual:
            given = usual[self.antialias] if self.coefficient is None else self.coefficient
            object.__setattr__(self, "coefficient", finite("coefficient", given))  # a constant, if traced

    @property
    def traits(self) -> Method:
        """What is told of the method."""
        return METHODS[self.method]

    @property
    def text(self) -> str:
        """The call that makes it.

        Example:
            >>> Resampling.parse(Resampling("cubic").text) == Resampling("cubic")
            True
        """
        return spec.text(self)

    @staticmethod
    def parse(text: str) -> Resampling:
        """Read it back from that.

        Raises:
            ArgumentError: the text is no resampling.
        """
        return _parse(text)

    @property
    def picks(self) -> bool:
        """True if every output is one of the inputs, or 0."""
        return self.method in ("nearest", "nails")

    def check(self, n: int, out: int) -> None:
        """See that n cells can become `out`.

        Raises:
            ArgumentError: there are none, the outputs are none or too many, or nails would not lie evenly.
        """
        if n < 1:
            what = "there is nothing to resample"
            raise ArgumentError(what, expected="at least one cell on every axis", got=str(n))
        if not 1 <= out <= LONGEST:
            what = f"{n} cells cannot become {out}"
            raise ArgumentError(what, expected=f"1 .. {LONGEST} outputs", hint="another size or scale")
        if self.method == "nails" and out % n:
            what, near = "a bed of nails has whole steps", max(out // n, 1) * n
            raise ArgumentError(what, expected=f"a multiple of {n}", got=str(out), hint=str(near))

    def bands(self, n: int, out: int, axis: int = 0) -> Bands:
        """What each of `out` outputs takes of n cells, on one of the axes; cached.

        Raises:
            ArgumentError: see `check`.
        """
        return _bands(self, n, out, None if self.scale is None else self.scale[axis])


def output_size(n: int, scale: float) -> int:
    """Outputs of n cells at a scale: floor(n scale), torch's rule. A symbolic n gives a symbolic size.

    Example:
        >>> output_size(7, 2.0), output_size(7, 0.5), output_size(3, 1.7)
        (14, 3, 5)
    """
    if scale == int(scale):
        return n * int(scale)  # of a symbolic size too, without a detour through fractions
    return math.floor(n * scale)


def method_name(name: object) -> str:
    """The name of a method in its one form, whatever its case and the signs between.

    Raises:
        ArgumentError: there is none of that name.

    Example:
        >>> method_name("bilinear"), method_name("bed of nails")
        ('linear', 'nails')
    """
    known = known_method(name)
    if known is not None:
        return known
    near = get_close_matches(_plain(name), [*METHODS, *ALIASES], n=1)
    hint = repr(near[0]) if near else None
    raise ArgumentError(f"no method is called {name!r}", expected=", ".join(METHODS), hint=hint)


def known_method(name: object) -> str | None:
    """The method of that name, None if there is none."""
    plain = _plain(name)
    found = ALIASES.get(plain, plain)
    return found if found in METHODS else None


def _plain(name: object) -> str:
    return re.sub(r"[\s_-]", "", str(name).casefold())


def _check(how: Resampling) -> None:
    if how.coordinates not in how.traits.coordinates:
        what = f"{how.method} resampling has no coordinates {how.coordinates!r}"
        raise ArgumentError(what, expected=" or ".join(map(repr, how.traits.coordinates)))
    if not isinstance(how.antialias, bool):
        raise ArgumentError("antialias is not a bool", expected="True or False", got=repr(how.antialias))
    if how.antialias and how.traits.kernel is None:
        reason = "averages already" if how.method == "area" else "averages nothing"
        raise ArgumentError(f"{how.method} resampling {reason}", hint="antialias=False")
    for scale in how.scale or ():
        positive("scale", scale)
    if how.coefficient is None:
        return
    if how.traits.coefficient is None:
        raise ArgumentError(f"{how.method} resampling has no coefficient", hint="coefficient=None")
    if how.method == "gaussian":
        positive("coefficient", how.coefficient)
    else:
        finite("coefficient", how.coefficient)


def finite(name: str, value: object) -> float:
    """Return `value` if it is a finite number: by its exact fraction, which makes a traced one a constant."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return constant(value)
        except (OverflowError, ValueError):  # infinite, or none
            pass
    raise ArgumentError(f"{name} is no finite number", expected="a finite number", got=repr(value))


def positive(name: str, value: object) -> float:
    """Return `value` if it is a finite number above 0.

    Example:
        >>> positive("scale", float("nan"))
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: scale is no finite number: expected a finite number, got nan
    """
    number = finite(name, value)
    if number <= 0:
        raise ArgumentError(f"{name} is not positive", expected="a number > 0", got=repr(value))
    return number


@lru_cache(maxsize=256)
def _parse(text: str) -> Resampling:
    return spec.parse(text, {"Resampling": Resampling}, "resampling")


@lru_cache(maxsize=1024)
def _bands(how: Resampling, n: int, out: int, scale: float | None) -> Bands:
    how.check(n, out)
    step = n / out if scale is None or _evens(how, n, out) else 1 / scale
    if how.method == "nearest":
        return Bands.of(n, ([(cell, 1.0)] for cell in _nearest(how, n, out, step)))
    if how.method == "nails":
        return Bands.of(n, _nails(n, out))
    if how.method == "area":  # torch's adaptive average: the bins of an even share
        bins = (share(o, out, n) for o in range(out))
        return Bands.of(n, ([(cell, 1 / len(bin)) for cell in bin] for bin in bins))
    return Bands.of(n, _kernel(how, n, _places(how, n, out, step), step))


def _evens(how: Resampling, n: int, out: int) -> bool:
    """Whether torch lays these outputs evenly, whatever the scale that led to them (its `nearest_idx` and
    `compute_source_index_and_lambda`): where an axis keeps its size, and for its older nearest doubles it, in
    two dimensions. (In three it does so in channels_last alone, which is not followed.)"""
    if how.method == "nearest":
        return how.coordinates == "asymmetric" and len(how.scale or ()) == 2 and out in (n, 2 * n)
    return how.method == "linear" and not how.antialias and out == n


def _places(how: Resampling, n: int, out: int, step: float) -> Iterator[float]:
    if how.coordinates == "corners":
        step = (n - 1) / (out - 1) if out > 1 else 0.0
    shift = 0.5 if how.coordinates == "half_pixel" else 0.0
    return (step * (o + shift) - shift for o in range(out))


def _nearest(how: Resampling, n: int, out: int, step: float) -> Iterator[int]:
    """floor(s o), or floor(s (o + 1/2)): in float32 as in torch, where a rounding picks another cell."""
    step, shift = _single(step), 0.5 if how.coordinates == "half_pixel" else 0.0
    return (min(n - 1, math.floor(_single(step * (o + shift)))) for o in range(out))


def _single(number: float) -> float:
    return float(struct.unpack("f", struct.pack("f", number))[0])


def _nails(n: int, out: int) -> Iterator[Sequence[tuple[int, float]]]:
    step = out // n
    return ([] if o % step else [(o // step, 1.0)] for o in range(out))


def _kernel(
    how: Resampling, n: int, places: Iterator[float], step: float
) -> Iterator[list[tuple[int, float]]]:
    traits, coefficient = how.traits, how.coefficient or 0.0
    assert traits.kernel is not None, "a method with a kernel"
    kernel = traits.kernel(coefficient)
    width = max(step, 1.0) if how.antialias else 1.0
    reach = traits.radius * width * (coefficient if how.method == "gaussian" else 1.0)
    for place in places:
        cells = range(math.ceil(place - reach), math.floor(place + reach) + 1)
        taps = [(cell, kernel((cell - place) / width)) for cell in cells]
        if traits.replicates and not how.antialias:
            yield [(min(max(cell, 0), n - 1), weight) for cell, weight in taps]
        else:
            yield _normalized(taps, n, place)


def _normalized(taps: list[tuple[int, float]], n: int, place: float) -> list[tuple[int, float]]:
    """The taps inside the input, divided by their sum; of none, the nearest cell."""
    inside = [(cell, weight) for cell, weight in taps if 0 <= cell < n]
    total = math.fsum(weight for _, weight in inside)
    if total == 0:
        return [(min(max(math.floor(place + 0.5), 0), n - 1), 1.0)]
    return [(cell, weight / total) for cell, weight in inside]
