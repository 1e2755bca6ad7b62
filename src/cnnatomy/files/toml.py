"""Tables of plain values as TOML, which the standard library only reads."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnatomy.errors import ArgumentError
from cnnatomy.files.printable import shown


def to_toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Write tables of strings, numbers, switches and lists of them; None is left out.

    Example:
        >>> print(to_toml({"recipe": {"lr": 0.1, "optimizer": "sgd", "epochs": None, "restarts": [3.0]}}))
        [recipe]
        lr = 0.1
        optimizer = "sgd"
        restarts = [3.0]
        <BLANKLINE>
    """
    parts = []
    for name, table in tables.items():
        lines = [f"{key} = {_value(value)}" for key, value in table.items() if value is not None]
        parts.append("\n".join([f"[{name}]", *lines]) + "\n")
    return "\n".join(parts)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file of TOML.

    Raises:
        ArgumentError: it cannot be read, or is none; says where.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ArgumentError(f"cannot read {shown(path)}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{shown(path)} is no TOML", got=str(error)) from error


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # JSON's strings, numbers and switches are TOML's, but for the delete character, which TOML has escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
