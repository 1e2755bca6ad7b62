from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and no data folder for every test."""
    monkeypatch.setenv("CNNATOMY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CNNATOMY_DATA", raising=False)
    return tmp_path / "cache"
