"""Which kernel, stride, padding or depth gives a wanted output size or receptive field; geometry alone."""

from cnnatomy.anatomy.ask.solving.solution import Option, Solution
from cnnatomy.anatomy.ask.solving.solve import solve

__all__ = ["Option", "Solution", "solve"]
