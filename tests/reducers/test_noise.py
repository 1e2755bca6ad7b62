"""The noise: uniform, and unrelated between neighbouring outputs, planes and seeds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
import torch

from cnnatomy.reducers.shared.noise import BITS, mix, noise, uniform

MASK = 2**32 - 1


class Number(int):
    """A 32-bit word in Python's own integers."""

    def __mul__(self, other: int) -> Number:
        return Number(int(self) * int(other) & MASK)

    def __xor__(self, other: int) -> Number:
        return Number(int(self) ^ int(other))

    def shifted(self, bits: int) -> Number:
        return Number(int(self) >> bits)


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 + 5, 2**63 + 12345, -1])
def test_tensors_and_integers_agree(seed: int) -> None:
    drawn = noise(seed, (2, 3, 4, 5))
    halves = (Number(seed & MASK), Number(seed >> 32 & MASK))
    for n, c, y, x in itertools.product(range(2), range(3), range(4), range(5)):
        word = uniform(halves, Number(3 * n + c), Number(5 * y + x))
        assert float(drawn[n, c, y, x]) == int(word) / 2**BITS


def test_mixing_loses_nothing_and_spreads_every_bit() -> None:
    generator = np.random.default_rng(0)
    words = [Number(int(word)) for word in generator.integers(0, 2**32, 1000)]
    mixed = np.array([mix(word) for word in words], dtype=np.uint64)
    for bit in range(32):
        other = np.array([mix(word ^ (1 << bit)) for word in words], dtype=np.uint64)
        flips = ((mixed ^ other)[:, None] >> np.arange(32, dtype=np.uint64)) & np.uint64(1)
        assert np.all(np.abs(flips.mean(0) - 0.5) < 0.1)  # six standard deviations


@pytest.mark.parametrize("shape", [(1, 1, 400, 500), (200, 1000, 1), (20, 10, 1000)])
@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_draws_are_uniform(shape: tuple[int, ...], seed: int) -> None:
    drawn = noise(seed, shape).flatten().double().numpy()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts, _ = np.histogram(drawn, 256, (0, 1))
    assert scipy.stats.chisquare(counts).pvalue > 1e-4
    low = (drawn * 2**BITS).astype(np.int64) & 255  # the last bits as well as the first
    assert scipy.stats.chisquare(np.bincount(low, minlength=256)).pvalue > 1e-4


def test_neighbours_are_unrelated() -> None:
    drawn = torch.stack([noise(seed, (30, 10, 25, 40)) for seed in range(8)]).double() - 0.5
    spread = drawn.var()
    for axis in range(drawn.dim()):
        for step in (1, 2, 3):
            one = drawn.narrow(axis, 0, drawn.shape[axis] - step)
            other = drawn.narrow(axis, step, drawn.shape[axis] - step)
            correlation = (one * other).mean() / spread
            assert abs(float(correlation)) < 5 / one.numel() ** 0.5


def test_pairs_fill_the_square() -> None:
    """Neighbouring positions, planes and seeds, as points: no lattice, no stripes."""
    drawn = torch.stack([noise(seed, (100, 10, 200)) for seed in (6, 7)])
    pairs = {
        "position": (drawn[..., :-1], drawn[..., 1:]),
        "channel": (drawn[:, :, :-1], drawn[:, :, 1:]),
        "seed": (drawn[0], drawn[1]),
    }
    for one, other in pairs.values():
        counts, *_ = np.histogram2d(one.flatten().numpy(), other.flatten().numpy(), 16, [[0, 1], [0, 1]])
        assert scipy.stats.chisquare(counts.flatten()).pvalue > 1e-4


def test_halves_of_a_seed_count_apart() -> None:
    seeds = [0, 1, 2**32, 2**32 + 1, 2**33]
    draws = [noise(seed, (2, 2, 100)) for seed in seeds]
    for one, other in itertools.combinations(draws, 2):
        assert float((one == other).double().mean()) < 0.01
