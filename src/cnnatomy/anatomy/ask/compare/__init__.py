"""Two networks side by side: which layers they share, and what differs in shape, cost and receptive field."""

from cnnatomy.anatomy.ask.compare.diff import diff
from cnnatomy.anatomy.ask.compare.difference import Change, Difference, Pair

__all__ = ["Change", "Difference", "Pair", "diff"]
