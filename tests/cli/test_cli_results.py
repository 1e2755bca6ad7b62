"""What a terminal shows of an evaluation, of two classes or of a thousand."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cnnatomy.cli.evaluation_view import BARS, MOST, learning, show
from cnnatomy.files.printable import json_text, percent
from cnnatomy.train import Epoch, Evaluation, Mistake
from cnnatomy.train.evaluation import FEW


def evaluation(kinds: int, pictures: int = 50, seed: int = 0) -> Evaluation:
    """A result in which a quarter of each class's pictures is taken for anything."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(kinds).repeat_interleave(pictures)
    taken = torch.rand(len(labels), generator=generator) < 0.25
    said = torch.where(taken, torch.randint(0, kinds, (len(labels),), generator=generator), labels)
    confusion = torch.bincount(labels * kinds + said, minlength=kinds * kinds).view(kinds, kinds)
    names = tuple(f"class {k}" for k in range(kinds))
    wrong = (labels != said).nonzero().squeeze(1).tolist()
    mistakes = tuple(Mistake(i, f"{i}.png", names[labels[i]], names[said[i]], 0.9) for i in wrong)
    return Evaluation("made up", names, 0.5, confusion, mistakes, {})


def printed(result: Evaluation, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(result, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_thousand_classes_fit_a_screen() -> None:
    result = evaluation(1000)
    lines = printed(result).splitlines()
    assert len(lines) < 40
    worst = sorted(result.per_class, key=lambda score: (score.f1, -score.support))[:MOST]
    shown = [line.split("  ")[0].strip() for line in lines]
    at = next(i for i, line in enumerate(lines) if "the 10 classes of the lowest F1, of 1,000" in line)
    assert shown[at + 4 : at + 4 + MOST] == [score.name for score in worst]
    pairs = [line for line in lines if line.count("class ") == 2]
    assert len(pairs) == MOST
    for pair, line in zip(result.confusions[:MOST], pairs, strict=True):
        share = f"{100 * pair.times / pair.pictures:.1f}%"
        assert line.split() == [*f"{pair.label} {pair.predicted} {pair.times} {share}".split()]


def test_a_thousand_classes_are_short_and_readable_json() -> None:
    result = evaluation(1000)
    text = json_text(result.to_json())
    assert len(text) < 1_000_000
    assert json.loads(text) == json.loads(json.dumps(result.to_json()))
    assert sum('"f1"' in line for line in text.splitlines()) == 1000


@pytest.mark.parametrize("kinds", [2, 5, FEW, FEW + 1])
def test_few_classes_are_all_shown(kinds: int) -> None:
    result = evaluation(kinds)
    text = printed(result)
    assert ("of the lowest F1" in text) == (kinds > FEW)
    assert ("row: what the pictures are" in text) == (kinds <= FEW)
    for score in result.per_class if kinds <= FEW else result.worst(MOST):
        rates = [percent(rate) for rate in (score.recall, score.precision, score.f1)]
        row = [*score.name.split(), str(score.support), *rates]
        assert row in [line.split() for line in text.splitlines()]


def test_no_mistake_leaves_nothing_to_list() -> None:
    perfect = replace(evaluation(FEW + 8), confusion=torch.eye(FEW + 8, dtype=torch.int64) * 3, mistakes=())
    text = printed(perfect)
    assert "taken for" not in text
    assert "test accuracy 100.00%" in text
    assert "warning" not in text


def test_a_result_that_beats_no_constant_answer_has_a_warning() -> None:
    result = replace(evaluation(2), confusion=torch.tensor([[7, 1], [1, 0]]))
    text = printed(result)
    assert "on the 9 test pictures of made up; always answering 'class 0' scores 88.89%" in text
    assert "warning: the model is no better than always answering 'class 0'" in text
    assert "warning" not in printed(replace(result, training_commonest="class 1"))


def test_averaged_answers_are_told_apart() -> None:
    text = printed(replace(evaluation(2), averaged=0.8125, part=""))
    assert "averaged over changed copies of each picture 81.25%" in text
    assert text.strip().startswith("on all 100 pictures of made up")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda some: st.lists(some) | st.dictionaries(st.text(), some), max_leaves=60)


@given(VALUES)
def test_json_stays_what_it_is_and_can_be_shown(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()


def test_the_curve_of_a_training_is_a_row_of_bars() -> None:
    history = [Epoch(n, n, 0.1, 1.0, (n - 1) / 100, None, None, 0.5, 0.5, 1.0, 1.0) for n in range(1, 102)]
    heading, train, test = (line.plain for line in learning(history))
    assert heading == "\naccuracy of epochs 1 to 101"
    name, bars, said = train.split(maxsplit=2)
    assert (name, bars[0], bars[-1], len(bars), said) == ("train", "▁", "█", 51, "0.0% to 100.0%")
    assert list(bars) == sorted(bars, key=BARS.index)
    assert test.startswith("test")
    assert len(set(test.split()[1])) == 1
    assert learning(history[:1]) == []
