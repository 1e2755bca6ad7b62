"""Exponentials and logarithms of vectors under trace, from polynomials.

Arguments are reduced with the two-part constants of Cody and Waite ("Software Manual for the Elementary
Functions", 1980) to where a few terms, of the power series or near it, are enough for the last digit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnatomy.backends.cpu.runtime import jit
from cnnatomy.reducers.contract import BEYOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnatomy.backends.cpu.codegen.vectors import Lanes


def exponential(v: Lanes) -> tuple[Lanes, Lanes]:
    """(m, k) with e^v = m 2^k, k integral: k = round(v / ln 2), m = e^(v - k ln 2)."""
    m, k = (v.abs() < BEYOND).everywhere(lambda: _near(v), lambda: _anywhere(v))
    return m, k


def _near(v: Lanes) -> tuple[Lanes, Lanes]:
    """As exponential, of |v| < BEYOND."""
    high, low = _ln2(v.bits)
    k = (v * math.log2(math.e)).nearest()
    return _polynomial(k.times_plus(-low, k.times_plus(-high, v)), _exp_terms(v.bits)), k


def _anywhere(v: Lanes) -> tuple[Lanes, Lanes]:
    """As exponential, of any v."""
    high, low = _ln2(v.bits)
    far = _largest(v.bits)
    k = (v * math.log2(math.e)).nearest().larger(-far).smaller(far)
    rest = k.times_plus(-low, k.times_plus(-high, v))
    rest = v.like(-1.0).larger(v.like(1.0).smaller(rest))  # where v is beyond any exponent
    m = _polynomial(rest, _exp_terms(v.bits))
    m = v.same(-math.inf).select(v.like(0.0), m)
    return v.same(math.inf).select(v, m), k


def exp(v: Lanes) -> Lanes:
    """e^v; results below the smallest normal number are 0."""
    m, k = exponential(v)
    half = (k * 0.5).floor()  # 2^k itself may be beyond the format where m 2^k is not
    return m.scale(half).scale(k - half)


def decay(v: Lanes) -> Lanes:
    """e^v for v <= 88, held to normal numbers."""
    high, low = _ln2(v.bits)
    least = -1022 if v.bits == 64 else -126
    held = v.like(math.ceil(least * math.log(2) * 8) / 8).larger(v)
    k, scale = _stepped(held * math.log2(math.e))
    rest = k.times_plus(-low, k.times_plus(-high, held))
    return _grown(scale, rest, _exp_terms(v.bits, _steps(v.bits)))


def over(v: Lanes, power: Lanes, factor: Lanes) -> Lanes:
    """factor e^v / 2^power for a finite factor and an integral |power| < BEYOND.

    e^v must not be much more than 2^power. The factor meets 2^k while the polynomial is still at work: what
    one step waits for limits all of it.
    """
    high, low = _log2e(v.bits)
    exponent = v.times_plus(low, v.times_plus(high, power * -1.0))  # what cancels is exact
    exponent = v.like(-1.0 * _layout(v.bits)[1]).larger(exponent)
    k, scale = _stepped(exponent)
    terms = reversed(_exp_terms(v.bits, _steps(v.bits)))
    in_twos = [term * math.log(2) ** n for n, term in enumerate(terms)]
    return _grown(scale * factor, exponent - k, in_twos[::-1])


def _grown(scale: Lanes, rest: Lanes, terms: Sequence[float]) -> Lanes:
    """scale (1 + rest (..)): the polynomial leaves out its 1, for which registers would be scarce."""
    return (_polynomial(rest, terms[:-1]) * rest).times_plus(scale, scale)


def _steps(bits: int) -> int:
    """How many powers of two, from one whole power up to the next, a table has."""
    return 8 if bits == 32 and jit.looks_up() else 1


def _stepped(v: Lanes) -> tuple[Lanes, Lanes]:
    """(k, 2^k) for the step k next to v, within the exponents that `_two_to` allows.

    The last digits of a large number's sum with v count the steps: those of a whole power choose from the
    table, which leaves out what the others, moved to where the exponent is, bring along of them.
    """
    if _steps(v.bits) == 1:
        return (k := v.nearest()), _two_to(k)
    large = 1.5 * 2.0**20  # counts in eighths
    counted = v + large
    count = counted.as_bits()
    return counted - large, (count.entry(_eighths()).as_bits() + count.raised(20)).as_value()


def _eighths() -> list[float]:
    """2^(j / 8) for j = 0 .. 7, the bits of j / 8 at the exponent's end taken from each."""
    j = np.arange(8)
    bits = np.exp2(j / 8).astype(np.float32).view(np.int32) - (j << 20).astype(np.int32)
    return [float(number) for number in bits.view(np.float32)]


