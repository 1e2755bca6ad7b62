"""Where what was fetched or decoded is kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


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
