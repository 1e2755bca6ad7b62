"""The command line: `cnnatomy train`, `evaluate`, `predict`, `inspect`, `pools`."""

from __future__ import annotations

from cnnatomy.cli.main import main

__all__ = ["main"]
