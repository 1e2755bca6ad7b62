"""Where data is looked for, and where what was fetched or decoded is kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def data_dir(given: Path | None = None) -> Path | None:
    """Return the folder of the user's own data sets: `given`, else CNNATOMY_DATA, else None."""
    named = os.environ.get("CNNATOMY_DATA")
    return given if given is not None else Path(named).expanduser() if named else None


def cache_dir() -> Path:
    """Return the folder that cnnatomy may fill: CNNATOMY_CACHE, else the platform's place for caches."""
    if named := os.environ.get("CNNATOMY_CACHE"):
        return Path(named).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "cnnatomy" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "cnnatomy"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "cnnatomy"
