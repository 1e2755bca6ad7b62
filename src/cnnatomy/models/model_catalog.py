"""What models there are: their names, inputs and sources, without building one or importing torch."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cnnatomy.checks import of_kind
from cnnatomy.errors import ArgumentError
from cnnatomy.models.classics import CLASSICS
from cnnatomy.models.named import is_place, summary


@dataclass(frozen=True)
class Entry:
    """One model that `cnnatomy.models.build` knows.

    Example:
        >>> find("lenet5").input_shape
        (1, 32, 32)
    """

    name: str
    summary: str
    input_shape: tuple[int, int, int] | None
    """Channels, height and width of the pictures it reads; None where a text leaves that open."""
    outputs: tuple[str, ...]
    """The output layers it can end in."""
    reference: str
    notation: str
    """The network in a line or two (docs/notation.md); empty for one that is named by its place."""
    parameters: int | None = None
    """Trainable parameters, with as many classes as the notation says; None where that is open."""

    def output_for(self, classes: int | Sequence[str], wanted: str | None = None) -> str:
        """Choose the output layer: what was asked for, else what suits the classes.

        LeNet-5's "rbf" compares with drawings of digits, so it is the choice for digits (ten unnamed classes,
        or names that are all single digits); other classes have no drawing and get "softmax".

        Raises:
            ArgumentError: the model has no such output.

        Example:
            >>> find("lenet5").output_for(("cat", "dog")), find("lenet5").output_for(10)
            ('softmax', 'rbf')
        """
        if wanted is None:
            return "rbf" if "rbf" in self.outputs and are_digits(classes) else "softmax"
        if wanted not in self.outputs:
            raise _unknown(f"{self.name} has no output {wanted!r}", wanted, self.outputs)
        return wanted


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
        notation="INPUT 1x32x32 C1:6@28x28 S2:6@14x14 C3:16@10x10 table(I) S4:16@5x5 C5:120 F6:84 RBF-10",
        parameters=60_000,
    ),
    *(
        Entry(
            one.name, one.summary, one.input_shape, ("softmax",), one.reference, one.notation, one.parameters
        )
        for one in CLASSICS
    ),
)

NAMES: tuple[str, ...] = tuple(entry.name for entry in ENTRIES)


def find(name: str) -> Entry:
    """Look a model up by name, or describe what a text says: notation, or where a network is.

    What is named by its place (`timm:resnet10t`, `net.py:Net`) is not looked for.

    Raises:
        ArgumentError: there is no such model; the message names the nearest. A text that says no network
            gives the `NotationError`, which is one.

    Example:
        >>> find("conv3-8 maxpool FC-10").input_shape is None
        True
        >>> find("lenet")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: unknown model 'lenet': expected one of lenet5, ...; try lenet5
    """
    of_kind("this is no network", name, str, "notation, or the name of a classic")
    for entry in ENTRIES:
        if entry.name == name:
            return entry
    if is_place(name):
        return Entry(name, summary(name), None, ("softmax",), "", "")
    if name.endswith(".py"):
        raise ArgumentError(f"{name} may hold many networks", hint=f"{name}:NAME")
    from cnnatomy.notation.errors import NotationError
    from cnnatomy.notation.parse import parse
    from cnnatomy.notation.vocabulary import SPOKEN

    try:
        spec = parse(name)
    except NotationError:
        if re.fullmatch(r"[A-Za-z][\w.-]*", name) and name.casefold() not in SPOKEN:  # meant as a name
            raise _unknown(f"unknown model {name!r}", name, NAMES) from None
        raise
    sizes = spec.input.sizes if spec.input else ()
    shape = (sizes[0], sizes[1], sizes[2]) if len(sizes) == 3 else None
    return Entry(name, "a network in notation", shape, ("softmax",), "", str(spec))


def _unknown(what: str, name: object, known: Sequence[str]) -> ArgumentError:
    nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
    return ArgumentError(what, expected="one of " + ", ".join(known), hint=nearest[0] if nearest else None)
