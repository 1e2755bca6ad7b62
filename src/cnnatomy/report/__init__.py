"""One run and its evaluation as one HTML page that needs nothing but itself."""

from __future__ import annotations

from cnnatomy.report.page_content import Curve, Page
from cnnatomy.report.render import render, save
from cnnatomy.report.run_page import write

__all__ = ["Curve", "Page", "render", "save", "write"]
