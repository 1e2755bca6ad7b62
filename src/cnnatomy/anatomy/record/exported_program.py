"""Files of `torch.export.save`, read as data: only arithmetic on tensors reaches torch's own reader.

A `.pt2` file may hold pickles, libraries, names of any function and expressions that torch evaluates. What
is not known to be harmless is refused. The rest is written anew, without guards and metadata, and torch reads
that copy: it never sees the file itself.
"""

from __future__ import annotations

import io
import json
import logging
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnnatomy.anatomy.record.exported_text import is_operator, is_size, is_tree, is_word
from cnnatomy.errors import ArgumentError
from cnnatomy.files.printable import shown
from cnnatomy.models.named_object import theirs

_GRAPH = "models/model.json"
_TABLES = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_INPUTS = "data/sample_inputs/model.pt"
_PICKLES = ("data/weights/model.pt", "data/constants/model.pt", _INPUTS)
_PLAIN = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/\w+|data/(weights/weight|constants/tensor)_\d+"
)
_TEXT: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "expr_str": (is_size, "an expression"),
    "target": (is_operator, "a function"),
    "as_operator": (is_operator, "a function"),
    "in_spec": (is_tree, "a container"),
    "out_spec": (is_tree, "a container"),
    "as_string": (lambda text: True, ""),  # an argument, which torch quotes
    "as_strings": (lambda text: True, ""),
}
"""What the text of an entry must be, and what it is called; of any other entry, a word."""


def read(path: Path) -> nn.Module:
    """The module of a file of `torch.export.save`; nothing in the file is run before it has been looked at.

    Raises:
        ArgumentError: it is none, is damaged, or holds anything but tensors and operators on tensors.
    """
    with tempfile.TemporaryFile() as copy:
        try:
            with zipfile.ZipFile(path) as archive:
                _copy(path, archive, copy)
        except (ArgumentError, OSError):
            raise
        except Exception as error:  # damaged bytes end the readers in any way there is
            raise ArgumentError(f"{shown(path.name)} is not a file of torch.export.save") from error
        copy.seek(0)
        with theirs(path.name), _unlogged():
            return torch.export.load(copy).module()


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep torch from printing tracebacks of what it then raises, or of what it goes on without."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _copy(path: Path, archive: zipfile.ZipFile, target: Any) -> None:
    """Write what is known to be harmless of an archive as a new one."""
    records = {info.filename.partition("/")[2]: info for info in archive.infolist() if not info.is_dir()}
    if _GRAPH not in records:
        raise KeyError(_GRAPH)
    whole = all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    if not whole or len(records) < sum(not info.is_dir() for info in archive.infolist()):
        raise _refused(path, "records that are packed or there twice")
    with zipfile.ZipFile(target, "w") as made:
        for name, info in records.items():
            if name.startswith("extra/"):
                continue
            content = _checked(path, name, archive.read(info))
            made.writestr(f"archive/{name}", content)


def _checked(path: Path, name: str, content: bytes) -> bytes:
    """The content of a record as torch may read it."""
    if name == _GRAPH:
        return json.dumps(_graph(path, json.loads(content))).encode()
    if name in _TABLES:
        table = json.loads(content)
        for entry in table["config"].values():
            if entry["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", entry["path_name"]):
                raise _refused(path, f"a pickle, {name}")
        _look_at(path, table)
        return json.dumps(table).encode()
    if name in _PICKLES:
        _unpickled(path, name, content)
        return content
    if not _PLAIN.fullmatch(name):
        raise _refused(path, f"{shown(name)}, which is no tensor")
    return content


def _graph(path: Path, graph: dict[str, Any]) -> dict[str, Any]:
    """The program without guards, which torch would run, and without notes on where it came from."""
    for entry in _dictionaries(graph):
        if "metadata" in entry:
            entry["metadata"] = {}
    limits: dict[str, Any] = graph.get("range_constraints") or {}
    if foreign := next((text for text in limits if not is_size(text)), None):
        raise _refused(path, f"an expression that is no size, {foreign!r:.60}")
    made = graph | {"guards_code": [], "torch_version": ""}
    _look_at(path, made | {"range_constraints": list(limits.values())})
    return made


def _look_at(path: Path, value: Any, key: str = "") -> None:
    """Refuse any text that is not what its place calls for."""
    if isinstance(value, Mapping):
        for name, inside in value.items():
            if not is_word(name):
                raise _refused(path, f"a name that is none, {name!r:.60}")
            _look_at(path, inside, name)
    elif isinstance(value, list):
        for inside in value:
            _look_at(path, inside, key)
    elif isinstance(value, str):
        allowed, what = _TEXT.get(key, (is_word, "a name"))
        if not allowed(value):
            raise _refused(path, f"{what} that is not known to be harmless, {value!r:.80}")


def _dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inside in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _dictionaries(inside)


def _unpickled(path: Path, name: str, content: bytes) -> None:
    """Refuse a pickle that holds more than tensors: torch would read it without limits where this fails."""
    try:
        if content:
            torch.load(io.BytesIO(content), weights_only=True, map_location="meta")
    except Exception as error:  # damaged bytes end the reader in any way there is
        raise _refused(path, f"a pickle of more than tensors, {name}") from error


def _refused(path: Path, what: str) -> ArgumentError:
    """What is said of a file that could run code."""
    hint = "anatomy(torch.export.load(path).module(), ...) in Python, if you trust whoever made it"
    return ArgumentError(
        f"{shown(path.name)} could run code and was not loaded",
        expected="tensors and operators of torch",
        got=what,
        hint=hint,
    )
