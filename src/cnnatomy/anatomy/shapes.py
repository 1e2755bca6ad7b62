"""Shapes, and how people write them."""

from __future__ import annotations

Shape = tuple[int, ...]


def sizes(shape: Shape) -> str:
    """A shape as people write it.

    Example:
        >>> sizes((1, 6, 28, 28))
        '1×6×28×28'
    """
    return "×".join(map(str, shape)) or "scalar"
