"""Predictions as shards: files of so many pictures each, Parquet or CSV, each whole or not there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnatomy.cli.predictions import Csv
from cnnatomy.errors import ArgumentError
from cnnatomy.files.printable import shown
from cnnatomy.train.atomic_files import whole

if TYPE_CHECKING:
    from cnnatomy.train.prediction import Prediction, Stream

SHARD = 100_000
"""Pictures of a shard."""
KINDS = ("parquet", "csv")


def demand_writable(folder: Path, kind: str) -> Path:
    """The folder, made if it is not there, which must hold nothing yet.

    Raises:
        ArgumentError: it holds something, there is no such kind of file, or PyArrow is not installed.
    """
    if kind not in KINDS:
        raise ArgumentError("--shard-kind", expected=" or ".join(KINDS), got=repr(kind))
    if kind == "parquet":
        _pyarrow()
    folder = folder.expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArgumentError(f"cannot write shards to {folder}", expected="an empty or new folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_shards(made: Stream, folder: Path, kind: str, top: int, size: int = SHARD) -> tuple[int, int]:
    """Write predictions into part-00000 and so on; say how many pictures, and how many cannot be read."""
    top, everything = min(top, len(made.classes)), iter(made)
    done, bad = 0, 0
    for number, some in enumerate(iter(lambda: list(islice(everything, size)), [])):
        path = folder / f"part-{number:05}.{kind}"
        with whole(path) as file:
            if kind == "csv":
                form = Csv(made, top)
                file.write((form.head + form.rows(some)).encode("utf-8", "backslashreplace"))
            else:
                _pyarrow().parquet.write_table(_table(some, top), file)
        done, bad = done + len(some), bad + sum(one.error is not None for one in some)
    return done, bad


def _table(some: Sequence[Prediction], top: int) -> Any:
    """The columns of CSV; classes and probabilities that are not there are null."""
    arrow = _pyarrow()
    columns: dict[str, Any] = {"picture": arrow.array([shown(one.path) for one in some], arrow.string())}
    for rank in range(top):
        end = f"_{rank + 1}" if rank else ""
        ranked = [one.ranked[rank] if rank < len(one.ranked) else (None, None) for one in some]
        columns[f"class{end}"] = arrow.array([name for name, _ in ranked], arrow.string())
        columns[f"probability{end}"] = arrow.array([share for _, share in ranked], arrow.float32())
    columns["error"] = arrow.array([one.error for one in some], arrow.string())
    return arrow.table(columns)


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ArgumentError(
            "Parquet needs PyArrow", hint="pip install 'cnnatomy[ray]', or --shard-kind csv"
        ) from None
    return pyarrow
