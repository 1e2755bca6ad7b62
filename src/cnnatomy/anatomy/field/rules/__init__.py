"""What the outputs of every operator see, one family of operators per file."""

from __future__ import annotations

from cnnatomy.anatomy.field.rules import (  # noqa: F401 (rules are entered when these are loaded)
    creation_rules,
    indexing_rules,
    moving_rules,
    pointwise_rules,
    reduction_rules,
    resampling_rules,
    view_rules,
    window_rules,
)
from cnnatomy.anatomy.field.rules.rule_registry import RULES, NotKnown, everything, rule_of

__all__ = ["RULES", "NotKnown", "everything", "rule_of"]
