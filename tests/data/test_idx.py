from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from cnnatomy.data import load
from cnnatomy.data.idx import read_idx, read_pair
from cnnatomy.errors import DataError

from .makers import idx_bytes, random_pixels, write_idx_pair

IMAGES, LABELS = random_pixels(10, 5, 4), (np.arange(10) % 3).astype(np.uint8)


@pytest.mark.parametrize("packed", [False, True])
def test_what_was_written_is_read(tmp_path: Path, packed: bool) -> None:
    write_idx_pair(tmp_path, "t-", IMAGES, LABELS, packed)
    end = ".gz" * packed
    images, labels = read_pair(tmp_path / f"t-images-idx3-ubyte{end}", tmp_path / f"t-labels-idx1-ubyte{end}")
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


GOOD = idx_bytes(IMAGES)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not an idx file: expected the magic number 0x00000803, got an empty file"),
        (b"PNG?" + GOOD[4:], "is not an idx file: expected the magic number 0x00000803, got 0x504e473f"),
        (idx_bytes(IMAGES, kind=0x0D), "holds another type: expected uint8, got float32"),
        (idx_bytes(LABELS), "does not hold grey pictures: expected 3 axes, got 1"),
        (GOOD[:9], "is cut off in its header"),
        (GOOD[:-1], "is cut off or damaged: expected 200 bytes of data, got 199"),
        (GOOD + b"x", "is cut off or damaged: expected 200 bytes of data, got more than 200"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "announces far more than it can hold"),
        (gzip.compress(GOOD, mtime=0)[:-9], "is damaged"),
        (gzip.compress(GOOD, mtime=0)[:30] + random_pixels(60).tobytes(), "is damaged"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "bad-images-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_idx(path, 3)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*nothing: No such file"):
        read_idx(tmp_path / "nothing", 3)


def test_labels_must_belong_to_the_pictures(tmp_path: Path) -> None:
    write_idx_pair(tmp_path, "", IMAGES, LABELS[:9])
    with pytest.raises(DataError, match=r"does not belong to .* expected 10 labels, got 9"):
        load(tmp_path, size=(8, 8), channels=1)


def test_no_pictures(tmp_path: Path) -> None:
    write_idx_pair(tmp_path, "", IMAGES[:0], LABELS[:0])
    with pytest.raises(DataError, match="holds no pictures"):
        load(tmp_path, size=(8, 8), channels=1)


def test_a_train_and_a_test_pair(tmp_path: Path) -> None:
    write_idx_pair(tmp_path, "train-", IMAGES, LABELS, packed=True)
    write_idx_pair(tmp_path, "t10k-", IMAGES[:4], LABELS[:4])
    data = load(tmp_path, size=(5, 4), channels=1)
    np.testing.assert_array_equal(data.train.images[:, 0], IMAGES)
    np.testing.assert_array_equal(data.test.images[:, 0], IMAGES[:4])
    assert data.classes == ("0", "1", "2")
    assert data.train.labels.tolist() == LABELS.tolist()
    assert data.test.names[3] == f"{tmp_path.name}/test#3"


def test_one_pair_is_split_and_label_values_become_classes(tmp_path: Path) -> None:
    write_idx_pair(tmp_path, "letters-", IMAGES, LABELS * 20 + 1)
    data = load(tmp_path, size=(5, 4), channels=1, test_fraction=0.3)
    assert data.classes == ("1", "21", "41")
    assert len(data.train) + len(data.test) == 10
    for part in (data.train, data.test):
        for image, label, name in zip(part.images, part.labels, part.names, strict=True):
            i = int(name.split("#")[1])
            np.testing.assert_array_equal(image[0], IMAGES[i])
            assert label == LABELS[i]


@pytest.mark.parametrize("source", ["a", "a-images-idx3-ubyte", "a-labels-idx1-ubyte"])
def test_a_pair_is_found_by_prefix_or_by_either_file(tmp_path: Path, source: str) -> None:
    write_idx_pair(tmp_path, "a-", IMAGES, LABELS)
    write_idx_pair(tmp_path, "ab-", IMAGES[::-1], LABELS)
    data = load(tmp_path / source, size=(5, 4), channels=1)
    assert len(data.train) + len(data.test) == 10
    i = int(data.test.names[0].split("#")[1])
    np.testing.assert_array_equal(data.test.images[0, 0], IMAGES[i])
    with pytest.raises(DataError, match=r"several idx pairs.*try naming one by its prefix"):
        load(tmp_path, size=(5, 4), channels=1)


def test_half_a_pair(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(GOOD)
    with pytest.raises(DataError, match="train-images-idx3-ubyte has no labels file beside it"):
        load(tmp_path, size=(5, 4), channels=1)


def test_two_sizes_and_unknown_labels_and_one_class(tmp_path: Path) -> None:
    write_idx_pair(tmp_path / "sizes", "train-", IMAGES, LABELS)
    write_idx_pair(tmp_path / "sizes", "t10k-", random_pixels(10, 4, 4), LABELS)
    with pytest.raises(DataError, match="two sizes"):
        load(tmp_path / "sizes", size=(5, 4), channels=1)
    write_idx_pair(tmp_path / "labels", "train-", IMAGES, LABELS)
    write_idx_pair(tmp_path / "labels", "t10k-", IMAGES, LABELS + 1)
    with pytest.raises(DataError, match=r"label that is no class: number 2: expected 0\.\.2, got 3"):
        load(tmp_path / "labels", size=(5, 4), channels=1)
    write_idx_pair(tmp_path / "one", "", IMAGES, LABELS * 0)
    with pytest.raises(DataError, match="only one class"):
        load(tmp_path / "one", size=(5, 4), channels=1)


def test_the_named_set_checks_its_labels(tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    write_idx_pair(folder, "train-", IMAGES, LABELS + 8, packed=True)
    write_idx_pair(folder, "t10k-", IMAGES, LABELS, packed=True)
    with pytest.raises(
        DataError, match=r"train-labels-idx1-ubyte.gz has a label that is no class.*0\.\.9, got 10"
    ):
        load("mnist", size=(5, 4), channels=1, data_dir=tmp_path)
