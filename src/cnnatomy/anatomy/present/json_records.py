"""An anatomy as JSON and back: the fields of its records by name, and `schema`, the version of the format.

A field may be added within a version; none is renamed, removed or given another meaning.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from cnnatomy.anatomy.present.rows import fields_of, made_by
from cnnatomy.errors import ArgumentError

if TYPE_CHECKING:
    from cnnatomy.anatomy.field import Field
    from cnnatomy.anatomy.result import Anatomy

SCHEMA = 1
"""The version of the format."""
_APART = ("graph", "layers", "operations", "memory")
_TOTALS = ("complete", "parameters", "trainable", "frozen", "macs", "flops")


def to_json(anatomy: Anatomy) -> str:
    """One JSON object: totals, layers with their receptive fields, operations."""
    plain = {one.name: getattr(anatomy, one.name) for one in fields(anatomy) if one.name not in _APART}
    known = {
        "schema": SCHEMA,
        **plain,
        **{name: getattr(anatomy, name) for name in _TOTALS},
        "memory": asdict(anatomy.memory) if anatomy.memory else None,
        "layers": [
            asdict(layer) | {"fields": _fields(anatomy, at)} for at, layer in enumerate(anatomy.layers)
        ],
        "operations": [asdict(one) for one in anatomy.operations],
    }
    return json.dumps(known, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> Anatomy:
    """The anatomy that was written as this text; its receptive fields stay in the text.

    Raises:
        ArgumentError: the text is not one that `to_json` wrote.
    """
    from cnnatomy.anatomy.figures import Cost, Layer, Memory, Operation
    from cnnatomy.anatomy.result import Anatomy

    try:
        known = json.loads(text)
        if not isinstance(known, dict) or known.get("schema") != SCHEMA:
            raise ArgumentError("not an anatomy", expected=f"an object with schema {SCHEMA}")
        memory = known.get("memory")
        own = {one.name: _frozen(known[one.name]) for one in fields(Anatomy) if one.name not in _APART}
        operations = [dict(one) | {"cost": _record(Cost, one["cost"])} for one in known["operations"]]
        return Anatomy(
            **own,
            operations=tuple(_record(Operation, one) for one in operations),
            layers=tuple(_record(Layer, one) for one in known["layers"]),
            memory=_record(Memory, memory) if memory else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"not an anatomy: {error!r}", expected="what to_json wrote") from error


def _record(kind: Any, known: dict[str, Any]) -> Any:
    return kind(**{one.name: _frozen(known[one.name]) for one in fields(kind)})


def _frozen(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    if isinstance(value, list):
        return tuple(_frozen(one) for one in value)
    return {name: _frozen(one) for name, one in value.items()} if isinstance(value, dict) else value


def _fields(anatomy: Anatomy, at: int) -> dict[str, list[dict[str, Any]]]:
    """The borderless fields of a layer's first output by reading; empty without a recorded pass."""
    if made_by(anatomy, at) is None:
        return {}
    return {
        "exact": [_law(one) for one in fields_of(anatomy, at, reading="exact")],
        "local": [_law(one) for one in fields_of(anatomy, at, reading="local")],
    }


def _law(field: Field) -> dict[str, Any]:
    law = field.law
    known = {"input": field.input, "axis": field.axis, "cells": field.n, "kind": law.kind}
    if law.kind == "periodic":
        known |= {"sizes": law.sizes, "period": law.period, "shift": law.shift, "lo": law.lo, "hi": law.hi}
    return known | ({"why": law.why} if law.why else {}) | ({"unsure": field.unsure} if field.unsure else {})
