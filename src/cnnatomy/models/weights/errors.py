"""What is said of weights that cannot be used."""

from __future__ import annotations

from cnnatomy.errors import ArgumentError


class WeightsError(ArgumentError):
    """Weights that cannot be found, cannot be read, or do not fit the network; nothing was loaded."""
