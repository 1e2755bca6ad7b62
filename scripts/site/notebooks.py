"""A page of the documentation as a notebook: its examples become cells, everything between them text."""

from __future__ import annotations

import json
import re

FENCE = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
INSTALL = "%pip install --quiet cnnatomy"


def cells(page: str) -> list[tuple[str, str]]:
    """Cut a page into ("code" | "markdown", text).

    Example:
        >>> page = "# Sums\\n```python\\n>>> 1 + 1\\n2\\n```\\nEnd.\\n"
        >>> cells(page)
        [('markdown', '# Sums'), ('code', '1 + 1'), ('markdown', 'End.')]
    """
    made, last = [], 0
    for fence in FENCE.finditer(page):
        code = _code(fence[1], fence[3])
        if code is not None:
            made += [("markdown", page[last : fence.start()]), ("code", code)]
            last = fence.end()
    made.append(("markdown", page[last:]))
    return [(kind, text.strip()) for kind, text in made if text.strip()]


def _code(language: str, block: str) -> str | None:
    """Return what a block of an example or an explanation runs; None if it is to be read only."""
    if language == "{notebook}":
        return ""
    if language == "{explanation}":
        head = "import torch, cnnatomy as ca\n"
        return head + "\n".join(line for line in block.splitlines() if not line.startswith(":"))
    if language != "python" or ">>> " not in block:
        return None
    lines = [line[4:] for line in block.splitlines() if line.startswith((">>> ", "... ")) or line == "..."]
    return "\n".join(lines)


def notebook(page: str) -> str:
    """Write a page as a notebook, in nbformat 4.5.

    Example:
        >>> made = json.loads(notebook("# Sums\\n"))
        >>> made["nbformat"], [cell["cell_type"] for cell in made["cells"]]
        (4, ['code', 'markdown'])
    """
    written: list[dict[str, object]] = [
        {
            "id": f"cell-{number}",
            "cell_type": kind,
            "metadata": {},
            "source": text,
            **({"outputs": [], "execution_count": None} if kind == "code" else {}),
        }
        for number, (kind, text) in enumerate([("code", INSTALL), *cells(page)])
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": written}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
