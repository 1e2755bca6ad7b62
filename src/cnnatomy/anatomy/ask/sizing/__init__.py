"""Which input sizes a network divides cleanly, and what it loses of the others."""

from cnnatomy.anatomy.ask.sizing.input_sizes import InputSize, InputSizes, Loss
from cnnatomy.anatomy.ask.sizing.size_finding import sizes

__all__ = ["InputSize", "InputSizes", "Loss", "sizes"]
