from __future__ import annotations

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    classification_report,
    confusion_matrix,
    f1_score,
    log_loss,
    top_k_accuracy_score,
)
from torch import Tensor

from cnnatomy.data import Pictures
from cnnatomy.errors import ArgumentError
from cnnatomy.models.classifier import Classifier
from cnnatomy.models.lenet import LeNet5
from cnnatomy.train.batch_evaluation import BATCH, count_parameters, judge, measure, scores_of
from cnnatomy.train.evaluation import FEW, Evaluation
from cnnatomy.train.statistics import commonest, entries, wilson

CLASSES = ("cat", "dog", "eel", "fox")


class Reader(Classifier):
    """Scores that stand in the first row of the picture itself."""

    output = "softmax"

    def __init__(self, classes: tuple[str, ...] = CLASSES) -> None:
        super().__init__()
        self.input_shape, self.classes = (1, 2, len(classes)), classes
        self.slope = torch.nn.Parameter(torch.tensor(0.03))

    def preprocess(self, images: Tensor) -> Tensor:
        return images.float()

    def _scores(self, x: Tensor) -> Tensor:
        assert not self.training
        assert len(x) <= BATCH
        return x[:, 0, 0, :] * self.slope


def pictures(
    count: int, labels: Tensor | None = None, classes: tuple[str, ...] = CLASSES, seed: int = 0
) -> Pictures:
    """Pictures whose scores and labels are drawn, with no two scores the same where there is room."""
    generator = torch.Generator().manual_seed(1000 * seed + count)
    rows = [torch.randperm(256, generator=generator)[: len(classes)] for _ in range(2 * count)]
    images = torch.stack(rows).to(torch.uint8).view(count, 1, 2, len(classes))
    drawn = torch.randint(0, len(classes), (count,), generator=generator)
    names = [f"picture {i}" for i in range(count)]
    return Pictures(images, drawn if labels is None else labels, classes, names)


@given(st.integers(2, 12), st.integers(1, 60), st.integers(0, 9))
def test_figures_are_scikit_learns(kinds: int, count: int, seed: int) -> None:
    classes = tuple(f"class {k}" for k in range(kinds))
    model, shown = Reader(classes), pictures(count, classes=classes, seed=seed)
    result = judge(model, shown, "made up")
    scores = (shown.images[:, 0, 0, :].double() * model.slope.item()).numpy()
    truth, said, every = shown.labels.numpy(), scores.argmax(1), list(range(kinds))
    np.testing.assert_array_equal(result.confusion.numpy(), confusion_matrix(truth, said, labels=every))
    assert result.accuracy == pytest.approx(accuracy_score(truth, said))
    assert result.accuracy + result.error == pytest.approx(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that were answered without being there
        assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, said))
    assert result.macro_f1 == pytest.approx(f1_score(truth, said, average="macro", zero_division=0))
    report = classification_report(
        truth, said, labels=every, target_names=classes, output_dict=True, zero_division=np.nan
    )
    for score in result.per_class:
        theirs = report[score.name]
        assert score.support == theirs["support"]
        for ours, name in ((score.precision, "precision"), (score.recall, "recall")):
            assert ours == pytest.approx(theirs[name]) if ours is not None else np.isnan(theirs[name])
        if score.f1 is not None:
            assert score.f1 == pytest.approx(np.nan_to_num(theirs["f1-score"]))
    if kinds > 5:
        assert result.top5_accuracy == top_k_accuracy_score(truth, scores, k=5, labels=every)
    else:
        assert result.top5_accuracy is None


def test_several_batches_are_one_result() -> None:
    model, shown = Reader().train(), pictures(2 * BATCH + 7)
    result = judge(model, shown, "made up")
    scores = shown.images[:, 0, 0, :].double() * model.slope.item()
    assert result.pictures == len(shown)
    assert result.loss == pytest.approx(log_loss(shown.labels.numpy(), scores.softmax(1).numpy()), rel=1e-5)
    assert measure(model, shown) == (result.loss, result.accuracy)
    assert result.answers is not None
    assert torch.equal(result.answers.predicted, scores.argmax(1))
    assert model.training, "the mode is given back"


def test_mistakes_begin_with_the_surest() -> None:
    model, shown = Reader(), pictures(100)
    result = judge(model, shown, "made up")
    probabilities = model.probabilities(scores_of(model, shown.images))
    assert len(result.mistakes) == round(result.error * 100)
    sure = [mistake.probability for mistake in result.mistakes]
    assert sure == sorted(sure, reverse=True)
    for mistake in result.mistakes:
        assert mistake.label == CLASSES[shown.labels[mistake.index]] != mistake.predicted
        assert mistake.predicted == CLASSES[probabilities[mistake.index].argmax()]
        assert mistake.probability == pytest.approx(probabilities[mistake.index].max().item())
        assert mistake.name == shown.names[mistake.index]


