"""The comparison of training with its peers: what is drawn, and how results are kept."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.training_peers import __main__ as program
from benchmarks.training_peers.draws import draw, read
from benchmarks.training_peers.peer import Answer
from benchmarks.training_peers.results import Result, load, save, table
from benchmarks.training_peers.tools import Tool

KINDS = [f"kind{i}" for i in range(7)]
PICTURES = {
    f"{part}/{kind}/{i:02}.jpg": f"{part} {kind} {i}".encode()
    for part, count in (("train", 30), ("test", 20))
    for kind in KINDS
    for i in range(count)
}
ROW = Result("a", 1, 0.5, 10.0, 12.0, 0.5, "as it comes", {"python": "3"}, "some processor")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "pictures.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        for name, data in [*PICTURES.items(), ("README", b"not a picture")]:
            entry = tarfile.TarInfo(f"./set/{name}" if data in PICTURES.values() else name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def test_the_archive_is_read_whole(archive: Path) -> None:
    assert read(archive) == PICTURES


def test_a_draw_hangs_on_its_number_alone() -> None:
    backwards = dict(reversed(PICTURES.items()))
    one = draw(PICTURES, 3, classes=4, each=10)
    assert one == draw(backwards, 3, classes=4, each=10)
    assert len({tuple(draw(PICTURES, number, 4, 10).files) for number in range(20)}) == 20


@pytest.mark.parametrize("number", range(5))
def test_train_and_test_share_no_picture(number: int, tmp_path: Path) -> None:
    draw(PICTURES, number, classes=4, each=10).lay_out(tmp_path)
    data = {
        part: [path.read_bytes() for path in sorted((tmp_path / part).glob("*/*"))]
        for part in ("train", "test")
    }
    assert len(set(data["train"])) == len(set(data["test"])) == 40
    assert not set(data["train"]) & set(data["test"])
    for part, pictures in data.items():
        kinds = [picture.split()[1].decode() for picture in pictures]
        assert {kinds.count(kind) for kind in kinds} == {10}
        assert sorted(set(kinds)) == sorted(path.name for path in (tmp_path / part).iterdir())
    assert {path.name for path in (tmp_path / "train").iterdir()} == {
        path.name for path in (tmp_path / "test").iterdir()
    }


def test_too_few_pictures_are_no_draw() -> None:
    with pytest.raises(ValueError, match="larger than population"):
        draw(PICTURES, 0, classes=4, each=25)


def test_new_rows_take_the_place_of_old_ones(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.json"
    save([ROW, replace(ROW, draw=2, accuracy=0.7)], path)
    save([replace(ROW, accuracy=0.6, cpu_s=20.0), replace(ROW, tool="b")], path)
    assert [(row.tool, row.draw, row.accuracy) for row in load(path)] == [
        ("a", 1, 0.6),
        ("a", 2, 0.7),
        ("b", 1, 0.5),
    ]
    assert table(load(path)).splitlines()[2:] == [
        "| a | as it comes | 2 | 65.00 | 60.00 | 70.00 | 15 |",
        "| b | as it comes | 1 | 50.00 | 50.00 | 50.00 | 10 |",
    ]


def test_seconds_of_grandchildren_count(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}], check=True)"
    tool = Tool("busy", lambda *told: [sys.executable, "-c", script], lambda room: Answer(1.0, room.name, {}))
    row = tool.run(draw(PICTURES, 1, 2, 2))
    assert 0.5 <= row.cpu_s < 5
    assert (row.tool, row.draw, row.accuracy, row.settings) == ("busy", 1, 1.0, "room")


def test_a_tool_that_fails_is_said() -> None:
    tool = Tool("broken", lambda *told: [sys.executable, "-c", "1 / 0"], lambda room: Answer(1.0, "", {}))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        tool.run(draw(PICTURES, 1, 2, 2))


def test_the_table_alone_needs_no_peers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.json"
    save([ROW], path)
    program.main(["--tools", "--out", str(path)])
    assert "| a | as it comes | 1 | 50.00 |" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        program.main(["--tools", "timm", "--out", str(path)])
    assert "--peers-python" in capsys.readouterr().err
    assert json.loads(path.read_text())[0]["device"] == "some processor"
