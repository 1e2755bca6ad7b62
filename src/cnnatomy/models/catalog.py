"""What models there are: their names, inputs and sources, without building one or importing torch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from cnnatomy.errors import ArgumentError


@dataclass(frozen=True)
class Entry:
    """One model that `cnnatomy.models.build` knows.

    Example:
        >>> find("lenet5").input_shape
        (1, 32, 32)
    """

    name: str
    summary: str
    input_shape: tuple[int, int, int]
    """Channels, height and width of the pictures it reads."""
    outputs: tuple[str, ...]
    """The output layers it can end in."""
    reference: str

    def output_for(self, classes: int | Sequence[str], asked: str | None = None) -> str:
        """Choose the output layer: what was asked for, else what suits the classes.

        LeNet-5's "rbf" compares with drawings of digits, so it is the choice for digits (ten unnamed classes,
        or names that are all single digits); other classes have no drawing and get "softmax".

        Raises:
            ArgumentError: the model has no such output.

        Example:
            >>> find("lenet5").output_for(("cat", "dog")), find("lenet5").output_for(10)
            ('softmax', 'rbf')
        """
        if asked is None:
            return "rbf" if "rbf" in self.outputs and are_digits(classes) else "softmax"
        if asked not in self.outputs:
            raise _unknown(f"{self.name} has no output {asked!r}", asked, self.outputs)
        return asked


def are_digits(classes: int | Sequence[str]) -> bool:
    """Say whether the classes are digits: ten unnamed ones, or names "0" to "9".

    Example:
        >>> are_digits(10), are_digits(["3", "8"]), are_digits(["cat", "8"])
        (True, True, False)
    """
    return classes == 10 if isinstance(classes, int) else set(classes) <= set("0123456789")


ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="lenet5",
        summary="LeNet-5 as published: trainable subsampling, a table of connections, RBF output",
        input_shape=(1, 32, 32),
        outputs=("rbf", "softmax"),
        reference="LeCun et al., Gradient-based learning applied to document recognition (1998)",
    ),
)

NAMES: tuple[str, ...] = tuple(entry.name for entry in ENTRIES)


def find(name: str) -> Entry:
    """Look a model up by name.

    Raises:
        ArgumentError: there is no such model; the message names the nearest.

    Example:
        >>> find("lenet")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: unknown model 'lenet': expected one of lenet5; try lenet5
    """
    for entry in ENTRIES:
        if entry.name == name:
            return entry
    raise _unknown(f"unknown model {name!r}", name, NAMES)


def _unknown(what: str, name: str, known: Sequence[str]) -> ArgumentError:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return ArgumentError(what, expected="one of " + ", ".join(known), hint=nearest[0] if nearest else None)
