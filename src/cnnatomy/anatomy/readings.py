"""The two readings of a receptive field: with everything, or with reductions over whole maps set aside."""

from __future__ import annotations

from typing import Literal

Reading = Literal["exact", "local"]
READINGS: tuple[Reading, ...] = ("exact", "local")
