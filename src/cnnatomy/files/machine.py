"""What the machine has to give."""

from __future__ import annotations

import os
import re
from pathlib import Path

_FREE = Path("/proc/meminfo")
_OWN = Path("/proc/self/status")


def free_memory() -> int | None:
    """How many bytes can be had without taking them from others; all there are where that is not said.

    None: the platform says neither.
    """
    try:
        if found := re.search(r"MemAvailable: +(\d+) kB", _FREE.read_text("ascii")):
            return int(found[1]) << 10
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def own_memory() -> int | None:
    """How many bytes this process holds that it shares with no other; None where the system does not say."""
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", _OWN.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return int(found[1]) << 10 if found else None
