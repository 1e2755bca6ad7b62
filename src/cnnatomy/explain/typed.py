"""Numbers as people type them."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from cnnatomy.errors import ArgumentError


def rows(name: str, text: str) -> Tensor:
    """Rows of numbers, parted by semicolons or lines; one row alone has one axis.

    Args:
        name: what the numbers are, for the message.
        text: the numbers.

    Raises:
        ArgumentError: something in it is no number, or rows differ in length.

    Example:
        >>> rows("--input", "1 3; 2 4").tolist(), rows("--input", "1, 2").tolist()
        ([[1.0, 3.0], [2.0, 4.0]], [1.0, 2.0])
    """
    words = [row.replace(",", " ").split() for row in re.split(r"[;\n]", text) if row.strip()]
    try:
        values = [[float(word) for word in row] for row in words]
    except ValueError as error:
        got = str(error).rpartition(": ")[2]
        raise ArgumentError(name, expected='numbers such as "1 3; 2 4"', got=got) from None
    if not values or len({len(row) for row in values}) > 1:
        got = "no numbers" if not values else f"rows of {sorted({len(row) for row in values})}"
        raise ArgumentError(name, expected="rows of one length", got=got)
    found = torch.tensor(values)
    return found[0] if len(values) == 1 else found
