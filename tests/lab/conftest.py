"""One lab for all tests that only ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lab import browsing, serving


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """The port of a lab that runs."""
    pytest.importorskip("uvicorn")
    with serving.lab() as (found, _, _):
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium."""
    yield from browsing.chromium()
