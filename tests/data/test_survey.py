"""A look at pictures finds what was planted, and nothing where there is nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from cnnatomy.cli import main
from cnnatomy.data.survey.mirroring import mirrored_share
from cnnatomy.data.survey.survey import survey
from cnnatomy.report.data_page import write_survey

from .makers import smooth_pixels, write_idx_pair

CLASSES = ("cat", "dog", "owl")


def picture(seed: int, side: int = 48) -> Image.Image:
    """A picture of smooth blobs that is like no other."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """train/ and test/ of three classes, 12 and 4 pictures each, all different."""
    root, seed = tmp_path / "clean", 0
    for part, count in (("train", 12), ("test", 4)):
        for name in CLASSES:
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                picture(seed).save(root / part / name / f"{number:02}.png")
                seed += 1
    return root


def test_nothing_is_found_in_a_clean_folder(clean: Path) -> None:
    found, _ = survey(clean)
    assert found.counts == {"train": (12, 12, 12), "test": (4, 4, 4)}
    assert found.sizes == {(48, 48): 48}
    assert found.colours == "colour"
    assert not [*found.exact, *found.near, *found.leaks]
    assert not found.unreadable
    assert not found.odd
    assert found.commonest[0] == "cat"
    assert found.commonest[1] == pytest.approx(1 / 3)
    assert found.imbalance == 1


def test_what_was_planted_is_found_by_name(clean: Path) -> None:
    train, test = clean / "train", clean / "test"
    shutil.copy(train / "cat/00.png", train / "cat/equal.png")
    shutil.copy(train / "dog/01.png", test / "dog/leak.png")
    Image.open(train / "owl/02.png").save(test / "owl/again.jpg", quality=50)
    bright = ImageEnhance.Brightness(Image.open(train / "owl/03.png")).enhance(1.15)
    bright.save(train / "owl/bright.png")
    Image.open(train / "cat/04.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(train / "cat/mirror.png")
    (train / "cat/empty.png").touch()
    (train / "dog/cut.png").write_bytes((train / "dog/05.png").read_bytes()[:400])
    (train / "dog/text.jpg").write_text("<html>")
    Image.fromarray(smooth_pixels(48, 48)).save(train / "owl/liar.jpg", "PNG")
    picture(900).resize((300, 30)).save(train / "owl/long.png")
    picture(901).resize((6, 6)).save(train / "owl/tiny.png")
    picture(902).convert("CMYK").save(train / "owl/print.jpg")
    picture(903).convert("L").save(train / "owl/grey.png")
    shutil.copy(train / "cat/06.png", train / "dog/other.png")
    frames = [picture(904), picture(905)]
    frames[0].save(train / "owl/moving.gif", save_all=True, append_images=frames[1:])
    Image.merge("RGBA", [*picture(906).split(), Image.new("L", (48, 48), 100)]).save(train / "owl/clear.png")
    picture(907).convert("I;16").save(train / "owl/sixteen.png")
    (train / "owl/photo.heic").write_bytes(b"no picture by its name")
    (clean / "readme.txt").write_text("in no class folder")
    found, _ = survey(clean)
    assert found.exact == (
        ("train/cat/00.png", "train/cat/equal.png"),
        ("train/cat/06.png", "train/dog/other.png"),
        ("train/dog/01.png", "test/dog/leak.png"),
    )
    assert found.conflicts == (("train/cat/06.png", "train/dog/other.png"),)
    assert found.places["train/dog/other.png"] == ("train", "dog")
    groups = [set(group) for group in found.near]
    for pair in (
        {"train/owl/02.png", "test/owl/again.jpg"},
        {"train/owl/03.png", "train/owl/bright.png"},
        {"train/cat/04.png", "train/cat/mirror.png"},
    ):
        assert pair in groups
    assert len(groups) == 3
    leaks = {frozenset(group) for group in found.leaks}
    assert leaks == {
        frozenset({"train/dog/01.png", "test/dog/leak.png"}),
        frozenset({"train/owl/02.png", "test/owl/again.jpg"}),
    }
    assert set(found.unreadable) == {"train/cat/empty.png", "train/dog/cut.png", "train/dog/text.jpg"}
    odd = {name.split(" ")[0] for names in found.odd.values() for name in names}
    odd_ones = {"liar.jpg", "long.png", "tiny.png", "print.jpg", "grey.png", "moving.gif", "clear.png"}
    assert {f"train/owl/{name}" for name in (*odd_ones, "sixteen.png", "photo.heic")} == odd
    assert len(found.sizes) == 3


def test_a_validation_folder_is_a_side_of_its_own(clean: Path) -> None:
    shutil.copytree(clean / "test", clean / "val")
    found, data = survey(clean)
    assert data.validation is not None
    assert found.counts == {"train": (12, 12, 12), "validation": (4, 4, 4), "test": (4, 4, 4)}
    assert len(found.leaks) == 12
    assert all({found.places[name][0] for name in group} == {"validation", "test"} for group in found.leaks)


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_is_seen_as_its_folder_is(clean: Path, tmp_path: Path, kind: str) -> None:
    shutil.copy(clean / "train/cat/00.png", clean / "test/cat/leak.png")
    (clean / "train/dog/notes.txt").write_text("x")
    (clean / "train/dog/empty.png").touch()
    packed = survey(shutil.make_archive(str(tmp_path / "packed"), kind, clean))[0].to_json()
    assert {**packed, "name": ""} == {**survey(clean)[0].to_json(), "name": ""}
    assert packed["unreadable"] == {"train/dog/empty.png": "is empty (zero bytes)"}
    assert packed["odd"] == {"no picture by its name, in a class folder": ["train/dog/notes.txt"]}


def test_idx_files_are_seen_too(tmp_path: Path) -> None:
    images = np.stack([np.asarray(picture(seed, 20).convert("L")) for seed in range(40)])
    images[33] = images[2]
    labels = (np.arange(40) % 2).astype(np.uint8)
    write_idx_pair(tmp_path / "set", "train-", images[:30], labels[:30])
    write_idx_pair(tmp_path / "set", "t10k-", images[30:], labels[30:])
    found, data = survey(tmp_path / "set")
    assert (found.colours, dict(found.sizes)) == ("grey", {(20, 20): 40})
    assert data.train.images.shape == (30, 1, 20, 20)
    assert found.leaks == found.conflicts == (("set/train#2", "set/test#3"),)
    assert (found.unreadable, found.odd) == ({}, {})


def test_grey_in_three_channels_is_grey(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / "set" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        path = tmp_path / "set" / "ab"[number % 2] / f"{number}.png"
        picture(number).convert("L").convert("RGB").save(path)
    assert survey(tmp_path / "set")[0].colours == "grey, though the files have room for colours"


def test_classes_that_differ_in_capitals_are_shown(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "Cat ", "dog") * 2):
        (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
        picture(number).save(tmp_path / "set" / name / f"{number}.png")
    assert survey(tmp_path / "set")[0].odd == {"classes alike but for capitals": ("Cat  = cat",)}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
def test_names_that_are_not_utf8_break_nothing(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(clean / "train/cat/00.png", clean / os.fsdecode(b"test/cat/\xff.png"))
    (clean / os.fsdecode(b"train/dog/\xfe.png")).touch()
    (clean / os.fsdecode(b"train/dog/\xfd.txt")).touch()
    page = tmp_path / "page.html"
    assert main(["data", str(clean), "--page", str(page), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["leaks"] == [["train/cat/00.png", "test/cat/\\udcff.png"]]
    assert list(said["unreadable"]) == ["train/dog/\\udcfe.png"]
    text = page.read_text("utf-8")
    assert all(name in text for name in ("test/cat/\\udcff.png", "\\udcfe.png", "\\udcfd.txt"))


def test_the_page_shows_each_picture_as_long_as_it_is(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / "set" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        wide = picture(number).resize((60, 40) if number else (30, 60))
        wide.save(tmp_path / "set" / "ab"[number % 2] / f"{number}.png")
    page = write_survey(*survey(tmp_path / "set"), tmp_path / "page.html", augment="flip").read_text("utf-8")
    assert page.count("aspect-ratio: 1.5") > 10
    assert "60x30: 1" in page, "a dot of the chart of sizes"


def test_the_command_prints_what_is_there_and_writes_only_its_page(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(clean / "train/cat/00.png", clean / "test/cat/leak.png")
    before = sorted(clean.rglob("*"))
    page = tmp_path / "page.html"
    assert main(["data", str(clean), "--page", str(page)]) == 0
    out = capsys.readouterr().out
    assert "on more than one side of the split: 1" in out
    assert "train/cat/00.png (train) = test/cat/leak.png (test)" in out
    assert "cannot be read: none" in out
    assert sorted(clean.rglob("*")) == before
    text = page.read_text("utf-8")
    assert "test/cat/leak.png" in text
    assert "<script" not in text
    assert main(["data", str(clean), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["leaks"] == [["train/cat/00.png", "test/cat/leak.png"]]
    assert said["classes"]["dog"] == {"train": 12, "test": 4}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere/at/all"], "there is no file or folder"),
        (["digist"], "unknown data source"),
        (["digits", "--page", "no/such/page.html"], "cannot write"),
        (["digits", "--augment", "flip+rotat(3)"], "rotat"),
        ([], "DATA is missing"),
    ],
)
def test_a_wrong_word_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def arrows(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Arrows to the left and to the right, on noise."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 1, 16, 16, generator=generator)
    labels = torch.arange(count) % 2
    images[labels == 0, :, 6:10, :8] += 2
    images[labels == 1, :, 6:10, 8:] += 2
    return images, labels


def test_arrows_must_not_be_mirrored_and_noise_may() -> None:
    assert mirrored_share(*arrows(80)) == 1.0
    noise = torch.rand(2000, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    assert abs(mirrored_share(noise, torch.arange(2000) % 4) - 0.5) < 0.05
    assert mirrored_share(noise[:6], torch.zeros(6, dtype=torch.int64)) == 0.5, "too few to tell"
