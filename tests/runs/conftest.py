from __future__ import annotations

from training import prepared_once

__all__ = ["prepared_once"]
