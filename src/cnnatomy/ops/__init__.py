"""Operators on tensors: what the modules and the functional interface call."""

from cnnatomy.ops.pool import pool

__all__ = ["pool"]
