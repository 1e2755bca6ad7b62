from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cnnatomy.data import Pictures
from cnnatomy.errors import ArgumentError
from cnnatomy.models.classifier import Classifier
from cnnatomy.train.batch_evaluation import BATCH, scores_of
from cnnatomy.train.test_time_averaging import averaged_accuracy, averaged_probabilities, views


class Corner(Classifier):
    """Scores that are the levels of the first row: what is shifted or mirrored changes them."""

    input_shape, classes, output = (1, 4, 5), tuple("abcde"), "softmax"

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(0.01))

    def preprocess(self, images: Tensor) -> Tensor:
        return images.float()

    def _scores(self, x: Tensor) -> Tensor:
        assert not self.training
        return x[:, 0, 0] * self.slope


def pictures(count: int, height: int = 4, width: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 1, height, width), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(("height", "width", "down", "right"), [
    (4, 5, 1, 1), (32, 48, 1, 2), (64, 96, 2, 3), (2, 2, 1, 1),
])  # fmt: skip
def test_shifts_are_numpys_with_reflected_edges(height: int, width: int, down: int, right: int) -> None:
    images = pictures(3, height, width)
    edges = ((0, 0), (0, 0), (down, down), (right, right))
    padded = np.pad(images.numpy(), edges, mode="reflect")
    cut = [(0, 0), (2 * down, 2 * right)]  # what was further up comes down, and the other way round
    later, earlier = (padded[:, :, top : top + height, left : left + width] for top, left in cut)
    found = [view.numpy() for view in views(images, "flip-shift")]
    expected = [images.numpy(), earlier, later]
    for plain, mirrored, known in zip(found[::2], found[1::2], expected, strict=True):
        np.testing.assert_array_equal(plain, known)
        np.testing.assert_array_equal(mirrored, known[..., ::-1])
    assert all(view.dtype == np.uint8 for view in found)


def test_a_picture_of_one_cell_has_nowhere_to_go() -> None:
    one = pictures(2, 1, 1)
    assert all(torch.equal(view, one) for view in views(one, "flip-shift"))


@pytest.mark.parametrize("how", ["flip", "flip-shift"])
def test_probabilities_are_means_over_the_views_batch_by_batch(how: str) -> None:
    model, images = Corner(), pictures(BATCH + 3)
    single = [torch.softmax(scores_of(model, view), 1) for view in views(images, how)]
    found = averaged_probabilities(model, images, how)
    torch.testing.assert_close(found, sum(single) / len(single))
    labels = single[0].argmax(1)
    shown = Pictures(images, labels, model.classes, [""] * len(images))
    expected = (found.argmax(1) == labels).float().mean().item()
    assert averaged_accuracy(model, shown, how) == pytest.approx(expected)
    assert 0 < expected < 1


def test_a_way_that_there_is_not_is_told() -> None:
    with pytest.raises(ArgumentError, match=r"unknown test-time averaging.*got 'flips'; try 'flip'"):
        list(views(pictures(1), "flips"))
