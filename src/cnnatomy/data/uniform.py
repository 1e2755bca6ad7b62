"""Sets of pictures that are all alike, kept in one file: what is known of them before they are read."""

from __future__ import annotations

from typing import NamedTuple

from cnnatomy.data.fit_policies import Size


class Uniform(NamedTuple):
    """The `size` (height, width) of every picture, its channels, and how many there are if that is known."""

    size: Size
    channels: int
    total: int | None
