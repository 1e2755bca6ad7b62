"""Target codes for the RBF output: drawings for digits, orthogonal codes for everything else."""

from __future__ import annotations

from collections.abc import Sequence

from cnnatomy.errors import ArgumentError
from cnnatomy.models.bitmaps import HEIGHT, WIDTH, code
from cnnatomy.models.model_catalog import are_digits

LENGTH = HEIGHT * WIDTH  # 84
_PRIME = LENGTH - 1  # 83 is a prime of the form 4n + 3, which Paley's construction needs


def class_codes(classes: Sequence[str]) -> list[list[int]]:
    """Give every class its 84 target activations of +1 and -1.

    Classes that are all digits get their bitmaps. Other classes get, in order, the rows of a Hadamard matrix
    of order 84 (any two differ in 42 places) and, past 84 classes, the negated rows (42 or 84 places).

    Source: Paley (1933), "On orthogonal matrices", first construction.

    Raises:
        ArgumentError: more than 168 classes.

    Example:
        >>> cat, dog = class_codes(["cat", "dog"])
        >>> sum(a != b for a, b in zip(cat, dog))
        42
    """
    if are_digits(classes):
        return [code(name) for name in classes]
    if len(classes) > 2 * LENGTH:
        expected = f"at most {2 * LENGTH} classes"
        raise ArgumentError(
            "the rbf output", expected=expected, got=str(len(classes)), hint="output='softmax'"
        )
    rows = _hadamard()
    return [rows[k] if k < LENGTH else [-cell for cell in rows[k - LENGTH]] for k in range(len(classes))]


def _hadamard() -> list[list[int]]:
    """Build I + S of order 84, S skew with the quadratic characters of the differences mod 83 as its core."""
    squares = {n * n % _PRIME for n in range(1, _PRIME)}
    core = [
        [1 if i == j or (i - j) % _PRIME in squares else -1 for j in range(_PRIME)] for i in range(_PRIME)
    ]
    return [[1] * LENGTH] + [[-1, *row] for row in core]
