"""Draw the layers of the package from its imports, for `docs/architecture.md`.

    python scripts/layers.py            # write docs/images/layers.svg

A box is a file or a folder of `src/cnnatomy`; what stands in it is the beginning of its docstring. An arrow
is an import, wherever in a file it stands; those that follow from others are left out. What everything else
stands on lies together at the bottom.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path

HOME = Path(__file__).parents[1]
ROOT = HOME / "src" / "cnnatomy"
PICTURE = HOME / "docs" / "images" / "layers.svg"
GROUND = ("errors", "checks", "spec", "files", "lazy")
"""What everything else stands on."""
BESIDE = ("data", "studies")
"""What stands beside the others, so that no arrow passes behind a box."""
WIDTH, HEIGHT, DEEP, STEP, MARGIN = 256, 46, 72, 62, 12
WHOLE = 3 * WIDTH + 2 * MARGIN

Edges = dict[str, set[str]]


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Everything in a file's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(path: Path) -> set[str]:
    """The modules of the package that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return {name for name in found if name.split(".")[0] == "cnnatomy"}


def imports() -> Edges:
    """By layer the layers that it imports."""
    layers = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    layers -= {"__init__", "__main__"}
    found: Edges = {layer: set() for layer in layers}
    for path in ROOT.rglob("*.py"):
        home = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if home in layers:
            parts = {part for name in imported(path) for part in name.split(".")[1:2]}
            found[home] |= (parts & layers) - {home}
    return found


def reduced(edges: Edges) -> Edges:
    """The edges that do not follow from others.

    Example:
        >>> reduced({"a": set(), "b": {"a"}, "c": {"a", "b"}})
        {'a': set(), 'b': {'a'}, 'c': {'b'}}
    """

    def below(layer: str) -> set[str]:
        return edges[layer].union(*(below(other) for other in edges[layer]))

    return {
        layer: others - set[str]().union(*(below(other) for other in others))
        for layer, others in edges.items()
    }


def floors(edges: Edges) -> dict[str, int]:
    """How high each layer stands: just below the lowest of those that import it.

    Example:
        >>> floors({"a": set(), "b": {"a"}, "c": {"a", "b"}})
        {'a': 0, 'b': 1, 'c': 2}
    """

    def above(layer: str) -> int:
        return 1 + max((above(other) for other, below in edges.items() if layer in below), default=-1)

    found = {layer: above(layer) for layer in edges}
    return {layer: max(found.values()) - depth for layer, depth in found.items()}


def grounded(edges: Edges) -> Edges:
    """The same with the ground as one layer, named by the empty string.

    Example:
        >>> grounded({"errors": set(), "spec": {"errors"}, "geometry": {"errors", "spec"}})
        {'geometry': {''}, '': set()}
    """

    def name(layer: str) -> str:
        return "" if layer in GROUND else layer

    return {layer: set(map(name, others)) for layer, others in edges.items() if name(layer)} | {"": set()}


def says(layer: str) -> str:
    """The beginning of a layer's docstring, up to the first sign that ends a part of a sentence."""
    path = ROOT / layer / "__init__.py"
    tree = ast.parse((path if path.exists() else ROOT / f"{layer}.py").read_text(encoding="utf-8"))
    return re.split(r"[:;.\n]", ast.get_docstring(tree) or "", maxsplit=1)[0]


def places(levels: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """The upper left corner of every box."""
    rows: defaultdict[int, list[str]] = defaultdict(list)
    for layer in sorted(levels):
        rows[levels[layer]].append(layer)
    found: dict[str, tuple[float, float]] = {}
    for level, row in rows.items():
        y = MARGIN + (max(rows) - level) * STEP
        middle = [layer for layer in row if layer not in BESIDE]
        for place, layer in enumerate(middle):
            found[layer] = (MARGIN + 2 * WIDTH - (len(middle) / 2 - place) * (WIDTH + MARGIN), y)
        found |= {layer: (MARGIN, y) for layer in row if layer in BESIDE}
    return found | {"": (MARGIN, 2 * MARGIN + max(rows) * STEP)}


def drawing() -> str:
    """The picture, as SVG that follows the page's colours."""
    every = grounded(imports())
    edges, at = reduced(every), places(floors(every))
    bottom = at.pop("")[1]
    arrows = []
    for upper in sorted(at):
        x = at[upper][0] + WIDTH / 2
        for lower in sorted(edges[upper]):
            to = (at[lower][0] + WIDTH / 2, at[lower][1]) if lower else (x, bottom - MARGIN)
            arrows.append(_arrow((x, at[upper][1] + HEIGHT), to))
    boxes = [_box(layer, *at[layer], WIDTH, HEIGHT) for layer in sorted(at)]
    each = (WHOLE - MARGIN * (len(GROUND) - 1)) / len(GROUND)
    ground = [
        _box(layer, MARGIN + place * (each + MARGIN), bottom, each, DEEP)
        for place, layer in enumerate(GROUND)
    ]
    head = _HEAD.format(width=WHOLE + 2 * MARGIN, height=bottom + DEEP + MARGIN)
    floor = f'<path class="floor" d="M{MARGIN} {bottom - MARGIN + 4:g}h{WHOLE}"/>'
    return "\n".join([head, floor, *arrows, *boxes, *ground, "</svg>", ""])


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """From the lower edge of a box to the upper edge of another: down first, then across between two rows."""
    (x, y), (to_x, to_y) = start, (end[0], end[1] - 5)
    return f'<path d="M{x:g} {y:g}C{x:g} {to_y - 2:g} {to_x:g} {to_y - STEP + HEIGHT:g} {to_x:g} {to_y:g}"/>'


def _box(layer: str, x: float, y: float, width: float, height: int) -> str:
    lines = textwrap.wrap(says(layer), int(width / 5.8), max_lines=(height - 22) // 12, placeholder=" ..")
    says_it = "".join(
        f'<text x="{x + 8:g}" y="{y + 30 + 12 * place:g}" class="says">{escape(line)}</text>'
        for place, line in enumerate(lines)
    )
    name = f'<text x="{x + 8:g}" y="{y + 16:g}">{layer}</text>'
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height}" rx="5"/>{name}{says_it}'


_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"
font-family="sans-serif">
<title>The layers of cnnatomy: arrows are imports, and none goes up</title>
<style>
svg {{ background: #fff }} rect {{ fill: #eef3f8; stroke: #7a8ea3 }} path {{ fill: none; stroke: #7a8ea3;
marker-end: url(#tip) }} text {{ font-size: 14px; font-weight: bold; fill: #1b2733 }}
.says {{ font-size: 11px; font-weight: normal }}
.floor {{ marker-end: none; stroke-width: 2 }}
marker path {{ fill: #7a8ea3; marker-end: none }}
@media (prefers-color-scheme: dark) {{ svg {{ background: #14181d }} rect {{ fill: #222b35 }}
text {{ fill: #e4eaf0 }} }}
</style>
<marker id="tip" viewBox="0 0 6 6" refX="3" refY="3" markerWidth="6" markerHeight="6" orient="auto">
<path d="M0 0L6 3L0 6z"/></marker>"""


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