def split(v: Lanes) -> tuple[Lanes, Lanes]:
    """(m, k) with v = m 2^k, k integral and 1/sqrt 2 <= m < sqrt 2, of v >= 0."""
    m, k = _parts(v)
    whole = v.same(0.0) | v.same(math.inf)
    k = v.same(0.0).select(v.like(-BEYOND), v.same(math.inf).select(v.like(BEYOND), k))
    return (whole | v.isnan()).select(v, m), k


def log(v: Lanes) -> Lanes:
    """ln v = e ln 2 + ln m, with v = m 2^e; ln m = 2 artanh((m - 1) / (m + 1))."""
    high, low = _ln2(v.bits)
    m, e = _parts(v)
    z = (m - 1.0) / (m + 1.0)
    inner = e.times_plus(low, z * _polynomial(z * z, _log_terms(v.bits)))
    found = e.times_plus(high, inner)
    found = v.same(0.0).select(v.like(-math.inf), found)
    found = v.same(math.inf).select(v, found)
    return ((v < 0.0) | v.isnan()).select(v.like(math.nan), found)


def _parts(v: Lanes) -> tuple[Lanes, Lanes]:
    """As split, of finite v > 0."""
    fraction, bias = _layout(v.bits)
    lifted = 2.0**64 if v.bits == 64 else 2.0**32
    small = v < 2.0 ** (2 - bias)  # denormals have their exponent in their digits
    bits = small.select(v * lifted, v).as_bits()
    exponent = (bits - v.like(math.sqrt(0.5)).as_bits()).lowered(fraction)
    m = (bits - exponent.raised(fraction)).as_value()
    return m, exponent.to_value() - small.select(v.like(math.log2(lifted)), 0.0)


def power_of_two(k: Lanes) -> Lanes:
    """2^k for integral k: 0 below every normal number, infinity above."""
    _, bias = _layout(k.bits)
    return _two_to(k.larger(float(-bias)).smaller(float(bias + 1)))


def _two_to(k: Lanes) -> Lanes:
    """2^k for an integral k that normal numbers, 0 or infinity have as exponent."""
    fraction, bias = _layout(k.bits)
    whole = 1.5 * 2.0**fraction + bias  # whose sum with k has k + bias as its last digits
    return (k + whole).as_bits().raised(fraction).as_value()


def _layout(bits: int) -> tuple[int, int]:
    """How many digits of a format are the fraction, and the bias of its exponent."""
    return (52, 1023) if bits == 64 else (23, 127)


def _largest(bits: int) -> float:
    """The largest finite number of a format."""
    return float(np.finfo(np.float64 if bits == 64 else np.float32).max)


def _ln2(bits: int) -> tuple[float, float]:
    """ln 2 in two parts, the first exact in the format."""
    high = math.log(2) if bits == 64 else float(np.float32(math.log(2)))
    low = 2.3190468138462996e-17 if bits == 64 else math.log(2) - high  # ln 2 = 0.693147180559945309417232...
    return high, low


def _log2e(bits: int) -> tuple[float, float]:
    """log2 e in two parts, the first exact in the format."""
    high = math.log2(math.e) if bits == 64 else float(np.float32(math.log2(math.e)))
    low = 2.0355273740931033e-17 if bits == 64 else math.log2(math.e) - high  # 1.442695040888963407359924...
    return high, low


def _polynomial(v: Lanes, terms: Sequence[float]) -> Lanes:
    """Horner's scheme; the highest term first."""
    total = v.like(terms[0])
    for term in terms[1:]:
        total = total.times_plus(v, term)
    return total


def _exp_terms(bits: int, steps: int = 1) -> list[float]:
    """e^r for |r| <= ln 2 / 2 steps: r^n / n!, as far as it counts.

    In short, 1 + r + r^2 q(r), where q meets (e^r - 1 - r) / r^2 in Chebyshev's points; with steps,
    1 + r q(r), likewise.
    """
    power = [1 / math.factorial(n) for n in range(13, -1, -1)]
    if bits == 64:
        return power
    known, degree = (2, 4) if steps == 1 else (1, 2)
    rest = np.polynomial.Polynomial(power[-1 - known :: -1])
    met: Any = np.polynomial.Chebyshev.interpolate(rest, degree, domain=[-0.35 / steps, 0.35 / steps])
    return [*met.convert(kind=np.polynomial.Polynomial).coef.tolist()[::-1], *power[-known:]]


def _log_terms(bits: int) -> list[float]:
    """2 artanh(z) / z as a function of z^2 <= 0.0295: 2 z^(2 n) / (2 n + 1), as far as it counts."""
    return [2 / (2 * n + 1) for n in range(10 if bits == 64 else 4, -1, -1)]
