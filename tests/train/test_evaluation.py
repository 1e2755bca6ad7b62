from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support
from torch import Tensor

from cnnatomy.data import Pictures
from cnnatomy.models.classifier import Classifier
from cnnatomy.models.lenet import LeNet5
from cnnatomy.train.evaluation import BATCH, count_parameters, judge, measure, scores_of

CLASSES = ("cat", "dog", "eel", "fox")


class Reader(Classifier):
    """Scores that stand in the first row of the picture itself."""

    input_shape, classes, output = (1, 2, 4), CLASSES, "softmax"

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(0.03))

    def preprocess(self, images: Tensor) -> Tensor:
        return images.float()

    def _scores(self, x: Tensor) -> Tensor:
        assert not self.training
        return x[:, 0, 0, :] * self.slope


def pictures(count: int, labels: Tensor | None = None) -> Pictures:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 1, 2, 4), generator=generator, dtype=torch.uint8)
    drawn = torch.randint(0, 4, (count,), generator=generator)
    names = [f"picture {i}" for i in range(count)]
    return Pictures(images, drawn if labels is None else labels, CLASSES, names)


def test_figures_are_scikit_learns() -> None:
    model, shown = Reader().train(), pictures(2 * BATCH + 7)
    result = judge(model, shown, "made up")
    scores = shown.images[:, 0, 0, :].double() * model.slope.item()
    predicted, labels = scores.argmax(1).numpy(), shown.labels.numpy()
    np.testing.assert_array_equal(result.confusion.numpy(), confusion_matrix(labels, predicted))
    precision, recall, _, support = precision_recall_fscore_support(labels, predicted)
    assert [score.name for score in result.per_class] == list(CLASSES)
    assert [score.precision for score in result.per_class] == pytest.approx(precision)
    assert [score.recall for score in result.per_class] == pytest.approx(recall)
    assert [score.support for score in result.per_class] == support.tolist()
    assert result.loss == pytest.approx(log_loss(labels, scores.softmax(1).numpy()), rel=1e-5)
    assert result.accuracy == pytest.approx(np.mean(labels == predicted))
    assert result.accuracy + result.error == pytest.approx(1)
    assert measure(model, shown) == (result.loss, result.accuracy)
    assert model.training, "the mode is given back"


def test_mistakes_begin_with_the_surest() -> None:
    model, shown = Reader(), pictures(100)
    result = judge(model, shown, "made up")
    probabilities = model.probabilities(scores_of(model, shown.images))
    assert len(result.mistakes) == round(result.error * 100)
    assert [m.probability for m in result.mistakes] == sorted(
        (m.probability for m in result.mistakes), reverse=True
    )
    for mistake in result.mistakes:
        assert mistake.label == CLASSES[shown.labels[mistake.index]] != mistake.predicted
        assert mistake.predicted == CLASSES[probabilities[mistake.index].argmax()]
        assert mistake.probability == pytest.approx(probabilities[mistake.index].max().item())
        assert mistake.name == shown.names[mistake.index]


def test_a_class_nobody_named_has_no_precision_and_one_nobody_showed_no_recall() -> None:
    shown = pictures(3, labels=torch.zeros(3, dtype=torch.int64))
    shown.images[:] = 0
    shown.images[:, 0, 0, 1] = 255
    cat, dog, eel, _ = judge(Reader(), shown, "made up").per_class
    assert (cat.precision, cat.recall, cat.support) == (None, 0.0, 3)
    assert (dog.precision, dog.recall, dog.support) == (0.0, None, 0)
    assert (eel.precision, eel.recall) == (None, None)


def test_everything_but_the_list_of_mistakes_is_json() -> None:
    result = judge(Reader(), pictures(20), "made up")
    said = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert said["confusion"] == result.confusion.tolist()
    assert said["mistakes"] == len(result.mistakes)
    assert said["classes"][0]["name"] == "cat"


def test_parameters_are_counted_from_the_network() -> None:
    model = LeNet5("0123456789")
    assert sum(count_parameters(model).values()) == 60_000
    model.c1.requires_grad_(False)
    assert "c1" not in count_parameters(model)
    assert count_parameters(model)["c3"] == 1_516
