from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnnatomy.data import Dataset, load
from cnnatomy.errors import ArgumentError, CnnatomyError, DataError

from .makers import class_files, encoded, random_pixels, write_files


def read(source: Path | str, **options: object) -> Dataset:
    return load(source, **{"size": (12, 10), "channels": 3, **options})  # type: ignore[arg-type]


def test_every_picture_keeps_its_pixels_label_and_name(tmp_path: Path) -> None:
    files = class_files(("cat", "dog", "eel"), 5)
    data = read(write_files(tmp_path, files))
    assert data.classes == ("cat", "dog", "eel")
    assert sorted([*data.train.names, *data.test.names]) == sorted(files)
    for part in (data.train, data.test):
        for image, label, name in zip(part.images, part.labels, part.names, strict=True):
            path = tmp_path / name
            np.testing.assert_array_equal(image.permute(1, 2, 0), np.asarray(Image.open(path)))
            assert data.classes[label] == path.parent.name
    assert data.name == tmp_path.name
    assert not data.divided
    assert torch.bincount(data.test.labels).tolist() == [1, 1, 1]


def test_train_and_test_folders_are_kept_apart(tmp_path: Path) -> None:
    files = class_files(prefix="Train/") | class_files(count=2, prefix="validation/")
    data = read(write_files(tmp_path, files))
    assert {name.split("/")[0] for name in data.train.names} == {"Train"}
    assert {name.split("/")[0] for name in data.test.names} == {"validation"}
    assert (len(data.train), len(data.test), data.validation) == (10, 4, None)
    assert data.divided
    assert data.notes == (
        "validation/ is the test set; beside a folder test/ it would be the validation set",
    )


def test_train_validation_and_test_folders_are_three_sets(tmp_path: Path) -> None:
    files = class_files(prefix="train/") | class_files(count=3, prefix="Val/")
    files |= class_files(count=2, prefix="test/") | class_files(count=1, prefix="extra/")
    root = write_files(tmp_path, files)
    first, cached = read(root), read(root)
    for data in (first, cached):
        assert data.validation is not None
        for part, folder in ((data.train, "train"), (data.validation, "Val"), (data.test, "test")):
            assert sorted(part.names) == sorted(name for name in files if name.startswith(folder))
            for image, label, name in zip(part.images, part.labels, part.names, strict=True):
                np.testing.assert_array_equal(image.permute(1, 2, 0), np.asarray(Image.open(root / name)))
                assert data.classes[label] == name.split("/")[1]
        assert data.notes == ("extra/ is left aside: train/, Val/ and test/ are the sets",)
    assert first.fingerprint == cached.fingerprint


def test_the_fingerprint_knows_where_each_set_begins(tmp_path: Path) -> None:
    """The same pictures in the same order: cat | dog, dog | dog, and one boundary or the other moved."""
    pictures = list(class_files().values())
    prints = set()
    for number, folders in enumerate(
        (
            ("train/cat", "train/dog", "val/dog", "test/dog"),
            ("train/cat", "train/dog", "test/dog", "test/dog"),
            ("train/cat", "train/dog", "train/dog", "test/dog"),
        )
    ):
        files = {f"{folder}/{i}.png": pictures[i] for i, folder in enumerate(folders)}
        prints.add(read(write_files(tmp_path / str(number), files)).fingerprint)
    assert len(prints) == 3


def test_an_empty_validation_folder_is_left_aside(tmp_path: Path) -> None:
    files = class_files(prefix="train/") | class_files(count=2, prefix="test/") | {"val/readme.txt": b"x"}
    data = read(write_files(tmp_path, files))
    assert data.validation is None
    assert data.notes == ("val/ is left aside: train/ and test/ are the sets",)


def test_what_is_left_aside_is_said(tmp_path: Path) -> None:
    files = (
        class_files(prefix="train/")
        | class_files(("cat",), prefix="test/")
        | class_files(("dog",), prefix="val/")
        | class_files(prefix="testing/")
        | {"train/sample.png": encoded(random_pixels(4, 4))}
    )
    data = read(write_files(tmp_path, files))
    assert data.notes == (
        "testing/ is left aside: train/, val/ and test/ are the sets",
        "the validation set has no picture of cat",
        "the test set has no picture of dog",
        "1 picture outside the class folders left aside, such as train/sample.png",
    )


def test_single_folders_around_everything_are_stepped_into(tmp_path: Path) -> None:
    data = read(write_files(tmp_path, class_files(prefix="download/photos/train/")))
    assert data.classes == ("cat", "dog")
    assert data.train.names[0].startswith("download/photos/train/cat/")


def test_pictures_count_at_any_depth_and_hidden_files_never(tmp_path: Path) -> None:
    picture = encoded(random_pixels(4, 4))
    extra = {
        "cat/more/deep/x.PNG": picture,
        "cat/._0001.png": b"",
        ".git/a/x.png": picture,
        "cat/notes.txt": b"hi",
    }
    data = read(write_files(tmp_path, class_files() | extra))
    names = {*data.train.names, *data.test.names}
    assert "cat/more/deep/x.PNG" in names
    assert len(names) == 11


