from __future__ import annotations

import subprocess
import sys
from base64 import b64decode
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import cnnatomy.data
from cnnatomy.data import SOURCES, Dataset, load
from cnnatomy.data.decoded import split
from cnnatomy.errors import ArgumentError, DataError

from .makers import random_pixels, write_files, write_tar


def digits(**options: object) -> Dataset:
    return load("digits", **{"size": (8, 8), "channels": 1, **options})  # type: ignore[arg-type]


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    truth = load_digits()
    data = digits()
    assert (len(data.train), len(data.test)) == (1438, 359)
    for part in (data.train, data.test):
        at = [int(name.removeprefix("digits#")) for name in part.names]
        assert at == sorted(at)
        assert part.labels.tolist() == truth.target[at].tolist()
        np.testing.assert_array_equal(part.images[:, 0], np.floor(truth.images[at] * 255 / 16))
    assert sorted([*data.train.names, *data.test.names]) == sorted(f"digits#{i}" for i in range(1797))


def test_the_split_of_digits_is_stratified_and_stays_what_it_is() -> None:
    data = digits()
    shares = torch.bincount(data.test.labels) / (
        torch.bincount(data.test.labels) + torch.bincount(data.train.labels)
    )
    assert (shares - 0.2).abs().max() < 0.005
    assert data.test.names[:5] == ("digits#7", "digits#11", "digits#20", "digits#22", "digits#31")
    assert data.fingerprint.startswith("a64a8c0c65e20230")


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 1},
        {"test_fraction": 0.3},
        {"size": (9, 8)},
        {"channels": 3},
        {"size": (12, 12), "fit": "stretch"},
    ],
)
def test_the_fingerprint_tells_data_sets_apart(options: dict[str, object]) -> None:
    assert digits(**options).fingerprint == digits(**options).fingerprint
    assert digits(**options).fingerprint != digits().fingerprint


@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
)
def test_every_split_is_whole_stratified_and_free_of_order(
    counts: list[int], fraction: float, seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    names = [f"{label}/{i}" for i, label in enumerate(labels)]
    train, test = split(names, labels, fraction, seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    held = Counter(labels[test].tolist())
    for label, count in enumerate(counts):
        assert held[label] == min(max(1, round(fraction * count)), count - 1)
    order = np.random.default_rng(seed).permutation(len(labels))
    _, again = split([names[i] for i in order], labels[order], fraction, seed)
    assert {names[i] for i in test} == {names[order[i]] for i in again}


def test_new_pictures_move_few_of_the_old_ones() -> None:
    names = [f"cat/{i}.png" for i in range(1000)]
    labels = np.zeros(1000, np.int64)
    before = {names[i] for i in split(names[:950], labels[:950], 0.2, 0)[1]}
    after = {names[i] for i in split(names, labels, 0.2, 0)[1]}
    assert len(before - after) < 15


def write_cifar(
    folder: Path, per_batch: int = 20
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    records = {}
    for i, name in enumerate([*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]):
        records[name] = random_pixels(per_batch, 3073, seed=i)
        records[name][:, 0] %= 10
    files = {f"cifar-10-batches-bin/{name}": data.tobytes() for name, data in reversed(records.items())}
    folder.mkdir(parents=True, exist_ok=True)
    write_tar(folder / "cifar-10-binary.tar.gz", files | {"cifar-10-batches-bin/readme.html": b"hi"}, "gz")
    return records


def test_cifar10_from_its_original_archive(tmp_path: Path) -> None:
    records = write_cifar(tmp_path)
    for _ in range(2):
        data = load("cifar10", size=(32, 32), channels=3, data_dir=tmp_path)
        train = np.concatenate(list(records.values())[:5])
        np.testing.assert_array_equal(data.train.images.reshape(100, 3072), train[:, 1:])
        np.testing.assert_array_equal(data.train.labels, train[:, 0])
        np.testing.assert_array_equal(data.test.images.reshape(20, 3072), records["test_batch.bin"][:, 1:])
        assert data.classes[3] == "cat"
        assert data.test.names[-1] == "cifar10/test#19"
        assert data.notes == ()


def test_cifar10_archives_that_are_not_whole(tmp_path: Path) -> None:
    for files, message in (
        ({"a/data_batch_1.bin": b""}, r"is not CIFAR-10: expected a file data_batch_2.bin in it"),
        (
            {f"a/{b}.bin": bytes(3073) for b in BATCHES} | {"a/test_batch.bin": bytes(3072)},
            "test_batch.bin is cut off",
        ),
        ({f"a/{b}.bin": b"\x0a" + bytes(3072) for b in BATCHES}, r"no class: expected 0\.\.9, got 10"),
    ):
        write_tar(tmp_path / "cifar-10-binary.tar.gz", files, "gz")
        with pytest.raises(DataError, match=message):
            load("cifar10", size=(32, 32), channels=3, data_dir=tmp_path)


BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def test_cifar10_from_folders_of_copies_says_so(tmp_path: Path) -> None:
    from .makers import class_files

    files = class_files(SOURCES["cifar10"].classes, 2, (32, 32), "cifar10/train/")
    files |= class_files(SOURCES["cifar10"].classes, 1, (32, 32), "cifar10/test/")
    write_files(tmp_path, files)
    data = load("cifar10", size=(32, 32), channels=3, data_dir=tmp_path)
    assert (len(data.train), len(data.test)) == (20, 10)
    assert data.notes == ("the pictures are copies (cifar10), not the original pixels of CIFAR-10",)


def test_the_data_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path / "env")
    monkeypatch.setenv("CNNATOMY_DATA", str(tmp_path / "env"))
    assert len(load("cifar10", size=(32, 32), channels=3).train) == 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"test_fraction": 0.0},
            "test_fraction is a part of the pictures: expected between 0 and 1, got 0.0",
        ),
        ({"test_fraction": 1.0}, "test_fraction"),
        ({"fit": "croop"}, "unknown fit policy: .* got 'croop'; try 'crop'"),
        ({"channels": 4}, "expected 1 or 3, got 4"),
        ({"size": (0, 8)}, "size must be two sides"),
    ],
)
def test_arguments_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        digits(**options)


