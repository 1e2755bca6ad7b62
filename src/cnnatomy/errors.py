"""The one shape of every error a user can mend: what, expected, got, and what to try."""

from __future__ import annotations


class CnnatomyError(ValueError):
    """Something the caller can mend, said in one line: what; expected, got, and what to try.

    Example:
        >>> str(CnnatomyError("kernel must be positive", expected="an int >= 1", got="0", hint="kernel=1"))
        'kernel must be positive: expected an int >= 1, got 0; try kernel=1'
    """

    def __init__(
        self, what: str, *, expected: str | None = None, got: str | None = None, hint: str | None = None
    ) -> None:
        parts = [f"expected {expected}" if expected else "", f"got {got}" if got else ""]
        facts = ", ".join(part for part in parts if part)
        super().__init__(what + (f": {facts}" if facts else "") + (f"; try {hint}" if hint else ""))


class ArgumentError(CnnatomyError):
    """An argument that cannot mean anything here."""


class TensorError(ArgumentError, RuntimeError):
    """A tensor that an operator cannot take, where torch raises a RuntimeError: it is caught as both."""


class DataError(CnnatomyError):
    """Pictures or labels that cannot be read, or must not be."""


class CheckpointError(CnnatomyError):
    """A run folder or checkpoint that is missing, broken, or belongs to something else."""
