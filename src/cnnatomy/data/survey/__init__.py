"""A look at pictures before training: sizes, colours, classes, copies, symmetry and faults."""

from __future__ import annotations
