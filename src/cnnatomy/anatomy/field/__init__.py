"""Receptive fields: which cells of the inputs every unit of every tensor depends on."""

from __future__ import annotations

from cnnatomy.anatomy.field.fields import Fields
from cnnatomy.anatomy.field.result import Field, Law

__all__ = ["Field", "Fields", "Law"]
