"""The arithmetic of windows on an axis; standard library only."""

from cnnatomy.geometry.axis_table import AxisTable
from cnnatomy.geometry.cover import Cover
from cnnatomy.geometry.padding_rules import RULES, Rule, extent, paddings, per_axis, resolve
from cnnatomy.geometry.reach import Reach
from cnnatomy.geometry.window import Window
from cnnatomy.geometry.window_fit import Mend

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