def test_numbers_are_sorted_by_value(tmp_path: Path) -> None:
    assert read(write_files(tmp_path, class_files(("10", "9", "0"), 2))).classes == ("0", "9", "10")


def test_pictures_of_many_sizes_and_kinds(tmp_path: Path) -> None:
    files = {
        f"{name}/{kind}.{kind}": encoded(random_pixels(20 + i, 30, 3, seed=i), kind.upper())
        for i, kind in enumerate(("png", "jpeg", "bmp", "gif", "tiff", "webp", "ppm"))
        for name in ("cat", "dog")
    }
    data = read(write_files(tmp_path, files))
    assert dict(data.fitted.sizes) == {(20 + i, 30): 2 for i in range(7)}
    assert (
        "14 pictures of 7 sizes, 20x30 to 26x30 (height x width), shrunk and padded to 12x10"
        in data.fitted.sentence()
    )


def bad_files() -> dict[str, bytes]:
    return class_files() | {
        "cat/a_text.png": b"hello there",
        "dog/empty.jpg": b"",
        "dog/cut.png": encoded(random_pixels(9, 9))[:60],
    }


def test_bad_pictures_are_an_error_that_names_the_first(tmp_path: Path) -> None:
    root = write_files(tmp_path / "pets", bad_files())
    with pytest.raises(DataError) as caught:
        read(root)
    assert str(caught.value) == (
        "3 of 13 pictures cannot be read, the first: cat/a_text.png is no picture of a known type: "
        "it begins with b'hello th'; try skip_bad (--skip-bad) to leave such pictures out"
    )


def test_skip_bad_lists_them_instead(tmp_path: Path) -> None:
    good = read(write_files(tmp_path / "good", class_files()))
    data = read(write_files(tmp_path / "bad", bad_files()), skip_bad=True)
    assert [bad.path for bad in data.skipped] == ["cat/a_text.png", "dog/cut.png", "dog/empty.jpg"]
    assert data.skipped[2].reason == "is empty (zero bytes)"
    assert "damaged" in data.skipped[1].reason
    assert data.fitted.count == 10
    assert torch.equal(good.train.images, data.train.images)
    assert good.train.names == data.train.names
    assert good.fingerprint == data.fingerprint


def test_bad_pictures_leave_train_and_test_apart(tmp_path: Path) -> None:
    files = class_files(prefix="train/") | class_files(count=2, prefix="test/")
    files |= class_files(count=2, prefix="val/")
    files |= {"train/cat/0000.png": b"", "test/dog/0001.png": b"", "val/cat/0001.png": b""}
    data = read(write_files(tmp_path, files), skip_bad=True)
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (9, 3, 3)
    assert {name.split("/")[0] for name in data.validation.names} == {"val"}
    assert {name.split("/")[0] for name in data.test.names} == {"test"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme.txt": b"x"}, r"holds no pictures: expected \.png \.jpg"),
        (
            {"a.png": b"x", "b.png": b"x"},
            "no class folders: expected a sub-folder for each .* got 2 pictures",
        ),
        (class_files(("cat",)), "has only one class: .* got cat/"),
        (class_files() | {"eel/readme.txt": b"x"}, r"class folder .*eel holds no pictures"),
        (class_files() | {"eel/x.png": b""}, r"no picture of eel can be read: .*eel/x.png is empty"),
        (class_files(prefix="train/") | {"test/1.png": b"x"}, r"test holds no class folders; try sorting"),
        (
            class_files(prefix="train/") | class_files(("eel",), prefix="test/"),
            r"test has a class that \S+train lacks: expected .*, got eel",
        ),
        (
            class_files(prefix="train/") | class_files(("eel",), prefix="val/") | class_files(prefix="test/"),
            r"val has a class that \S+train lacks: expected .*, got eel",
        ),
        (
            class_files(prefix="train/") | {"val/1.png": b"x"} | class_files(prefix="test/"),
            r"val holds no class folders; try sorting",
        ),
        (class_files(count=1), "leaves no picture for the test set: got 2 in all"),
        (
            class_files(prefix="train/") | class_files(prefix="test/") | {"val/cat/1.png": b"x"},
            "leaves no picture for the validation set: got 20 in all( be read)?",
        ),
    ],
)
def test_what_cannot_be_a_data_set_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    root = write_files(tmp_path / "set", files)
    for skip_bad in (False, True):
        if "be read" not in message or skip_bad:
            with pytest.raises(DataError, match=message):
                read(root, skip_bad=skip_bad)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, class_files())
    (tmp_path / "eel").mkdir()
    with pytest.raises(DataError, match=r"class folder .*eel holds no pictures"):
        read(tmp_path)


