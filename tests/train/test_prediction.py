"""Predictions are those of the model itself, one for every picture, whatever it is and however many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cnnatomy.errors import ArgumentError
from cnnatomy.models import build
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.prediction import predictions

CLASSES = tuple("abcdefg")


class Columns(Classifier):
    """A picture's scores are the means of its columns, so that what is seen says what was drawn."""

    input_shape, classes, output = (1, 5, 7), CLASSES, "softmax"

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(0.01))
        self.largest = 0

    def preprocess(self, images: Tensor) -> Tensor:
        self.largest = max(self.largest, len(images))
        return images.float()

    def _scores(self, x: Tensor) -> Tensor:
        assert not self.training
        return x.mean((1, 2)) * self.slope


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Pictures of the network's own size, drawn."""
    generator = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(23)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (5, 7), np.uint8)).save(path)
    return paths


def truth(path: Path) -> list[tuple[str, float]]:
    scores = torch.from_numpy(np.asarray(Image.open(path)).mean(0)) * 0.01
    return sorted(zip(CLASSES, scores.softmax(0).tolist(), strict=True), key=lambda pair: -pair[1])


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_every_picture_has_its_own_prediction(photos: list[Path], batch_size: int) -> None:
    model = Columns().train()
    made = predictions(model, photos, "letterbox", batch_size=batch_size, threads=2)
    assert (made.classes, made.paths) == (CLASSES, photos)
    for path, one in zip(photos, made, strict=True):
        assert (one.path, one.error) == (path, None)
        names, shares = zip(*truth(path), strict=True)
        assert [name for name, _ in one.ranked] == list(names)
        assert [share for _, share in one.ranked] == pytest.approx(shares, rel=1e-4)
    assert model.largest == min(batch_size, len(photos))
    assert model.training


def test_the_likeliest_classes_are_enough(photos: list[Path]) -> None:
    for top in (1, 3, 100):
        for path, one in zip(photos, predictions(Columns(), photos, "letterbox", top=top), strict=True):
            assert [name for name, _ in one.ranked] == [name for name, _ in truth(path)][:top]


def test_equals_come_in_the_order_of_the_classes(tmp_path: Path) -> None:
    Image.new("L", (7, 5), 90).save(tmp_path / "grey.png")
    (one,) = predictions(Columns(), [tmp_path / "grey.png"], "letterbox", top=3)
    assert [name for name, _ in one.ranked] == ["a", "b", "c"]
    assert [share for _, share in one.ranked] == pytest.approx([1 / 7] * 3)


def test_a_picture_that_cannot_be_read_is_no_end(photos: list[Path]) -> None:
    photos[3].write_text("no picture")
    sources = [*photos, photos[0].parent / "gone.png"]
    made = list(predictions(Columns(), sources, "letterbox", batch_size=5))
    assert [i for i, one in enumerate(made) if one.error] == [3, 23]
    assert made[3].ranked == made[23].ranked == ()
    assert made[3].error == "is no picture of a known type: it begins with b'no pictu'"
    assert made[23].error == "cannot be read (No such file or directory)"
    assert [name for name, _ in made[4].ranked] == [name for name, _ in truth(photos[4])]


def test_folders_are_walked(photos: list[Path]) -> None:
    folder = photos[0].parent
    made = list(predictions(Columns(), [folder], "letterbox"))
    assert [one.path for one in made] == sorted(photos)


def test_the_threads_of_torch_are_given_back(photos: list[Path]) -> None:
    before = torch.get_num_threads()
    for _ in predictions(Columns(), photos, "letterbox", batch_size=2, threads=before + 1):
        assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", ["top", "batch_size", "threads"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_numbers_out_of_range_are_refused(photos: list[Path], name: str, value: int) -> None:
    with pytest.raises(ArgumentError, match=name):
        predictions(Columns(), photos, "letterbox", **{name: value})


def test_nothing_to_predict_is_said() -> None:
    with pytest.raises(ArgumentError, match="nothing to predict: expected at least one picture"):
        predictions(Columns(), [], "letterbox")
    with pytest.raises(ArgumentError, match="expected a list of paths"):
        predictions(Columns(), "one.png", "letterbox")


def test_a_network_from_the_catalog_agrees_with_itself(photos: list[Path]) -> None:
    model = build("conv3-4 bn maxpool globalavg FC", classes=("x", "y", "z"), input_size=(3, 9, 8)).eval()
    with torch.no_grad():
        for path, one in zip(photos, predictions(model, photos, "stretch", batch_size=7), strict=True):
            picture = Image.open(path).resize((8, 9), Image.Resampling.BICUBIC)
            pixels = torch.from_numpy(np.array(picture))[None, None].expand(1, 3, 9, 8)
            shares = model.probabilities(model(model.preprocess(pixels)))[0]
            assert dict(one.ranked) == pytest.approx(
                dict(zip(model.classes, shares.tolist(), strict=True)), abs=1e-5
            )
