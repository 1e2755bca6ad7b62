"""What a report computes: wrong labels are found, one answer is called that, lines follow from figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.cli.evaluation_view import headline
from cnnatomy.data import Dataset, load
from cnnatomy.models import build
from cnnatomy.models.embedding import embedded
from cnnatomy.report.class_pictures import EXAMPLES, pairs, samples
from cnnatomy.report.label_doubts import CLEAR, LISTED, doubts, judged_labels
from cnnatomy.report.next_steps import MOST, Figures, next_steps
from cnnatomy.report.result_text import warning
from cnnatomy.train.batch_evaluation import judge
from cnnatomy.train.evaluation import Evaluation
from cnnatomy.train.linear_model import accuracy_on_pixels, held_out, pixels


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", size=(32, 32), channels=1)


def mislabelled(labels: Tensor, share: float) -> tuple[Tensor, set[int]]:
    """A share of labels moved to another class, and which."""
    generator = torch.Generator().manual_seed(0)
    wrong = torch.randperm(len(labels), generator=generator)[: round(share * len(labels))]
    moved = labels.clone()
    moved[wrong] = (moved[wrong] + torch.randint(1, 10, wrong.shape, generator=generator)) % 10
    return moved, set(wrong.tolist())


def test_most_planted_wrong_labels_are_among_a_twentieth(digits: Dataset) -> None:
    labels, wrong = mislabelled(digits.train.labels, 0.03)
    margins, _ = judged_labels(pixels(digits.train.images), labels, 10)
    listed = margins.argsort()[: int(LISTED * len(labels))].tolist()
    assert len(wrong & set(listed)) / len(wrong) >= 0.6


def test_doubts_are_of_an_untrained_networks_features_too(digits: Dataset) -> None:
    torch.manual_seed(0)
    net = build("lenet5", classes=10)
    labels, wrong = mislabelled(digits.train.labels, 0.03)
    found = doubts(net, replace(digits.train, labels=labels), 2_000)
    assert len(found) <= LISTED * len(labels)
    assert [one.margin for one in found] == sorted(one.margin for one in found)
    assert len(wrong & {one.place for one in found}) / len(wrong) >= 0.6
    for one in found:
        assert one.label == digits.classes[labels[one.place]] != one.likely
        assert one.name == digits.train.names[one.place]


def test_clean_labels_are_seldom_clearly_doubted(digits: Dataset) -> None:
    margins, _ = judged_labels(pixels(digits.train.images), digits.train.labels, 10)
    assert float((margins < CLEAR).double().mean()) < 0.005


def test_held_out_answers_are_those_of_models_learned_anew(digits: Dataset) -> None:
    x, y = pixels(digits.train.images[:120])[:, ::16], digits.train.labels[:120]
    said = held_out(x, y, 10, folds=3)
    full = (x.double() - x.double().mean(0)) / x.double().std(0, correction=0).clamp(min=1e-6)
    full = torch.cat([full, torch.ones(len(x), 1, dtype=torch.float64)], 1)
    for fold in range(3):
        rest = torch.arange(len(x)) % 3 != fold
        a, b = full[rest], F.one_hot(y[rest], 10).double()
        penalty = 0.01 * (a.T @ a).diagonal().mean() * torch.eye(a.shape[1], dtype=torch.float64)
        weights = torch.linalg.lstsq(a.T @ a + penalty, a.T @ b).solution
        torch.testing.assert_close(said[~rest], full[~rest] @ weights, rtol=1e-6, atol=1e-8)


def test_a_linear_model_on_pixels_knows_digits(digits: Dataset) -> None:
    assert accuracy_on_pixels(digits.train, digits.test) > 0.9


def test_an_embedding_is_what_the_last_layer_reads(digits: Dataset) -> None:
    torch.manual_seed(0)
    net = build("lenet5", classes=10)
    read: list[Tensor] = []
    with net.f6.register_forward_pre_hook(lambda module, args: read.append(args[0])), torch.no_grad():  # type: ignore[union-attr]
        net.eval()(net.preprocess(digits.test.images[:7]))
    assert torch.equal(embedded(net, digits.test.images[:7]), read[0])


def one_answer(share: float) -> Evaluation:
    """A model that answers 'cat' alone, on pictures of which a share are cats."""
    cats = round(200 * share)
    confusion = torch.tensor([[cats, 0], [200 - cats, 0]])
    return Evaluation("pets", ("cat", "dog"), 0.5, confusion, (), {})


def test_one_answer_to_everything_is_called_that_in_the_first_lines() -> None:
    result = one_answer(0.9)
    assert warning(result) == "the model answers 'cat' to every picture"
    lines = [str(line) for line in headline(result)]
    assert any("answers 'cat' to every picture" in line for line in lines[:5])
    assert next_steps(Figures(result))[0].startswith("it learned to answer 'cat' alone: draw every class")
    assert one_answer(1.0).single_answer is None, "there is nothing else to answer"


def told(accuracy: float, **more: object) -> list[str]:
    hits = round(1000 * accuracy)
    confusion = torch.tensor([[hits // 2, 500 - hits // 2], [500 - (hits - hits // 2), hits - hits // 2]])
    return next_steps(Figures(Evaluation("pets", ("cat", "dog"), 0.5, confusion, (), {}), **more))  # type: ignore[arg-type]


def test_what_to_try_follows_from_the_figures() -> None:
    assert told(0.97, training=0.98, linear=0.7, calibration=0.01, temperature=1.1) == []
    assert told(0.8, training=0.99)[0].startswith("overfitted: 99.0% of the training pictures are right")
    assert told(0.75, training=0.76)[0].startswith("underfitted")
    assert "a linear model on the pixels scores 90.0%" in told(0.8, linear=0.9)[0]
    assert "look at the doubted labels" in told(0.97, doubted=0.03)[0]
    assert "divide scores by 2.5" in told(0.97, calibration=0.2, temperature=2.5)[0]
    assert "more pictures of 'dog': 5" in told(0.7, supports=(("cat", 900), ("dog", 5)))[0]
    assert "3 pictures lost their colour" in told(0.7, greyed=3)[0]
    assert "would see 211 pixels" in told(0.97, field=211, side=32)[0]
    every = told(0.6, training=0.99, linear=0.9, doubted=0.1, calibration=0.3, temperature=3.0)
    assert len(every) == MOST


def test_pictures_of_confused_pairs_are_of_both(digits: Dataset) -> None:
    torch.manual_seed(1)
    result = judge(build("lenet5", classes=10), digits.test, "digits")
    found = pairs(result, digits)
    named = dict(zip(digits.test.names, digits.test.labels.tolist(), strict=True))
    assert found
    for pair in found:
        assert 0 < len(pair.mistaken) <= EXAMPLES
        assert {digits.classes[named[name]] for name, _ in pair.mistaken} == {pair.confusion.label}
        assert {digits.classes[named[name]] for name, _ in pair.right} <= {pair.confusion.predicted}


def test_samples_are_shown_changed_and_not(digits: Dataset) -> None:
    changed, plain = (samples(digits.train, how, 0) for how in ("shift(0.1)", "none"))
    assert [one.name for one in changed] == list(digits.classes)
    assert changed[0].pictures == int((digits.train.labels == 0).sum())
    assert changed[0].plain == plain[0].plain != changed[0].varied
    assert not plain[0].varied
