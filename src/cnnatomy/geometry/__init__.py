"""The arithmetic of windows on an axis; standard library only."""

from cnnatomy.geometry.cover import Cover
from cnnatomy.geometry.fit import Mend
from cnnatomy.geometry.padding import RULES, Rule, extent, paddings, per_axis, resolve
from cnnatomy.geometry.reach import Reach
from cnnatomy.geometry.table import AxisTable
from cnnatomy.geometry.window import Window

__all__ = [
    "RULES",
    "AxisTable",
    "Cover",
    "Mend",
    "Reach",
    "Rule",
    "Window",
    "extent",
    "paddings",
    "per_axis",
    "resolve",
]
