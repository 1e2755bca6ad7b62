"""The classic networks, built as published; `cnnatomy.models.catalog` lists them without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnatomy.errors import ArgumentError
from cnnatomy.models.catalog import ENTRIES, NAMES, Entry, find

if TYPE_CHECKING:
    from cnnatomy.models.classifier import Classifier

__all__ = ["ENTRIES", "NAMES", "Entry", "build", "find"]


def build(name: str, *, classes: int | Sequence[str], output: str | None = None) -> Classifier:
    """Build a model of the catalog with fresh random weights.

    Kernels are laid out with channels last, the layout in which convolutions of pictures run fastest.

    Args:
        name: one of `NAMES`.
        classes: how many classes, or their names (a model may draw its targets from them).
        output: the output layer; when left out, the one that suits the classes (`Entry.output_for`).

    Raises:
        ArgumentError: unknown model or output, fewer than two classes, or a name given twice.

    Example:
        >>> model = build("lenet5", classes=10)
        >>> sum(p.numel() for p in model.parameters())
        60000
        >>> sum(p.numel() for p in build("lenet5", classes=10, output="softmax").parameters())
        60850
    """
    entry = find(name)
    output = entry.output_for(classes, output)
    names = tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)
    if len(names) < 2 or len(set(names)) < len(names):
        raise ArgumentError("classes", expected="at least two, all different", got=repr(classes))
    import torch

    from cnnatomy.models.lenet import LeNet5

    model: Classifier = {"lenet5": LeNet5}[name](names, output=output)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    return model
