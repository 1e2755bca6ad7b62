"""Receptive fields: which cells of the inputs every unit of every tensor depends on."""

from __future__ import annotations

from cnnatomy.anatomy.field.axis_field import Field, Law
from cnnatomy.anatomy.field.fields import Fields

__all__ = ["Field", "Fields", "Law"]
