"""Operators in steps: the last is laid out, and the one before explains what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cnnatomy.explain.families.pooling_family import At
from cnnatomy.explain.plane_layout import Laid

if TYPE_CHECKING:
    from cnnatomy.explain.explanation import Explanation


@dataclass(frozen=True)
class Staged:
    """Two steps: `last` reads what `first` makes."""

    last: Any
    first: Any

    def laid(self, at: At) -> Laid:
        """The plane of the last step."""
        laid: Laid = self.last.laid(at)
        made = self.first.laid((at[0], laid.reads.channels[0], None)).call.name
        return after(laid, self.first, f"x is what the step before made ({made}): its records are parts")


def after(laid: Laid, first: Any, note: str) -> Laid:
    """A plane that reads what an earlier step made."""
    image, shown = laid.plane.of["image"], laid.shown()["x"].shape

    def parts(grad: Tensor | None) -> Sequence[tuple[str, Explanation]]:
        from cnnatomy.explain.explaining import checked

        found = []
        for k, channel in enumerate(laid.reads.channels):
            whole = None if grad is None else embedded(laid, grad[k])
            place = tuple(i + n // 2 for i, n in zip(laid.reads.start, shown[1:], strict=True))
            found.append((f"x[{channel}]", checked(first.laid((image, channel, place)), whole)))
        return found

    return replace(laid, parts=parts, notes=[*laid.notes, note])


def embedded(laid: Laid, grad: Tensor) -> Tensor:
    """The gradient of one shown channel, in the whole of that channel."""
    whole = torch.zeros(laid.call.inputs["x"].shape[2:], dtype=grad.dtype)
    inner = whole
    for axis, (first, size) in enumerate(zip(laid.reads.start, grad.shape, strict=True)):
        inner = inner.narrow(axis, first, size)
    inner.copy_(grad)
    return whole
