"""What the outputs of every operator see, one family of operators per file."""

from __future__ import annotations

from cnnatomy.anatomy.field.rules import indexing, reductions, resampling, views, windows
from cnnatomy.anatomy.field.rules.registry import RULES, NotKnown, everything, rule_of

__all__ = [
    "RULES",
    "NotKnown",
    "everything",
    "indexing",
    "reductions",
    "resampling",
    "rule_of",
    "views",
    "windows",
]
