"""The arithmetic of a network, before it runs: measured on meta tensors, totalled, presented.

`inspect` measures, `Table` totals, and the table presents itself in the terminal, in a notebook and as
Markdown, CSV or JSON.
"""

from __future__ import annotations

from cnnatomy.anatomy.measure import inspect
from cnnatomy.anatomy.table import Row, Table

__all__ = ["Row", "Table", "inspect"]
