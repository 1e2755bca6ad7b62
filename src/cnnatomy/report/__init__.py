"""One run and its evaluation as one HTML page that needs nothing but itself."""

from __future__ import annotations

from cnnatomy.report.gather import write
from cnnatomy.report.page import Curve, Page
from cnnatomy.report.render import render, save

__all__ = ["Curve", "Page", "render", "save", "write"]