def test_a_folder_that_is_called_like_a_source_is_reached_by_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from .makers import class_files

    write_files(tmp_path / "digits", class_files())
    monkeypatch.chdir(tmp_path)
    assert len(digits().classes) == 10
    assert digits_at("./digits").classes == ("cat", "dog")
    assert digits_at(Path("digits")).classes == ("cat", "dog")


def digits_at(source: str | Path) -> Dataset:
    return load(source, size=(8, 8), channels=1)


def test_the_catalog_loads_neither_torch_nor_numpy_nor_pillow() -> None:
    program = (
        "import sys; from cnnatomy.data.data_catalog import SOURCES\n"
        "from cnnatomy.data import SOURCES as again\n"
        "print(SOURCES is again, sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[0] == "True []"


def test_every_public_name_is_there() -> None:
    for name in cnnatomy.data.__all__:
        assert getattr(cnnatomy.data, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        getattr(cnnatomy.data, "lod")  # noqa: B009
    assert [source.name for source in SOURCES.values()] == list(SOURCES)


def test_a_data_set_is_shown_by_its_figures_and_never_by_its_numbers() -> None:
    data = load("digits")
    assert data.train.images.shape[1:] == (1, 8, 8), "the pictures' own size"
    assert repr(data) == (
        "digits: 1,438 training, 359 test pictures\n"
        "  10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n"
        "  1,797 pictures 8x8 taken as they are"
    )
    assert repr(data.test) == "Pictures(359 pictures 1x8x8, 10 classes)"
    page = data._repr_html_()
    assert "tensor(" not in page
    assert len(page) < 20_000
    strip = Image.open(BytesIO(b64decode(page.partition("base64,")[2].partition('"')[0])))
    assert strip.size == (480, 48)
    firsts = torch.cat([data.train.images[data.train.labels == label][0, 0] for label in range(10)], 1)
    assert torch.equal(torch.from_numpy(np.array(strip)[3::6, 3::6]), firsts)


def test_pictures_of_several_sizes_have_no_size_of_their_own(tmp_path: Path) -> None:
    for index, side in enumerate((8, 8, 9, 8)):
        place = tmp_path / "pictures" / "ab"[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, 8)).save(place / f"{index}.png")
    with pytest.raises(
        ArgumentError, match=r"no one size: expected size=, got 2 of them.*try size=\(64, 64\)"
    ):
        load(tmp_path / "pictures")
    assert load(tmp_path / "pictures", size=(8, 8)).train.images.shape[1] == 3
