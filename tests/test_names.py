"""Every public name, its arguments and its sentence stand in docs/names.md as the code has them."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import cnnatomy
from cnnatomy.cli.help import COMMANDS

ROOT = Path(__file__).parents[1]


def script() -> ModuleType:
    spec = spec_from_file_location("names", ROOT / "scripts" / "names.py")
    assert spec is not None
    assert spec.loader is not None
    found = module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_page_of_names_is_what_the_code_says() -> None:
    made, kept = script().page(), (ROOT / "docs" / "names.md").read_text("utf-8")
    changed = set(made.splitlines()) ^ set(kept.splitlines())
    assert made == kept, "python scripts/names.py writes it anew: " + "; ".join(sorted(changed)[:4])


def test_the_page_holds_every_name_with_a_sentence() -> None:
    kept = (ROOT / "docs" / "names.md").read_text("utf-8")
    rows = re.findall(r"^\| `([^`]*)` \| (.*) \|$", kept, re.MULTILINE)
    said = dict(rows)
    names = {row.partition("(")[0] for row in said}
    assert {f"ca.{name}" for name in cnnatomy.__all__} <= names
    assert {f"cnnatomy {name}" for name in COMMANDS} <= names
    assert all(sentence.strip() for sentence in said.values()), [n for n, s in said.items() if not s.strip()]
    assert "ca.pool(x, reducer, region=None, stride=None, padding=0, dilation=1, ceil_mode=False, *" in kept
