"""Other people's networks made better: operators swapped for others, or for faster ones."""

from cnnatomy.adapt.accelerate import Acceleration, Change, accelerate
from cnnatomy.adapt.swap import Conversion, Swap, convert

__all__ = ["Acceleration", "Change", "Conversion", "Swap", "accelerate", "convert"]
