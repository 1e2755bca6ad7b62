"""One run and its evaluation as one HTML page that needs nothing but itself."""

from __future__ import annotations

from cnnatomy.report.gather import write
from cnnatomy.report.page import Confusion, Curve, Page, confusions, wilson
from cnnatomy.report.render import render, save

__all__ = ["Confusion", "Curve", "Page", "confusions", "render", "save", "wilson", "write"]
