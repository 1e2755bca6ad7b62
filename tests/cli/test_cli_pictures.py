"""What a command says of pictures: which were left out, what was changed in them, and which were judged."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnatomy.cli import main
from cnnatomy.train import evaluate

BAD = [f"train/cat/bad{number:02}.png" for number in range(13)]
LINE = ["train", "pictures", "--model", "conv3-4 globalavg FC", "--size", "1x8x8", "--epochs", "1"]


def save(root: Path, mode: str = "RGB") -> None:
    """Six pictures to train on and four to test with, of two classes, in colour unless the mode has none."""
    draws = np.random.default_rng(0)
    for part, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 256, (8, 8, 4), np.uint8)
                image = Image.fromarray(pixels, "RGBA").convert(mode)
                image.save(root / part / name / f"{number}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    for kind in ("RGB", "L", "RGBA"):
        save(place / kind, kind)
    save(place / "pictures")
    for name in BAD:
        (place / "pictures" / name).write_text("no picture")
    return place


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.chdir(place)
    monkeypatch.setenv("CNNATOMY_CACHE", str(place / "cache"))
    if not Path("run").exists():
        assert main([*LINE, "--skip-bad", "--run", "run"]) == 0
        Path("printed.txt").write_text(capsys.readouterr().out, "utf-8")
    return "run"


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


def test_pictures_that_are_left_out_are_named(run: str, place: Path) -> None:
    said = (place / "printed.txt").read_text("utf-8")
    assert "left out  13 pictures that cannot be read:" in said
    assert re.findall(r"^ +(train/\S+) is no picture of a known type", said, re.M) == BAD[:10]
    assert "... and 3 more: all are in run/plan.json" in said
    left_out = json.loads(Path("run/plan.json").read_text("utf-8"))["left_out"]
    assert [one["path"] for one in left_out] == BAD
    assert all(one["reason"].startswith("is no picture of a known type") for one in left_out)
    page = html.unescape(Path("run/report.html").read_text("utf-8"))
    assert re.findall(r"<li>(train/\S+): is no picture", page) == BAD
    assert re.search(r"13 unreadable\s+pictures left out", page)


def test_a_plan_alone_names_them_too(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, *LINE, "--skip-bad", "--dry-run")
    assert BAD[9] in said
    assert BAD[10] not in said
    assert re.search(r"\.\.\. and 3 more$", said, re.M)


def test_evaluation_says_what_is_left_out(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "evaluate", run)
    assert f"note: 13 pictures left out that cannot be read, the first: {BAD[0]} is no picture" in said
    assert "on the 4 test pictures of pictures" in said


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("RGB", "10 pictures 8x8 taken as they are, all of them turned from colour to grey"),
        ("RGBA", "all of them laid on white where transparent, all of them turned from colour to grey"),
        ("L", None),
    ],
)
def test_evaluation_says_what_was_changed(
    kind: str, said: str | None, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys, "evaluate", run, kind, "--report", "page.html")
    notes = evaluate(Path(run), data=kind).notes
    assert json.loads(printed(capsys, "evaluate", run, "--data", kind, "--json"))["notes"] == list(notes)
    page = html.unescape(Path("page.html").read_text("utf-8"))
    if said is None:
        assert notes == ()
        assert "note:" not in lines
    else:
        assert [said in text for text in (lines, *notes, page)] == [True, True, True]


@pytest.mark.parametrize("form", [["RGB"], ["--data", "RGB"], ["--data=RGB"]], ids=str)
def test_the_data_is_named_with_or_without_its_option(
    form: list[str], run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "on the 4 test pictures of RGB" in printed(capsys, "evaluate", run, *form)
    assert "6 to train on, 4 to test with" in printed(capsys, "train", *form, *LINE[2:], "--dry-run")


def test_a_class_too_many_is_told_in_words_of_evaluation(
    run: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(place / "more")
    (place / "more/test/dog").rename(place / "more/test/eel")
    assert main(["evaluate", run, "more"]) == 2
    assert (
        "more/test has a class that more/train lacks: expected cat, dog, got eel" in capsys.readouterr().err
    )
    (place / "more/train/dog").rename(place / "more/train/eel")
    assert main(["evaluate", run, "more"]) == 2
    assert "does not know every class of more: expected cat, dog, got eel" in capsys.readouterr().err
