"""An anatomy shown: on a terminal, in a notebook, as Markdown, CSV or JSON; the same numbers everywhere."""

from __future__ import annotations

from cnnatomy.anatomy.present.rows import Choice, View
from cnnatomy.anatomy.readings import Reading

__all__ = ["Choice", "Reading", "View"]
