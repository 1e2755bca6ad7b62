"""Predictions and judgements on the command line: any number of pictures, whatever is wrong with some."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cnnatomy.cli import main, predictions
from cnnatomy.data import load
from cnnatomy.train import evaluate, predict

Capture = pytest.CaptureFixture[str]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
LONG = 'a\nb\x1b[2J, "c".png'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and test digits as PNG files, a folder a class."""
    folder = tmp_path_factory.mktemp("home")
    run = str(folder / "run")
    assert main(["train", "digits", "--epochs", "1", "--threads", "1", "--quiet", "--run", run]) == 0
    test = load("digits", size=(32, 32), channels=1).test
    for i in range(30):
        path = folder / "scans" / test.classes[test.labels[i]] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test.images[i, 0].numpy()).save(path)
    with zipfile.ZipFile(folder / "all.zip", "w") as packed:
        for path in (folder / "scans").rglob("*.png"):
            packed.write(path, path.relative_to(folder / "scans"))
    (folder / "bad.png").write_text("no picture")
    (folder / "cut.png").write_bytes(path.read_bytes()[:70])
    (folder / "notes.txt").write_text("no picture either")
    (folder / LONG).write_bytes(path.read_bytes())
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def listed(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_form_says_what_the_library_says(here: Path, capsys: Capture) -> None:
    truth = {str(one.path): one for one in predict(Path("run"), ["scans"])}
    assert main(["predict", "run", "scans", "--top", "2", "--csv", "-"]) == 0
    said = rows(capsys.readouterr().out)
    assert [row["picture"] for row in said] == list(truth)
    for row in said:
        (first, share), (second, less) = truth[row["picture"]].ranked[:2]
        assert (row["class"], row["class_2"], row["error"]) == (first, second, "")
        assert float(row["probability"]) == pytest.approx(share, rel=1e-5)
        assert float(row["probability_2"]) == pytest.approx(less, rel=1e-5)
    assert main(["predict", "run", "scans", "--json"]) == 0
    for value in json.loads(capsys.readouterr().out):
        pairs = [(one["class"], one["probability"]) for one in value["classes"]]
        assert pairs == list(truth[value["picture"]].ranked[:3])
    assert main(["predict", "run", "scans", "--top", "1"]) == 0
    printed = capsys.readouterr().out
    for path, one in truth.items():
        assert re.search(rf"^ {path} +{one.ranked[0][0]} +[<>]?[\d.]+%$", printed, re.MULTILINE)


@pytest.mark.parametrize("sources", ["all.zip", "'scans/**/*.png'", "-", "- -0"])
def test_every_source_gives_the_same_answers(
    here: Path, sources: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    names = sorted(str(path.relative_to(here)) for path in (here / "scans").rglob("*.png"))
    listed(monkeypatch, "\0".join(names).encode() if "-0" in sources else "\r\n".join([*names, ""]).encode())
    assert main(["predict", "run", *shlex.split(sources), "--top", "1", "--csv", "-"]) == 0
    said = [(row["picture"][-8:], row["class"]) for row in rows(capsys.readouterr().out)]
    assert said == [(str(one.path)[-8:], one.ranked[0][0]) for one in predict(Path("run"), names)]


def test_an_unreadable_picture_is_a_row(here: Path, capsys: Capture) -> None:
    words = ["predict", "run", "bad.png", "scans/0", "gone.png", "no*.png", "empty", "notes.txt"]
    assert main([*words, "--csv", "-"]) == 0
    out, err = capsys.readouterr()
    said = {row["picture"]: row["error"] for row in rows(out) if row["error"]}
    assert said == {
        "bad.png": "is no picture of a known type: it begins with b'no pictu'",
        "gone.png": "cannot be read (No such file or directory)",
        "no*.png": "matches no file",
        "empty": "holds no pictures (.png .jpg .bmp .gif .tif .webp .ppm)",
        "notes.txt": "is no picture of a known type: it begins with b'no pictu'",
    }
    assert len(rows(out)) > 5
    assert err == f"5 of {len(rows(out))} pictures cannot be read\n"
    assert main([*words, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert {one["picture"]: one["error"] for one in values if one["error"]} == said
    assert main(words) == 0
    printed = capsys.readouterr().out
    for path, error in said.items():
        assert re.search(rf"^ {re.escape(path)} +{re.escape(error)}$", printed, re.MULTILINE)


def test_what_was_changed_in_the_pictures_is_said_once_at_the_end(
    here: Path, tmp_path: Path, capsys: Capture
) -> None:
    grey = Image.new("L", (32, 32), 30)
    red, clear = Image.new("RGB", (32, 32), "red"), Image.new("RGBA", (32, 32), (0, 0, 0, 10))
    deep = Image.fromarray(np.full((32, 32), 999, np.uint16))
    for name, image in {"grey": grey, "red": red, "clear": clear, "deep": deep}.items():
        image.save(tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_text("no picture")
    sixteen, white = "1 of them brought from 16 bits to 8", "1 of them laid on white where transparent"
    colour = "1 of them turned from colour to grey"
    for size in ("1", "64"):
        assert main(["predict", "run", str(tmp_path), "--csv", "-", "--batch-size", size]) == 0
        assert capsys.readouterr().err.splitlines() == [
            f"4 pictures, {sixteen}, {white}, {colour}",
            "1 of 5 pictures cannot be read",
        ]
    changed = {one.path.stem: one.conversions for one in predict(Path("run"), [tmp_path])}
    assert changed == {"grey": (), "red": ("grey",), "clear": ("white",), "deep": ("eight",), "bad": ()}
    assert main(["predict", "run", str(tmp_path / "grey.png"), "--csv", "-"]) == 0
    assert capsys.readouterr().err == ""


def test_names_are_safe_and_csv_is_csv(here: Path, capsys: Capture) -> None:
    for style in ([], ["--csv", "-"], ["--json"]):
        assert main(["predict", "run", LONG, "--top", "1", *style]) == 0
        out = capsys.readouterr().out
        assert not CONTROL.search(out)
        if "--json" in style:
            assert json.loads(out)[0]["picture"] == LONG
        elif style:
            assert rows(out)[0]["picture"] == 'a\\nb\\x1b[2J, "c".png'
            assert out.count("\n") == 2


def test_more_classes_than_there_are_is_all(here: Path, capsys: Capture) -> None:
    assert main(["predict", "run", "scans/0", "--top", "99", "--csv", "-"]) == 0
    assert list(rows(capsys.readouterr().out)[0])[-3:] == ["class_10", "probability_10", "error"]


def test_a_file_is_put_in_place_at_the_end(here: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "said.csv"
    file.write_text("before")
    assert main(["predict", "run", "bad.png", "gone.png", "--csv", str(file)]) == 2
    assert file.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["said.csv"]
    capsys.readouterr()
    assert main(["predict", "run", "scans", "bad.png", "--csv", str(file)]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"31 pictures in {file}\n", "1 of 31 pictures cannot be read\n")
    assert len(rows(file.read_text("utf-8"))) == 31


def test_results_come_batch_by_batch(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    seen: list[str] = []
    real = predictions.Csv.rows

    def heard(self: predictions.Csv, batch: predictions.Batch) -> str:
        seen.append(capsys.readouterr().out)
        return real(self, batch)

    monkeypatch.setattr(predictions.Csv, "rows", heard)
    assert main(["predict", "run", "scans", "--batch-size", "7", "--threads", "1", "--csv", "-"]) == 0
    assert [text.count("\n") for text in seen] == [1, 7, 7, 7, 7]


def test_bad_pictures_before_the_first_good_one_are_not_lost(here: Path, capsys: Capture) -> None:
    words = ["bad.png", "gone.png", "bad.png", "scans/1", "gone.png"]
    assert main(["predict", "run", *words, "--batch-size", "2", "--csv", "-"]) == 0
    said = [row["picture"] for row in rows(capsys.readouterr().out)]
    assert said[:3] == words[:3]
    assert said[-1] == "gone.png"


def test_a_reader_that_stops_reading_is_no_fault(here: Path) -> None:
    line = [sys.executable, "-m", "cnnatomy", "predict", "run", "scans", "--csv", "-", "--batch-size", "1"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("picture,")
        process.stdout.close()
        assert process.wait(60) in (0, 141)
        assert process.stderr.read() == ""


def test_a_terminal_shows_a_bar_below_the_rows(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    monkeypatch.setattr("cnnatomy.cli.predictions.output", lambda: console)
    monkeypatch.setattr("cnnatomy.cli.predictions.complaints", lambda: console)
    assert main(["predict", "run", "scans", "bad.png", "--batch-size", "8", "--top", "1"]) == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue())
    assert plain.count("scans/") == 30
    assert re.search(r"\d+/31", plain)
    assert "\x1b[31m bad.png" in shown.getvalue()


NO = "nothing to predict"
BAD: list[tuple[str, str]] = [
    ("predict", "RUN is missing"),
    ("predict run", f"{NO}: expected at least one picture"),
    ("predict run -", f"{NO}: expected names of pictures on the standard input"),
    ("predict run - -0", f"{NO}: expected names of pictures on the standard input"),
    ("predict run scans -0", "-0 is for a list on the standard input; try - as a picture"),
    ("predict run scans --top 0", "--top: expected a whole number >= 1, got 0"),
    ("predict run scans --top two", "--top: expected a whole number, got 'two'"),
    ("predict run scans --batch-size 0", "--batch-size: expected a whole number >= 1, got 0"),
    ("predict run scans --threads -1", "--threads: expected a whole number >= 1, got -1"),
    ("predict run scans --device gpu", "no device 'gpu' here"),
    ("predict run scans --weights newest", "no such weights: expected best or last, got 'newest'"),
    ("predict run scans --csv out.csv --json", "--csv and --json exclude each other"),
    ("predict run scans --json --out drawn", "--json and --out exclude each other"),
    ("predict run scans --csv empty", "cannot write empty: expected a file in a folder that exists"),
    ("predict run scans --csv no/where.csv", "cannot write no/where.csv"),
    ("predict run scans --csv notes.txt/a.csv", "cannot write notes.txt/a.csv"),
    ("predict run --csv scans/0/02.png scans", "--csv: expected a file to write, got the name of a picture"),
    ("predict run scans --csv", "--csv needs a value"),
    ("predict run scans --jsn", "unknown option --jsn"),
    ("predict run scans --out drawn", "the network of run gives no pictures"),
    ("predict run gone.png", "gone.png cannot be read (No such file or directory)"),
    ("predict run gone/*.png", "gone/*.png matches no file"),
    ("predict run empty", "empty holds no pictures"),
    ("predict run notes.txt --csv out.csv", "notes.txt is no picture of a known type"),
    ("predict run cut.png --csv out.csv", "cut.png is cut off or damaged"),
    ("predict run bad.png gone.png", "none of the 2 pictures can be read, the first: bad.png is no picture"),
    ("predict scans bad.png", "scans is not a run"),
    ("evaluate run --csv no/where.csv", "cannot write no/where.csv"),
    ("evaluate run --csv empty", "cannot write empty"),
    ("evaluate run digits --data mnist", "the data is named twice: got digits and mnist"),
    ("evaluate run gone/there", "there is no file or folder gone/there"),
    ("evaluate run empty", "empty holds no pictures"),
]


@pytest.mark.parametrize(("line", "said"), BAD)
def test_what_is_wrong_is_one_line(
    here: Path, line: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    listed(monkeypatch, b"\n\n" if "-0" not in line else b"\0")
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before


def test_evaluate_writes_a_row_a_picture(here: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "answers.csv"
    assert main(["evaluate", "run", "--csv", str(file)]) == 0
    printed, result = capsys.readouterr().out, evaluate(Path("run"))
    assert f"answers {file}" in printed
    said = rows(file.read_text("utf-8"))
    assert len(said) == result.pictures
    assert sum(row["class"] == row["predicted"] for row in said) == result.hits
    worst = result.mistakes[0]
    row = next(row for row in said if row["picture"] == worst.name)
    assert (row["class"], row["predicted"]) == (worst.label, worst.predicted)
    assert float(row["probability"]) == pytest.approx(worst.probability, rel=1e-5)


def test_evaluate_says_what_was_judged_and_what_a_constant_scores(here: Path, capsys: Capture) -> None:
    assert main(["evaluate", "run"]) == 0
    first, second, third = capsys.readouterr().out.strip().splitlines()[:3]
    result = evaluate(Path("run"))
    share = f"{100 * result.yardstick.accuracy:.2f}%"
    assert first == f"on the 359 test pictures of digits; always answering '1' scores {share}"
    assert second.startswith(f"test accuracy {100 * result.accuracy:.2f}%   95% interval ")
    assert f"balanced accuracy {100 * result.balanced_accuracy:.2f}%" in third
    assert f"macro F1 {100 * result.macro_f1:.2f}%" in third
    assert result.top5_accuracy is not None
    assert f"top-5 accuracy {100 * result.top5_accuracy:.2f}%" in third
    for words in (["scans"], ["--data", "scans"]):
        assert main(["evaluate", "run", *words]) == 0
        assert capsys.readouterr().out.strip().startswith("on all 30 pictures of scans; always answering")


def test_evaluate_judges_the_test_folder_alone(here: Path, tmp_path: Path, capsys: Capture) -> None:
    for part, wanted in (("train", 20), ("test", 30)):
        for path in sorted((here / "scans").rglob("*.png"))[:wanted]:
            copy = tmp_path / "split" / part / path.parent.name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    for name in {path.parent.name for path in (here / "scans").rglob("*.png")}:
        (tmp_path / "split/train" / name).mkdir(exist_ok=True)
        (tmp_path / "split/train" / name / "more.png").write_bytes((here / LONG).read_bytes())
    assert main(["evaluate", "run", str(tmp_path / "split")]) == 0
    assert "on the 30 test pictures of split;" in capsys.readouterr().out


def test_the_standard_input_names_files_of_any_bytes(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff\n.png"
    with open(odd, "wb") as file:
        file.write((here / LONG).read_bytes())
    listed(monkeypatch, odd + b"\0")
    assert main(["predict", "run", "-", "-0", "--top", "1", "--csv", "-"]) == 0
    (row,) = rows(capsys.readouterr().out)
    assert row["error"] == ""
    assert row["picture"].endswith("\\udcff\\n.png")
