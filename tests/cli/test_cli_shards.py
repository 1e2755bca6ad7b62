"""Predictions as shards: the rows of CSV in several files, or none at all."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnnatomy.cli import main
from cnnatomy.cli.shards import demand_writable, write_shards
from cnnatomy.errors import ArgumentError
from cnnatomy.train.prediction import Prediction, Stream

NAMED = [
    Prediction(Path("a,b.png"), (("cat", 0.75), ("dog", 0.25))),
    Prediction(Path("c.png"), (), "is broken"),
    Prediction(Path("d.png"), (("dog", 0.5), ("cat", 0.5))),
]


def made(batches: Iterator[list[Prediction]] | None = None) -> Stream:
    return Stream(("cat", "dog"), [one.path for one in NAMED], batches or iter([NAMED[:1], NAMED[1:]]))


def test_rows_in_several_files(tmp_path: Path) -> None:
    assert write_shards(made(), demand_writable(tmp_path / "s", "csv"), "csv", 5, size=2) == (3, 1)
    parts = [list(csv.reader(path.read_text().splitlines())) for path in sorted((tmp_path / "s").iterdir())]
    head = ["picture", "class", "probability", "class_2", "probability_2", "error"]
    assert [part[0] for part in parts] == [head, head]
    assert [row for part in parts for row in part[1:]] == [
        ["a,b.png", "cat", "0.75", "dog", "0.25", ""],
        ["c.png", "", "", "", "", "is broken"],
        ["d.png", "dog", "0.5", "cat", "0.5", ""],
    ]


def test_parquet_says_the_same(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="PyArrow is not installed")
    write_shards(made(), demand_writable(tmp_path / "s", "parquet"), "parquet", 1, size=2)
    paths = sorted((tmp_path / "s").iterdir())
    assert [path.name for path in paths] == ["part-00000.parquet", "part-00001.parquet"]
    assert [row for path in paths for row in parquet.read_table(path).to_pylist()] == [
        {"picture": "a,b.png", "class": "cat", "probability": 0.75, "error": None},
        {"picture": "c.png", "class": None, "probability": None, "error": "is broken"},
        {"picture": "d.png", "class": "dog", "probability": 0.5, "error": None},
    ]


def test_a_stream_that_breaks_leaves_whole_shards_alone(tmp_path: Path) -> None:
    def breaking() -> Iterator[list[Prediction]]:
        yield NAMED
        raise RuntimeError("gone")

    folder = demand_writable(tmp_path / "s", "csv")
    with pytest.raises(RuntimeError, match="gone"):
        write_shards(made(breaking()), folder, "csv", 2, size=2)
    assert [path.name for path in folder.iterdir()] == ["part-00000.csv"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ArgumentError, match="empty or new folder"):
        demand_writable(tmp_path, "csv")
    with pytest.raises(ArgumentError, match="--shard-kind: expected parquet or csv, got 'json'"):
        demand_writable(tmp_path / "s", "json")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shards", "s", "--csv", "f.csv"], "exclude each other"),
        (["--ray", "--device", "cpu"], "workers choose their devices"),
    ],
    ids=str,
)
def test_options_that_mean_nothing_together(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "run", "a.png", *words]) == 2
    assert said in capsys.readouterr().err
