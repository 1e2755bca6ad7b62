"""Metrics of arms: means over pictures, held to scikit-learn and to what a run says of itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss

from cnnatomy.studies.metrics import METRICS, Given


def answers(seed: int, pictures: int = 60, classes: int = 4, sure: float = 2.0) -> tuple[Given, np.ndarray]:
    """Answers of a classifier that is right more often than not, and all its probabilities."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, pictures)
    labels[:classes] = np.arange(classes)
    scores = rng.normal(size=(pictures, classes)) + sure * np.eye(classes)[labels]
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return Given(labels, scores.argmax(1), shares[np.arange(pictures), labels]), shares


@given(st.integers(0, 2**32 - 1))
def test_the_mean_is_the_metric(seed: int) -> None:
    told, shares = answers(seed)
    wanted = {
        "accuracy": accuracy_score(told.labels, told.predicted),
        "balanced": balanced_accuracy_score(told.labels, told.predicted),
        "macro-f1": f1_score(told.labels, told.predicted, average="macro"),
        "log-loss": log_loss(told.labels, shares),
    }
    assert set(wanted) == set(METRICS)
    for name, value in wanted.items():
        assert METRICS[name].scores(told).mean() == pytest.approx(value), name


def test_a_class_that_no_test_picture_has_counts_if_it_is_answered() -> None:
    told = Given(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), np.full(4, 0.5))
    wanted = f1_score(told.labels, told.predicted, average="macro")
    assert METRICS["macro-f1"].scores(told).mean() == pytest.approx(wanted)


def test_the_chance_of_the_macro_f1_score_is_that_of_drawing_pictures_anew() -> None:
    """The linear part against what redrawing the pictures does: standard deviations within a tenth."""
    told, _ = answers(3, pictures=2000)
    error = METRICS["macro-f1"].scores(told).std(ddof=1) / np.sqrt(2000)
    rng = np.random.default_rng(4)
    drawn = [rng.integers(0, 2000, 2000) for _ in range(400)]
    values = [f1_score(told.labels[one], told.predicted[one], average="macro") for one in drawn]
    assert error == pytest.approx(np.std(values), rel=0.1)


def test_a_probability_of_nothing_has_a_finite_loss() -> None:
    told = Given(np.array([0, 1]), np.array([1, 1]), np.array([0.0, 1.0]))
    assert METRICS["log-loss"].scores(told).tolist() == pytest.approx([87.336, 0], abs=1e-3)
