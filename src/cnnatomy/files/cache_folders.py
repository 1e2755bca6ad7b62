"""Where what was fetched, decoded or compiled is kept."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path


def cache_dir() -> Path:
    """Return the folder that cnnatomy may fill: CNNATOMY_CACHE, else the platform's place for caches.

    A relative XDG_CACHE_HOME is ignored, as the XDG Base Directory specification asks, with a warning.
    """
    if named := os.environ.get("CNNATOMY_CACHE"):
        return Path(named).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "cnnatomy" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "cnnatomy"
    base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    if not base.is_absolute():
        warnings.warn(
            f"XDG_CACHE_HOME={base} is ignored: it is no absolute path", RuntimeWarning, stacklevel=2
        )
        base = home / ".cache"
    return base / "cnnatomy"
