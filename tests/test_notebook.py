"""The notebook of the docs runs, and shows every result by its figures, small enough for a page."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "first-steps.ipynb"
LARGEST = 20_000
"""Bytes of a cell's result, but for pages of their own, which explanations are."""


def shown(result: Any) -> str:
    """What a notebook shows of a result: HTML before Markdown before text."""
    for form in ("_repr_html_", "_repr_markdown_"):
        if hasattr(type(result), form):
            return str(getattr(result, form)())
    return repr(result)


def executed() -> list[tuple[str, Any]]:
    """Every code cell, with the value of its last line if that is an expression."""
    names: dict[str, Any] = {}
    found = []
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            text = "".join(cell["source"])
            *before, last = ast.parse(text).body
            alone = isinstance(last, ast.Expr)
            exec(compile(ast.Module(before if alone else [*before, last], []), str(NOTEBOOK), "exec"), names)
            tail = compile(ast.Expression(last.value), str(NOTEBOOK), "eval") if alone else None  # type: ignore[attr-defined]
            found.append((text, None if tail is None else eval(tail, names)))
    return found


def test_the_notebook_runs_and_shows_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = {text.splitlines()[-1]: value for text, value in executed() if value is not None}
    said = {line: shown(value) for line, value in results.items()}
    for line, text in said.items():
        page = line.startswith("ca.explain")
        assert page or len(text.encode()) <= LARGEST, f"{line}: {len(text.encode()):,} bytes"
        assert page or "tensor([" not in text or line.startswith("ca.pool("), line
    assert "1,438 training, 359 test pictures" in said["digits"]
    assert "95% interval" in said["run.evaluation"]
    assert "open: the first pass makes the layers" in said["net"]
    assert "| `soft` |" in said["ca.REGISTRY"]
    assert "advice" in said["known"]
    assert "**7 cells read by kernel 3" in said["ca.solve(input_size=7, kernel_size=3, stride=3)"]
