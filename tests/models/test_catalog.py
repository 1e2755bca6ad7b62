from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
import torch

from cnnatomy.errors import ArgumentError
from cnnatomy.models import build
from cnnatomy.models.bitmaps import BITMAPS, HEIGHT, WIDTH
from cnnatomy.models.codes import class_codes
from cnnatomy.models.model_catalog import ENTRIES, Entry, are_digits, find
from cnnatomy.train.finetune import replace_head


def distance(a: list[int], b: list[int]) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


def test_the_catalog_is_read_without_torch() -> None:
    code = "import sys, cnnatomy.models.model_catalog, cnnatomy.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


SMALL = [entry for entry in ENTRIES if entry.parameters is not None and entry.parameters < 1_000_000]


@pytest.mark.parametrize("entry", SMALL, ids=lambda entry: entry.name)
def test_every_small_entry_builds_with_every_output(entry: Entry) -> None:
    for output in entry.outputs:
        model = build(entry.name, classes=3, output=output)
        assert entry.input_shape == model.input_shape
        images = torch.randint(0, 256, (2, *entry.input_shape), dtype=torch.uint8)
        wanted = (2, 3) if model.goal == "classify" else (2, *model.input_shape)
        assert model(model.preprocess(images)).shape == wanted


def test_output_follows_the_classes_unless_asked() -> None:
    assert build("lenet5", classes=10).output == "rbf"
    assert build("lenet5", classes=("3", "8")).output == "rbf"
    assert build("lenet5", classes=("cat", "dog")).output == "softmax"
    assert build("lenet5", classes=("cat", "dog"), output="rbf").output == "rbf"
    assert build("lenet5", classes=10, output="softmax").output == "softmax"


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"unknown model 'lanet5'.*try lenet5"):
        find("lanet5")
    with pytest.raises(ArgumentError, match=r"no output 'sofmax'.*try softmax"):
        build("lenet5", classes=10, output="sofmax")


@pytest.mark.parametrize("classes", [("a",), ("a", "a")])
def test_classes_must_differ(classes: tuple[str, ...]) -> None:
    with pytest.raises(ArgumentError, match="at least two, all different"):
        build("lenet5", classes=classes)


@pytest.mark.parametrize(("classes", "said"), [
    (1, "an int >= 2, got 1"),
    (-1, "an int >= 2, got -1"),
    (10**9, "an int <= 1,000,000, got 1,000,000,000"),
])  # fmt: skip
def test_so_many_classes_there_cannot_be(classes: int, said: str) -> None:
    for name in ("lenet5", "conv3-4 globalavg FC"):
        with pytest.raises(ArgumentError, match=said):
            build(name, classes=classes)
    if classes > 1:
        with pytest.raises(ArgumentError, match=said):
            replace_head(build("lenet5", classes=10), classes)


def test_bitmaps_are_seven_by_twelve_and_all_different() -> None:
    assert list(BITMAPS) == list("0123456789")
    for rows in BITMAPS.values():
        assert len(rows) == HEIGHT == 12
        assert all(len(row) == WIDTH == 7 and set(row) <= set("#.") for row in rows)
    codes = class_codes("0123456789")
    pairs = {(a, b): distance(codes[a], codes[b]) for a, b in itertools.combinations(range(10), 2)}
    assert min(pairs.values()) >= 10
    assert pairs[3, 8] < pairs[1, 8], "characters that look alike have codes that lie close"


def test_codes_of_other_classes_are_orthogonal() -> None:
    codes = class_codes([f"class {k}" for k in range(168)])
    assert all(set(code) <= {1, -1} and len(code) == 84 for code in codes)
    for a, b in itertools.combinations(range(84), 2):
        assert distance(codes[a], codes[b]) == 42
    assert min(distance(a, b) for a, b in itertools.combinations(codes, 2)) == 42
    with pytest.raises(ArgumentError, match=r"at most 168 classes.*softmax"):
        class_codes([f"class {k}" for k in range(169)])


def test_digits_are_told_from_other_classes() -> None:
    assert are_digits(10)
    assert not are_digits(9)
    assert are_digits("0123456789")
    assert not are_digits(["10", "11"])
