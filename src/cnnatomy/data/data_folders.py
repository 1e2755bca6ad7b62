"""Where data is looked for."""

from __future__ import annotations

import os
from pathlib import Path


def data_dir(given: Path | None = None) -> Path | None:
    """Return the folder of the user's own data sets: `given`, else CNNATOMY_DATA, else None."""
    named = os.environ.get("CNNATOMY_DATA")
    return given if given is not None else Path(named).expanduser() if named else None
