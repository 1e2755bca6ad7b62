"""Where a pooling reads: sliding windows, grids, pyramids, fractional windows, boxes, the whole map."""

from cnnatomy.regions.bins import Bins
from cnnatomy.regions.boxes import Boxes
from cnnatomy.regions.composite_regions import Composite
from cnnatomy.regions.fractional_windows import Fractional
from cnnatomy.regions.given_region import Given, given_region
from cnnatomy.regions.grid import Adaptive, Whole
from cnnatomy.regions.pyramid import Pyramid
from cnnatomy.regions.region import Axis, Region
from cnnatomy.regions.sliding import Sliding

__all__ = [
    "Adaptive",
    "Axis",
    "Bins",
    "Boxes",
    "Composite",
    "Fractional",
    "Given",
    "Pyramid",
    "Region",
    "Sliding",
    "Whole",
    "given_region",
]
