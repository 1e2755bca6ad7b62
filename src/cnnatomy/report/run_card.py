"""A run in a notebook: the result, the learning curves, and where the page lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from cnnatomy.report.chart import chart
from cnnatomy.report.run_page import curves
from cnnatomy.train.reporter import Epoch

STYLE = """
.cnnatomy-run { font: 14px/1.5 system-ui, sans-serif; max-width: 68rem;
  --c0: #2a6fdb; --c1: #c2571a; --c2: #2e8b57; --line: #8883; --soft: #888; --paper: transparent; }
.cnnatomy-run .charts { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); }
.cnnatomy-run figure { margin: 0; }
.cnnatomy-run .chart { width: 100%; height: auto; font-size: 12px; }
.cnnatomy-run .chart .grid { stroke: var(--line); }
.cnnatomy-run .chart text { fill: var(--soft); }
.cnnatomy-run .chart path { fill: none; stroke-width: 2; }
"""


def run_card(path: Path, said: str, history: Sequence[Epoch]) -> str:
    """An HTML element without scripts, whose colours are readable on light and on dark pages."""
    figures = [
        Markup("<figure><figcaption>{}</figcaption>{}</figure>").format(
            title, chart(title, lines, percent=shares)
        )
        for title, lines, shares in zip(("loss", "accuracy"), curves(history), (False, True), strict=True)
    ]
    style = STYLE + "".join(
        f".cnnatomy-run .chart .c{k} path {{ stroke: var(--c{k}); }}"
        f".cnnatomy-run .chart .c{k} circle, .cnnatomy-run .chart text.c{k} {{ fill: var(--c{k}); }}\n"
        for k in range(3)
    )
    return Markup(
        '<div class="cnnatomy-run"><style>{}</style><p><b>{}</b><br>{}</p><div class="charts">{}</div></div>'
    ).format(Markup(style), said, path, Markup("").join(figures))
