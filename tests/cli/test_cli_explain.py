"""`cnnatomy explain`: numbers, files, pictures and runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cnnatomy.cli import main


def said(capfd: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["explain", *words]) == code
    captured = capfd.readouterr()
    return captured.err if code else captured.out


def test_numbers_are_typed(capfd: pytest.CaptureFixture[str]) -> None:
    assert "y[0,0] = max(1, 3, 2, 4) = 4" in said(capfd, "max", "--input", "1 3; 2 4", "--kernel", "2")
    text = said(capfd, "Soft(temperature=2.0)", "--input", "1 2 3", "--stride", "1", "--at", "1")
    assert "·2 + " in text
    assert "·3 ≈ 2.622" in text
    text = said(capfd, "max", "--input", "1 2; 3 4", "--kernel", "3", "--padding", "1", "--mode", "edge")
    assert "5 of 9 taps copied into the padding" in text


def test_numbers_come_from_a_file(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "numbers.txt"
    file.write_text("1, 2\n3, 6\n")
    assert "(1 + 2 + 3 + 6)/4 = 3" in said(capfd, "mean", "--input", str(file))


def test_a_picture_is_pooled_in_grey(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.new("L", (6, 4), 51).save(tmp_path / "grey.png")
    text = said(capfd, "max", str(tmp_path / "grey.png"), "--at", "1,2")
    assert "y[1,2] = max(0.2, 0.2, 0.2, 0.2) = 0.2   first of 4 equal" in text


def test_an_explanation_is_saved(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for ending in ("html", "svg", "json"):
        file = tmp_path / f"made.{ending}"
        assert str(file) in said(capfd, "min", "--input", "1 3; 2 4", "--save", str(file))
        assert file.stat().st_size > 500
    record = json.loads((tmp_path / "made.json").read_text("utf-8"))
    assert record["schema"] == "cnnatomy.explanation/1"


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("max",), "a picture or --input"),
        (("maxx", "--input", "1 2"), "max"),
        (("max", "--input", "1 two"), "--input: expected numbers"),
        (("max", "--input", "1 2; 3"), "rows of one length"),
        (("max", "--input", "1 2", "--save", "page.pdf"), "--save: expected a name that ends in"),
        (("max", "--input", "1 2; 3 4", "--at", "1"), "--at: expected 2 numbers"),
        (("max", "--input", "1 2; 3 4", "--at", "5,5"), "there is no such output"),
        (("max", "--input", "1 2; 3 4", "--kernel", "none"), "--kernel: expected a whole number"),
        (("max", "--input", "1 2; 3 4", "--kernel-size", "2"), "did you mean --kernel"),
        (("importance", "--input", "1 2; 3 4"), "also takes logits"),
        (("max", "nowhere.png"), "nowhere.png"),
        (("max", "--input", "1 2; 3 4", "--channel", "1"), "the output has no channel 1"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    words: tuple[str, ...], match: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text = said(capfd, *words, code=2)
    assert match in text
    assert text.count("\n") == 1


def test_a_unit_of_a_run_is_explained_on_a_picture(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = [
        "train",
        "digits",
        "--limit",
        "60",
        "--epochs",
        "1",
        "--threads",
        "1",
        "--quiet",
        "--run",
        str(run),
    ]
    assert main(words) == 0
    capfd.readouterr()
    Image.new("L", (20, 30), 200).save(tmp_path / "seven.png")
    picture = str(tmp_path / "seven.png")
    text = said(capfd, str(run), picture, "--layer", "c3", "--at", "4,4", "--channel", "3")
    assert "layer c3; the unit sees rows 8..21 and columns 8..21 of the picture" in text
    assert "agrees with the operator" in text
    assert said(capfd, str(run), picture, "--layer", "c3", "--channel", "3") == text, "the middle of its map"
    assert "--layer" in said(capfd, str(run), picture, code=2)
    assert "no layer is called 'c9'" in said(capfd, str(run), picture, "--layer", "c9", code=2)
