"""Curves equal a loop over changed copies, each judged by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from cnnatomy.data import Pictures, load
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks import curve, shift_curve
from cnnatomy.explain.looks.sensitivity import CHANGES
from cnnatomy.models import build
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.batch_evaluation import judge, scores_of


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    test = load("digits", size=(32, 32), channels=1).test
    return replace(test, images=test.images[:60], labels=test.labels[:60], names=test.names[:60])


@pytest.fixture(scope="module")
def model(pictures: Pictures) -> Classifier:
    torch.manual_seed(1)
    made = build("lenet5", classes=10)
    made.adapt(pictures.images)
    return made


def test_the_shift_curve_is_a_loop_of_judging_shifted_copies(model: Classifier, pictures: Pictures) -> None:
    found = shift_curve(model, pictures, [0, 1, 3, 7])
    plain = scores_of(model, pictures.images)
    for amount, accuracy, logits in zip(found.amounts, found.accuracy, found.logits, strict=True):
        n = int(amount)
        padded = np.pad(pictures.images.numpy(), ((0, 0), (0, 0), (n, n), (n, n)), "edge")
        starts = [(n, 0), (n, 2 * n), (0, n), (2 * n, n)]
        copies = [torch.from_numpy(padded[:, :, y : y + 32, x : x + 32].copy()) for y, x in starts]
        judged = [judge(model, replace(pictures, images=one), "shifted").accuracy for one in copies]
        assert accuracy == pytest.approx(sum(judged) / 4, abs=1e-12)
        far = [(scores_of(model, one) - plain).double().square().mean() for one in copies]
        assert logits == pytest.approx(float(torch.stack(far).mean().sqrt()), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("change", list(CHANGES))
def test_no_change_changes_nothing(change: str, model: Classifier, pictures: Pictures) -> None:
    for images in CHANGES[change].copies(pictures.images, 0):
        assert torch.equal(images, pictures.images)
    found = curve(model, pictures, change)
    assert found.logits[0] == 0
    assert found.accuracy[0] == judge(model, pictures, "plain").accuracy
    assert all(one > 0 for one in found.logits[1:])


def smooth() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(30.0), indexing="ij")
    return (128 + 60 * torch.sin(x / 5) + 50 * torch.cos(y / 6)).round().to(torch.uint8)[None, None]


def test_rotations_and_scales_are_pillows() -> None:
    images = smooth()
    picture = Image.fromarray(images[0, 0].numpy())
    inner = (slice(10, -10), slice(8, -8))  # Pillow fills what comes in from outside
    for way, one in zip((1, -1), CHANGES["rotation"].copies(images, 12), strict=True):
        theirs = np.asarray(picture.rotate(12 * way, Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(one[0, 0].numpy().astype(int) - theirs)[inner].max() <= 1
    for factor, one in zip((1.25, 0.8), CHANGES["scale"].copies(images, 0.25), strict=True):
        f = 1 / factor
        matrix = (f, 0, 15 * (1 - f), 0, f, 20 * (1 - f))
        theirs = np.asarray(
            picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        ).astype(int)
        assert np.abs(one[0, 0].numpy().astype(int) - theirs)[inner].max() <= 1


def test_mirrors_and_brightness() -> None:
    images = smooth()
    assert np.array_equal(CHANGES["flip"].copies(images, 1)[0].numpy(), images.numpy()[..., ::-1])
    up, down = (one.numpy().astype(int) for one in CHANGES["brightness"].copies(images, 0.2))
    assert np.array_equal(up, np.clip(images.numpy().astype(int) + 51, 0, 255))
    assert np.array_equal(down, np.clip(images.numpy().astype(int) - 51, 0, 255))


def test_what_means_nothing_is_said(model: Classifier, pictures: Pictures) -> None:
    with pytest.raises(ArgumentError, match="no such change"):
        curve(model, pictures, "blur")
    with pytest.raises(ArgumentError, match="amount"):
        curve(model, pictures, "shift", [-1])
    with pytest.raises(ArgumentError, match="a classifier"):
        curve(torch.nn.Linear(2, 2), pictures)
