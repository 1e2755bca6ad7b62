"""Where a pooling reads: sliding windows, an adaptive grid, the whole map."""

from cnnatomy.regions.grid import Adaptive, Whole
from cnnatomy.regions.region import Axis, Region
from cnnatomy.regions.sliding import Sliding

__all__ = ["Adaptive", "Axis", "Region", "Sliding", "Whole"]
