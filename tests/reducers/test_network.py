"""Sorting networks, by the 0-1 principle: what sorts all zeros and ones sorts everything (Knuth, 5.3.4)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest

from cnnatomy.reducers.shared.sorting_network import Network, merging, selecting, sorting

Bits = npt.NDArray[np.bool_]


def zeros_and_ones(n: int) -> list[Bits]:
    """Every input of n zeros and ones, one array for each wire."""
    numbers = np.arange(2**n)
    return [(numbers >> wire) & 1 > 0 for wire in range(n)]


def outputs(network: Network, inputs: Iterable[Bits]) -> list[Bits]:
    return list(network.run(list(inputs), np.logical_and, np.logical_or))


def ranks(inputs: list[Bits]) -> list[Bits]:
    """The inputs in order: as many ones at the end as there are ones."""
    ones = np.sum(inputs, axis=0)
    return [ones >= len(inputs) - rank for rank in range(len(inputs))]


@pytest.mark.parametrize("n", range(1, 17))
def test_networks_sort(n: int) -> None:
    inputs = zeros_and_ones(n)
    np.testing.assert_array_equal(outputs(sorting(n), inputs), ranks(inputs))


@pytest.mark.parametrize("n", range(1, 15))
def test_networks_select(n: int) -> None:
    inputs = zeros_and_ones(n)
    for rank, truth in enumerate(ranks(inputs)):
        (found,) = outputs(selecting(n, (rank,)), inputs)
        np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("n", [17, 25, 32, 49, 64])
def test_large_networks_sort_and_select(n: int) -> None:
    values = np.random.default_rng(n).integers(0, 2 * n, (n, 4000))
    truth = np.sort(values, axis=0)
    np.testing.assert_array_equal(sorting(n).run(list(values), np.minimum, np.maximum), truth)
    for rank in {0, 1, n // 3, (n - 1) // 2, n - 2, n - 1}:
        (found,) = selecting(n, (rank,)).run(list(values), np.minimum, np.maximum)
        np.testing.assert_array_equal(found, truth[rank])


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 4), (2, 2), (3, 3), (3, 5), (5, 5), (8, 8), (16, 16)])
def test_networks_merge(m: int, n: int) -> None:
    inputs = [
        np.array([[wire >= m - ones for wire in range(m)] + [wire >= n - others for wire in range(n)]])
        for ones in range(m + 1)
        for others in range(n + 1)
    ]
    wires = list(np.concatenate(inputs).T)
    np.testing.assert_array_equal(outputs(merging(m, n), wires), ranks(wires))


@pytest.mark.parametrize("n", [2, 5, 9, 12])
@pytest.mark.parametrize("summed", [False, True])
def test_pruned_networks_keep_what_is_wanted(n: int, summed: bool) -> None:
    inputs = zeros_and_ones(n)
    truth = ranks(inputs)
    generator = np.random.default_rng(n)
    for _ in range(20):
        wanted = tuple(sorted(generator.choice(n, generator.integers(1, n + 1), replace=False).tolist()))
        for network in (sorting(n).pruned(wanted, summed), selecting(n, wanted, summed)):
            found, expected = outputs(network, inputs), [truth[rank] for rank in wanted]
            if summed:
                found, expected = [np.sum(found, axis=0)], [np.sum(expected, axis=0)]
            np.testing.assert_array_equal(found, expected)
            assert network.cost <= sorting(n).cost


def test_an_unwanted_result_is_not_computed() -> None:
    """Breaking any minimum or maximum that is left shows in a result, so none is left in vain."""
    inputs = zeros_and_ones(9)
    network = selecting(9, (4,))
    (truth,) = outputs(network, inputs)
    for place, exchange in enumerate(network.exchanges):
        for part in ("least", "most"):
            if getattr(exchange, part):
                broken = list(network.exchanges)
                broken[place] = exchange._replace(**{part: False})
                (found,) = outputs(Network(tuple(broken), network.outputs), inputs)
                assert not np.array_equal(found, truth)


@pytest.mark.parametrize(
    ("n", "rank", "most"), [(3, 1, 4), (5, 2, 12), (9, 4, 30), (9, 7, 22), (25, 12, 202)]
)
def test_networks_are_short(n: int, rank: int, most: int) -> None:
    assert selecting(n, (rank,)).cost <= most


def test_the_median_of_nine_takes_nineteen_exchanges() -> None:
    assert len(selecting(9, (4,)).exchanges) == 19
