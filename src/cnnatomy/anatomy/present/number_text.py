"""Numbers as people read them: large ones with a prefix, exact ones with separators."""

from __future__ import annotations

from fractions import Fraction

UNKNOWN = "unknown"
NONE = "–"
_DECIMAL = ("", " k", " M", " G", " T", " P", " E")
_BINARY = (" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB")


def counted(number: float | None) -> str:
    """A number of operations in four digits, with k, M, G for powers of a thousand.

    Example:
        >>> [counted(number) for number in (0, 156, 9999, 118_013_952, 4_089_184_256, None)]
        ['0', '156', '9.999 k', '118.0 M', '4.089 G', 'unknown']
    """
    return UNKNOWN if number is None else _scaled(number, 1000, _DECIMAL)


def stored(number: float | None) -> str:
    """A number of bytes in four digits, with KiB, MiB, GiB for powers of 1024.

    Example:
        >>> [stored(number) for number in (0, 1023, 1024, 85_983_232)]
        ['0 B', '1023 B', '1.000 KiB', '82.00 MiB']
    """
    return UNKNOWN if number is None else _scaled(number, 1024, _BINARY)


def exact(number: int | None) -> str:
    """A number with all its digits.

    Example:
        >>> exact(102_764_544)
        '102,764,544'
    """
    return UNKNOWN if number is None else f"{number:,}"


def share(part: float | None) -> str:
    """A share of one as a percentage.

    Example:
        >>> share(0.1234), share(1.0), share(0.00001)
        ('12.3%', '100%', '<0.1%')
    """
    if part is None:
        return UNKNOWN
    return "<0.1%" if 0 < part < 0.0005 else f"{100 * part:.1f}%".replace(".0%", "%")


def ratio(number: float | None) -> str:
    """A ratio in three digits.

    Example:
        >>> ratio(12.3456), ratio(0.25), ratio(1234.0)
        ('12.3', '0.25', '1234')
    """
    if number is None:
        return UNKNOWN
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def part(number: Fraction) -> str:
    """A rational number: whole, as a decimal where it ends soon, else as a fraction.

    Example:
        >>> part(Fraction(8)), part(Fraction(-3, 2)), part(Fraction(2, 3))
        ('8', '-1.5', '2/3')
    """
    return f"{float(number):g}" if (number * 16).denominator == 1 else str(number)


def _scaled(number: float, base: int, names: tuple[str, ...]) -> str:
    power = 0
    while abs(number) >= base - 0.05 and power + 1 < len(names) and (power or abs(number) >= base):
        number /= base
        power += 1
    if not power:
        return f"{number:.0f}{names[0]}"
    digits = 3 if abs(number) < 9.9995 else 2 if abs(number) < 99.995 else 1 if abs(number) < 999.95 else 0
    return f"{number:.{digits}f}{names[power]}"
