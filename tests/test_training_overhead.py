"""The hand-written loop that training is held against does the same work."""

from __future__ import annotations

import copy
import functools

import pytest
import torch

from benchmarks.hand import Change, Loop, distort, flip_shift
from benchmarks.training_overhead import BATCH, EARLY, EPOCHS, LR, trained
from cnnatomy.models import build
from cnnatomy.models.classifier import Classifier


def network(model: str, output: str) -> Classifier:
    """In float64: the length of AdamW's first steps is one for any gradient, were it only rounding."""
    torch.manual_seed(0)
    made = build(model, classes=list("0123456789"), output=output, input_size=(1, 32, 32)).double()
    made.preprocess = functools.partial(prepared, made.preprocess)  # type: ignore[method-assign]
    return made


def prepared(preprocess: Change, images: torch.Tensor) -> torch.Tensor:
    return preprocess(images).double()


def scores(model: Classifier, images: torch.Tensor) -> torch.Tensor:
    """In training mode: biases ahead of a norm, whose gradients are rounding alone, then have no effect."""
    with torch.no_grad():
        found: torch.Tensor = copy.deepcopy(model).train()(model.preprocess(images))
    return found


@pytest.mark.costly(1)
@pytest.mark.parametrize(("model", "output"), [("lenet5", "rbf"), (EARLY, "softmax")])
def test_both_make_the_same_steps(model: str, output: str) -> None:
    """A batch of all pictures, unchanged: the order is then of no account, but for rounding."""
    chance = torch.Generator().manual_seed(1)
    images = torch.randint(256, (BATCH, 1, 32, 32), dtype=torch.uint8, generator=chance)
    labels = torch.randint(10, (BATCH,), generator=chance)
    ours = trained(network(model, output), images, labels, "none")
    hand = Loop(network(model, output), images, labels, lambda batch: batch, BATCH, LR, EPOCHS)
    before = scores(ours.model, images)
    for _ in range(4):
        ours.advance()
        hand.step()
    mine, theirs = scores(ours.model, images), scores(hand.model, images)
    assert (mine - before).norm() > 0.1 * before.norm()
    assert (mine - theirs).norm() < 1e-4 * (mine - before).norm()


def test_a_mirrored_and_shifted_picture_has_its_own_cells() -> None:
    torch.manual_seed(0)
    images = torch.arange(20 * 30.0).view(1, 1, 20, 30).expand(200, 2, -1, -1)
    changed = flip_shift(images)
    steps = changed[..., 5:-5, 6:-6].diff(dim=-1)
    assert {1.0, -1.0} == set(steps.flatten().tolist())
    assert 60 < (steps[:, 0, 0, 0] < 0).sum() < 140
    assert changed.shape == images.shape
    assert len({tuple(one[0, 10, :3].tolist()) for one in changed}) > 20


def test_distortions_stay_within_their_bounds() -> None:
    """A square in the middle moves by at most 6% of a side (then scaled and sheared), and keeps its size."""
    torch.manual_seed(0)
    images = torch.zeros(300, 1, 32, 32)
    images[..., 12:20, 12:20] = 255
    changed = distort(images) / 255
    mass = changed.sum((1, 2, 3))
    centre = (changed.sum((1, 2)) * torch.arange(32.0)).sum(1) / mass
    assert mass.min() > 64 * 0.78
    assert mass.max() < 64 * 1.25
    assert (centre - 15.5).abs().max() < 0.06 * 32 * 1.1 * 1.15
    assert (centre - 15.5).abs().max() > 0.06 * 32
    assert (changed - images / 255).abs().flatten(1).max(1).values.min() > 0.01
