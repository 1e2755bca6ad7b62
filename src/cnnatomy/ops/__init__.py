"""Operators on tensors: what the modules and the functional interface call."""

from cnnatomy.ops.pooling import pool

__all__ = ["pool"]
