"""One lab for all tests that only ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import serving


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    """The port of a lab that runs."""
    pytest.importorskip("uvicorn")
    with serving.lab() as (found, _, _):
        yield found
