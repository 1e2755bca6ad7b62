"""How sure a model is against how often it is right, held to a computation of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from cnnatomy.train.calibration import calibration, temperature


def by_hand(confidence: list[float], right: list[bool], bins: int) -> float:
    """The expected calibration error, bin after bin."""
    error = 0.0
    for k in range(bins):
        own = [i for i, c in enumerate(confidence) if k / bins < c <= (k + 1) / bins or (k == 0 and c <= 0)]
        if own:
            sure, good = (float(np.mean([column[i] for i in own])) for column in (confidence, right))
            error += len(own) / len(confidence) * abs(good - sure)
    return error


@given(st.integers(1, 60), st.integers(0, 2**32), st.sampled_from([1, 7, 15]))
def test_the_error_is_that_of_a_loop_over_bins(count: int, seed: int, bins: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    confidence = torch.rand(count, generator=generator, dtype=torch.float64)
    right = torch.rand(count, generator=generator) < 0.6
    found = calibration(confidence, right, bins)
    assert found.error == pytest.approx(by_hand(confidence.tolist(), right.tolist(), bins), abs=1e-12)
    assert sum(one.pictures for one in found.bins) == count


def drawn(count: int, sharper: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of a model that is so many times too sure of the odds, and labels by these."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(count, 5, generator=generator)
    labels = torch.multinomial(scores.softmax(1), 1, generator=generator).squeeze(1)
    return (sharper * scores).softmax(1), labels


@pytest.mark.parametrize("sharper", [0.5, 1.0, 4.0])
def test_the_temperature_is_how_much_too_sure_a_model_is(sharper: float) -> None:
    assert temperature(*drawn(20_000, sharper)) == pytest.approx(sharper, rel=0.05)


def test_no_other_temperature_makes_the_labels_likelier() -> None:
    shares, labels = drawn(500, 3.0)
    best = temperature(shares, labels)
    losses = [float(F.cross_entropy(shares.log() / t, labels)) for t in (best, 0.9 * best, 1.1 * best)]
    assert losses[0] == min(losses)


def test_a_model_that_is_too_sure_is_less_so_at_its_temperature() -> None:
    shares, labels = drawn(5_000, 5.0)
    cooler = (shares.log() / temperature(shares, labels)).softmax(1)
    before, after = (calibration(one.max(1).values, one.argmax(1) == labels) for one in (shares, cooler))
    assert before.confidence > before.accuracy + 0.2
    assert after.error < before.error / 5