def test_links_inside_are_followed_and_links_out_are_not(tmp_path: Path) -> None:
    outside = write_files(tmp_path / "outside", {"secret.png": encoded(random_pixels(4, 4))})
    root = write_files(tmp_path / "set", class_files())
    (root / "cat" / "again.png").symlink_to(root / "dog" / "0000.png")
    (root / "eel").symlink_to(root / "dog")
    data = read(root)
    assert data.classes == ("cat", "dog", "eel")
    assert data.fitted.count == 16
    (root / "cat" / "out.png").symlink_to(outside / "secret.png")
    (root / "cat" / "gone.png").symlink_to(root / "nothing.png")
    data = read(root, skip_bad=True)
    assert [(bad.path, bad.reason) for bad in data.skipped] == [
        ("cat/gone.png", "is a link to nothing"),
        ("cat/out.png", f"is a link that leads out of {root}"),
    ]
    (root / "fox").symlink_to(outside)
    with pytest.raises(DataError, match="fox is a link that leads out of"):
        read(root, skip_bad=True)


@pytest.mark.parametrize("target", [".", "..", "../dog/.."])
def test_links_in_a_circle_are_refused(tmp_path: Path, target: str) -> None:
    root = write_files(tmp_path / "set", class_files())
    (root / "cat" / "round").symlink_to(root / "cat" / target)
    with pytest.raises(DataError, match="round is a link that leads back"):
        read(root)


def test_a_link_to_itself_and_a_pipe_are_bad_pictures(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", class_files())
    (root / "cat" / "self.png").symlink_to(root / "cat" / "self.png")
    os.mkfifo(root / "cat" / "pipe.png")
    data = read(root, skip_bad=True)
    assert [bad.path for bad in data.skipped] == ["cat/pipe.png", "cat/self.png"]
    assert data.skipped[0].reason == "is no regular file"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
def test_names_of_any_bytes_are_shown_in_one_line(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", class_files())
    for name in (b"two\nlines.png", b"not\xff\xfeutf8.png"):
        (root / "cat" / os.fsdecode(name)).write_bytes(encoded(random_pixels(4, 4)))
    first = read(root)
    assert read(root).fingerprint == first.fingerprint
    names = {*first.train.names, *first.test.names}
    assert len(names) == 12
    assert "cat/not\\udcff\\udcfeutf8.png" in names
    "".join(names).encode("utf-8")
    (root / "cat" / "two\nlines.png").write_bytes(b"bad")
    with pytest.raises(DataError, match=r"cat/two\\nlines.png is no picture") as caught:
        read(root)
    assert str(caught.value).isprintable()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
def test_a_class_whose_name_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", class_files(("cat", "dog", os.fsdecode(b"e\xffl"))))
    with pytest.raises(
        DataError, match=r"class folder .*e\\udcffl has a name that is not UTF-8; try renaming"
    ):
        read(root)


def test_conversions_are_counted_and_said(tmp_path: Path) -> None:
    grey, colour = random_pixels(12, 10), random_pixels(12, 10, 3)
    clear = np.dstack([colour, np.full((12, 10), 255, np.uint8)])
    clear[3, 4, 3] = 0
    files = class_files(count=2) | {
        "cat/grey.png": encoded(grey),
        "cat/grey_as_colour.png": encoded(np.repeat(grey[..., None], 3, axis=2)),
        "cat/palette.png": encoded(Image.fromarray(colour).quantize(16)),
        "dog/sixteen.png": encoded(grey.astype(np.uint16) * 257),
        "dog/clear.png": encoded(clear),
        "dog/opaque.png": encoded(np.dstack([colour, np.full((12, 10), 255, np.uint8)])),
        "dog/bad.png": b"bad",
    }
    root = write_files(tmp_path / "set", files)
    for _ in range(2):  # decoded, then from the cache
        fitted = read(root, channels=1, skip_bad=True).fitted
        assert dict(fitted.conversions) == {"eight": 1, "white": 1, "grey": 7}
        assert fitted.sentence() == (
            "10 pictures 12x10 (height x width) taken as they are, 1 of them brought from 16 bits to 8, "
            "1 of them laid on white where transparent, 7 of them turned from colour to grey"
        )
        fitted = read(root, skip_bad=True).fitted
        assert dict(fitted.conversions) == {"eight": 1, "white": 1, "colour": 2}


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ArgumentError, match=r"unknown data source: expected digits, .* got 'mnst'; try 'mnist'"
    ):
        read("mnst")
    with pytest.raises(DataError, match=r"there is no file or folder .*nothing/here"):
        read(tmp_path / "nothing" / "here")
    for source, message in (
        ("", "unknown data source"),
        ("a\0b", "null byte"),
        ("x" * 9999, "name too long"),
    ):
        with pytest.raises(CnnatomyError, match=message):
            read(source)
    (tmp_path / "file.bin").write_bytes(b"12345678")
    with pytest.raises(DataError, match=r"neither a folder nor an archive: expected a folder, .zip"):
        read(tmp_path / "file.bin")


def test_more_than_memory_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, class_files())
    with pytest.raises(
        DataError, match=r"does not fit into memory at 1000000x1000000: expected at most .* try a smaller"
    ):
        read(tmp_path, size=(1_000_000, 1_000_000))


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None, str]] = []
    read(
        write_files(tmp_path, class_files(count=40)),
        progress=lambda what, done, total, unit: seen.append((done, total, unit)),
    )
    assert seen[-1] == (80, 80, "pictures")
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
