"""What a table says in sentences: its title, the memory, what is partial, and what must be known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnatomy.anatomy.present.number_text import stored
from cnnatomy.anatomy.shapes import sizes

if TYPE_CHECKING:
    from cnnatomy.anatomy.result import Anatomy


def title(anatomy: Anatomy) -> str:
    """`LeNet5 on one input of 1×32×32`."""
    shapes = {
        name: sizes(shape[1:] if shape[:1] == (1,) else shape) for name, shape in anatomy.inputs.items()
    }
    if len(shapes) == 1:
        return f"{anatomy.model} on one input of {next(iter(shapes.values()))}"
    named = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    return f"{anatomy.model} on inputs {named}" if named else anatomy.model


def memory(anatomy: Anatomy) -> str | None:
    """What a pass over one input holds, in one line; None where it was not measured."""
    if anatomy.memory is None:
        return None
    known = anatomy.memory
    peak = f"peak {stored(known.inference)} in inference"
    if known.training is not None:
        peak += f", {stored(known.training)} in training"
    saved = [] if known.saved is None else [f"{stored(known.saved)} saved for backward"]
    return "memory: " + " · ".join([f"weights {stored(known.weights)}", peak, *saved])


def partial(anatomy: Anatomy) -> str | None:
    """Why the table is partial; None if it is whole."""
    return None if anatomy.reason is None else f"partial: {anatomy.reason}"


def notes(anatomy: Anatomy) -> list[str]:
    """What a reader of the numbers must know."""
    said = []
    if anatomy.frozen:
        said.append(f"parameters: {anatomy.trainable:,} trainable, {anatomy.frozen:,} frozen")
    if any(layer.shared for layer in anatomy.layers):
        said.append("(n): parameters that an earlier layer has counted")
    if anatomy.absent:
        said.append(f"absent connections, neither parameters nor multiplied: {anatomy.absent:,} weights")
    if anatomy.complete and any(not layer.called for layer in anatomy.layers):
        said.append("no output shape: not called as a layer")
    return [*said, *anatomy.notes]


def sentences(anatomy: Anatomy) -> list[str]:
    """Everything below the table, the most important first."""
    return [line for line in (partial(anatomy), memory(anatomy)) if line] + notes(anatomy)
