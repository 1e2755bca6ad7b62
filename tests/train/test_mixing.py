from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.utils.class_weight import compute_sample_weight
from torch import Tensor
from torch.nn import functional as F

from cnnatomy.errors import ArgumentError
from cnnatomy.train.mixing import balanced_permutation, class_weights, mix, targets


@given(st.integers(1, 9), st.integers(1, 7), st.floats(0, 1))
def test_cross_entropy_with_targets_is_torchs_with_label_smoothing(
    n: int, classes: int, share: float
) -> None:
    scores = torch.randn(n, classes, dtype=torch.float64)
    labels = torch.randint(0, classes, (n,))
    ours = F.cross_entropy(scores, targets(labels, classes, share).double())
    torch.testing.assert_close(
        ours, F.cross_entropy(scores, labels, label_smoothing=share), atol=1e-6, rtol=1e-6
    )


def batch(n: int = 16, side: int = 12) -> tuple[Tensor, Tensor]:
    """Pictures each of one level, the picture's number, so that a mixture tells its parts."""
    images = (
        torch.arange(n, dtype=torch.float32).reshape(n, 1, 1, 1).expand(n, 3, side, side + 4).contiguous()
    )
    return images, targets(torch.arange(n), n)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(0.2, 0.0), (0.0, 1.0), (0.3, 0.7), (5.0, 0.0)]))
def test_pictures_and_targets_are_mixed_in_the_same_proportion(step: int, on: tuple[float, float]) -> None:
    images, labels = batch()
    before = images.clone()
    mixed, soft = mix(images, labels, mixup=on[0], cutmix=on[1], seed=3, step=step)
    assert torch.equal(images, before)
    torch.testing.assert_close(soft.sum(1), torch.ones(16))
    assert (soft > 0).sum(1).max() <= 2, "each with one other"
    assert len((soft.sum(0) - 1).abs().gt(1e-5).nonzero()) == 0, "every picture is the other of one"
    levels = torch.arange(16, dtype=torch.float32)
    torch.testing.assert_close(mixed.mean((1, 2, 3)), soft @ levels, atol=1e-4, rtol=1e-4)


def test_cutmix_pastes_a_rectangle_and_mixup_blends() -> None:
    images, labels = batch()
    pasted = [mix(images, labels, cutmix=1.0, seed=0, step=step)[0] for step in range(20)]
    for mixed in pasted:
        foreign = (mixed != images).any(1)
        for one in foreign[foreign.flatten(1).any(1)]:
            rows, columns = one.any(1), one.any(0)
            assert torch.equal(one, rows[:, None] & columns)
            for line in (rows, columns):
                assert line.nonzero().diff(dim=0).le(1).all(), "in one piece"
    assert all(mixed.frac().eq(0).all() for mixed in pasted)
    blended = mix(images, labels, mixup=1.0, seed=0, step=0)[0]
    assert torch.equal(blended, blended[:, :1, :1, :1].expand_as(blended))


def test_proportions_are_beta_distributed_and_both_kinds_come_as_often() -> None:
    images, labels = torch.zeros(2, 1, 100, 100), torch.eye(2)
    images[1] = 1
    keeps, kinds = [], []
    for step in range(1500):
        mixed, soft = mix(images, labels, mixup=0.4, seed=7, step=step)
        if not torch.equal(soft, labels):
            keeps.append(soft[0, 0].item())
        mixed, _ = mix(images, labels, mixup=0.4, cutmix=1.0, seed=7, step=step)
        if not torch.equal(mixed, images):
            kinds.append(mixed.frac().eq(0).all().item())
    assert stats.kstest(keeps, stats.beta(0.4, 0.4).cdf).pvalue > 1e-3
    assert 0.4 < sum(kinds) / len(kinds) < 0.6


def test_a_mixture_is_a_function_of_seed_step_and_rank() -> None:
    images, labels = batch()
    state = torch.get_rng_state()
    drawn = {
        key: mix(images, labels, mixup=1.0, seed=key[0], step=key[1], rank=key[2])[1].flatten().tolist()
        for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    }
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(99)
    assert mix(images, labels, mixup=1.0, seed=0, step=0)[1].flatten().tolist() == drawn[0, 0, 0]
    assert len(set(map(tuple, drawn.values()))) == 4


def test_layouts_and_lone_pictures_stay() -> None:
    images, labels = batch()
    images = images.contiguous(memory_format=torch.channels_last)
    for on in ({"mixup": 1.0}, {"cutmix": 1.0}, {}):
        mixed, _ = mix(images, labels, seed=0, step=1, **on)  # type: ignore[arg-type]
        assert mixed.is_contiguous(memory_format=torch.channels_last)
        alone, own = mix(images[:1], labels[:1], seed=0, step=1, **on)  # type: ignore[arg-type]
        assert torch.equal(alone, images[:1])
        torch.testing.assert_close(own, labels[:1])


def test_what_cannot_be_mixed_is_told() -> None:
    images, labels = batch()
    with pytest.raises(ArgumentError, match="mixup: expected a number >= 0, got -1"):
        mix(images, labels, mixup=-1.0, seed=0, step=0)
    with pytest.raises(ArgumentError, match="what to mix: expected float pictures, and a row"):
        mix(images, torch.arange(16), mixup=1.0, seed=0, step=0)
    with pytest.raises(ArgumentError, match="what to mix"):
        mix(images[:3], labels, mixup=1.0, seed=0, step=0)
    with pytest.raises(ArgumentError, match="smoothing"):
        targets(torch.tensor([0]), 2, 1.5)


LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(torch.tensor)


@given(LABELS)
def test_class_weights_are_scikit_learns_balanced_ones(labels: Tensor) -> None:
    weights = class_weights(labels.bincount(minlength=7))
    expected = torch.tensor(compute_sample_weight("balanced", labels.numpy()), dtype=weights.dtype)
    torch.testing.assert_close(weights[labels], expected)
    torch.testing.assert_close(weights[labels].mean(), torch.tensor(1.0))
    assert weights[6] == 0


@settings(deadline=None)
@given(LABELS, st.integers(0, 50), st.integers(0, 2**40))
def test_every_class_comes_equally_often(labels: Tensor, epoch: int, seed: int) -> None:
    drawn = balanced_permutation(seed, epoch, labels)
    assert len(drawn) == len(labels)
    counts = labels[drawn].bincount(minlength=6)[torch.unique(labels)]
    assert counts.max() - counts.min() <= 1
    assert torch.equal(drawn, balanced_permutation(seed, epoch, labels))


@settings(deadline=None)
@given(LABELS, st.integers(1, 12), st.integers(0, 2**40))
def test_over_epochs_no_picture_comes_again_before_all_of_its_class(
    labels: Tensor, epochs: int, seed: int
) -> None:
    drawn = torch.cat([balanced_permutation(seed, epoch, labels) for epoch in range(epochs)])
    times = drawn.bincount(minlength=len(labels))
    for label in torch.unique(labels):
        own = times[labels == label]
        assert own.max() - own.min() <= 1
    totals = torch.zeros(6).index_add(0, labels, times.float())[torch.unique(labels)]
    assert totals.max() - totals.min() <= 1, "remainders do not add up for some classes"


def test_balanced_orders_differ_by_epoch_and_seed() -> None:
    labels = torch.tensor([0] * 30 + [1] * 10)
    orders = {tuple(balanced_permutation(s, e, labels).tolist()) for s in range(3) for e in range(3)}
    assert len(orders) == 9