def test_a_class_nobody_named_has_no_precision_and_one_nobody_showed_no_recall() -> None:
    shown = pictures(3, labels=torch.zeros(3, dtype=torch.int64))
    shown.images[:] = 0
    shown.images[:, 0, 0, 1] = 255
    result = judge(Reader(), shown, "made up")
    cat, dog, eel, _ = result.per_class
    assert (cat.precision, cat.recall, cat.f1, cat.support) == (None, 0.0, 0.0, 3)
    assert (dog.precision, dog.recall, dog.f1, dog.support) == (0.0, None, 0.0, 0)
    assert (eel.precision, eel.recall, eel.f1) == (None, None, None)
    assert (result.balanced_accuracy, result.macro_f1) == (0, 0)
    assert result.worst(3) == [cat]


def of(confusion: list[list[int]], **more: str) -> Evaluation:
    result = Evaluation("x", CLASSES[: len(confusion)], 0.0, torch.tensor(confusion), (), {})
    return replace(result, **more)  # type: ignore[arg-type]


def test_the_yardstick_is_the_commonest_class_of_training() -> None:
    result = of([[8, 0], [1, 0]])
    assert result.commonest == result.yardstick == ("cat", 8 / 9)
    assert not result.beaten
    other = replace(result, training_commonest="dog")
    assert (other.commonest, other.yardstick) == (("cat", 8 / 9), ("dog", 1 / 9))
    assert other.beaten
    assert of([[8, 0], [0, 1]]).beaten
    with pytest.raises(ArgumentError, match="training_commonest: expected a class of the model, got 'cow'"):
        judge(Reader(), pictures(3), "x", training_commonest="cow")
    assert judge(Reader(), pictures(3), "x", training_commonest="fox").yardstick.name == "fox"
    assert commonest(torch.tensor([3, 1, 1, 3, 0])) == 1


def test_what_was_judged_is_said() -> None:
    assert of([[8, 0], [1, 0]]).judged == "the 9 test pictures of x"
    assert of([[1, 0], [0, 0]]).judged == "the 1 test picture of x"
    assert of([[8, 0], [1, 0]], part="").judged == "all 9 pictures of x"


def test_confusions_come_most_frequent_first() -> None:
    assert of([[5, 2], [3, 1]]).confusions == [("dog", "cat", 3, 4), ("cat", "dog", 2, 7)]


def test_everything_but_the_single_answers_is_json() -> None:
    result = replace(judge(Reader(), pictures(20), "made up"), averaged=0.5)
    said = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert said["confusion"] == result.confusion.tolist()
    assert said["mistakes"] == len(result.mistakes)
    assert said["classes"][0]["name"] == "cat"
    assert said["interval"] == list(result.interval)
    assert said["yardstick"] == {"class": result.commonest.name, "accuracy": result.commonest.accuracy}
    assert said["averaged_accuracy"] == 0.5
    said = replace(result, loss=float("nan")).to_json()
    assert json.loads(json.dumps(said, allow_nan=False))["loss"] is None


def test_many_classes_give_the_counts_that_are_there() -> None:
    classes = tuple(map(str, range(FEW + 1)))
    result = judge(Reader(classes), pictures(50, classes=classes), "made up")
    said = json.loads(json.dumps(result.to_json()))
    assert "confusion" not in said
    table = torch.zeros(FEW + 1, FEW + 1, dtype=torch.int64)
    for row, column, count in said["confusion_entries"]:
        assert count > 0
        table[row, column] = count
    assert torch.equal(table, result.confusion)
    assert entries(torch.zeros(2, 2, dtype=torch.int64)) == []


@pytest.mark.parametrize(("wrong", "pictures"), [(0, 20), (20, 20), (7, 50), (105, 10_000)])
def test_wilson_holds_the_score_test_at_its_bounds(wrong: int, pictures: int) -> None:
    """The bounds are the proportions p at which |observed - p| = z sqrt(p (1 - p) / n)."""
    for bound in wilson(wrong, pictures):
        away = abs(wrong / pictures - bound)
        assert away == pytest.approx(1.959964 * np.sqrt(bound * (1 - bound) / pictures), abs=1e-9)


def test_parameters_are_counted_from_the_network() -> None:
    model = LeNet5("0123456789")
    assert sum(count_parameters(model).values()) == 60_000
    model.c1.requires_grad_(False)
    assert "c1" not in count_parameters(model)
    assert count_parameters(model)["c3"] == 1_516
