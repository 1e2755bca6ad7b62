"""Settings for every test and example."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("unhurried")  # the machine may be busy, and a failure must come again


@pytest.fixture(autouse=True)
def _elsewhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run examples in a folder of their own, so that what they write is left nowhere."""
    if type(request.node).__name__ == "DoctestItem":
        monkeypatch.chdir(tmp_path)
