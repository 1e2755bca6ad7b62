from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.train.picture_order import derive, permutation, share


@given(st.integers(0, 2**64), st.integers(0, 100), st.integers(1, 300))
def test_an_epoch_visits_every_picture_once(seed: int, epoch: int, pictures: int) -> None:
    assert permutation(seed, epoch, pictures).sort().values.tolist() == list(range(pictures))


def test_epochs_and_seeds_differ_and_repeat() -> None:
    orders = {
        (seed, epoch): tuple(permutation(seed, epoch, 50).tolist()) for seed in range(3) for epoch in range(3)
    }
    assert len(set(orders.values())) == 9
    torch.manual_seed(123)
    assert tuple(permutation(1, 2, 50).tolist()) == orders[1, 2]


def test_drawing_an_order_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    permutation(0, 0, 10)
    assert torch.equal(torch.get_rng_state(), before)


@given(st.integers(1, 40), st.integers(1, 8))
def test_shares_cover_the_batch_and_their_weighted_means_average_to_its_mean(count: int, world: int) -> None:
    batch = torch.arange(count)
    values = torch.rand(count, dtype=torch.float64)
    shares = [share(batch, rank, world) for rank in range(world)]
    assert sorted(i for mine, weight in shares if weight for i in mine.tolist()) == batch.tolist()
    assert all(len(mine) for mine, _ in shares)
    mean = sum(values[mine].mean().item() * weight for mine, weight in shares) / world
    assert mean == pytest.approx(values.mean().item())


def test_derived_seeds_fit_a_generator_and_differ_by_purpose() -> None:
    seeds = {derive(seed, use, n) for seed in range(5) for use in ("order", "step") for n in range(5)}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**63 for seed in seeds)
