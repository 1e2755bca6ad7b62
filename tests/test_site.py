"""The documentation's site: what its pages are made of, and the numbers its chapters must hold."""

from __future__ import annotations

import doctest
import json
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from scripts.site import notebooks

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "docs" / "lectures").glob("[1-5]-*.md"))
SHOWN = {
    "1-pooling": (
        "12.5",
        "25.0000",
        "x₂ − x₁",
        "(x₁, y₂)",
        "y₂ − y",
        "divides twice",
        "is a draw",
        "C by C",
        "floor(",
    ),
    "2-convolution": ("17., 13.", "53., 28.", "10.6", "-6.0", "1792", "1920", "×C)", "0., 3., 0., 4."),
    "3-lenet": (
        "156, 12, 1516, 32, 48120, 10164",
        "60000",
        "[9, 14]",
        "1.5000, 1.5000",
        "**−.1**",
        "0.7000",
        "X . .",
    ),
    "4-sizes": (
        "2.33",
        "[32, 14, 5, 1]",
        "8, 7, 6, 7",
        '`"empty"`',
        "102764544",
        "36928",
        "total padding",
        "(4, 3)",
    ),
    "5-networks": (
        "4., 3., 4.",
        "a(i + k − 1",
        "1728, 1728, 3136",
        "(7, 7)",
        "the other way round",
        "head was lost",
    ),
}
"""Some of the lectures' worked numbers and corrections, by chapter."""


@pytest.mark.parametrize("name", ["notebooks", "links", "reference"])
def test_what_makes_the_pages_does_what_its_examples_say(name: str) -> None:
    pytest.importorskip("sphinx")
    assert doctest.testmod(import_module(f"scripts.site.{name}")).failed == 0


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_chapters_show_the_worked_numbers_and_what_is_wrong(chapter: Path) -> None:
    text = chapter.read_text()
    assert [piece for piece in SHOWN[chapter.stem] if piece not in text] == []
    assert text.count("<details>") == text.count("</details>") == 3


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_chapters_run_as_notebooks(chapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads(notebooks.notebook(chapter.read_text()))["cells"]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    assert code[0] == notebooks.INSTALL
    names: dict[str, object] = {}
    for source in code[1:]:
        exec(compile(source, chapter.name, "exec"), names)
    assert isinstance(names["ca"], ModuleType)
