"""Batches, their parts and their shares: no norm is left with one value where there are more pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import cnnatomy as ca
from cnnatomy.errors import ArgumentError
from cnnatomy.train.batch_sources import LoaderFeed, cut, parts_of, single_values_explained
from cnnatomy.train.distributed import World

ALONE = World(0, 1, torch.device("cpu"))
ONE_CELL = "conv3-4 globalavg bn FC"


def pictures(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    labels = torch.arange(count) % 2
    return torch.rand(count, 1, 4, 4, generator=generator) * (1 + labels.view(-1, 1, 1, 1)), labels


@given(st.integers(1, 500), st.integers(1, 64), st.integers(1, 4))
def test_no_batch_is_left_with_one_picture_for_a_process(count: int, batch: int, processes: int) -> None:
    batches = cut(count, batch, processes)
    last = count - (batches - 1) * batch
    assert last >= min(count, batch, 2 * processes)
    assert last < batch + 2 * processes or batches == 1


@given(st.integers(1, 300), st.integers(1, 400))
def test_parts_are_the_batch_and_none_is_a_lone_picture(count: int, parts: int) -> None:
    cuts = parts_of(count, parts)
    assert [i for part in cuts for i in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in cuts]
    assert min(sizes) >= min(2, count)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= max(-(-count // parts), 3)
    assert len(cuts) == parts or parts > count // 2


@pytest.mark.parametrize("accumulate", [1, 2, 16, 17, 33, 1000])
def test_a_picture_more_than_whole_batches_is_learnt_with_the_batch_before(
    accumulate: int, tmp_path: Path
) -> None:
    data = (pictures(33), pictures(8))
    options: dict[str, Any] = {"batch_size": 32, "accumulate": accumulate, "augment": "none"}
    run = ca.train(data, ONE_CELL, run=tmp_path / "run", epochs=2, **options)
    assert [epoch.step for epoch in run.history] == [1, 2]
    again = ca.train(data=data, run=run.path, epochs=3, restarts=(2.0,), resume=True)
    assert again.history[-1].step == 3


def test_parts_add_up_to_the_gradient_of_the_whole(tmp_path: Path) -> None:
    weights = []
    for accumulate in (1, 7):
        layer = nn.Linear(16, 2)
        nn.init.constant_(layer.weight, 0.1)
        nn.init.constant_(layer.bias, 0.0)
        options: dict[str, Any] = {"optimizer": "gd", "lr": 0.1, "batch_size": 33, "augment": "none"}
        path = tmp_path / str(accumulate)
        ca.train(
            (pictures(33), pictures(4)),
            nn.Sequential(nn.Flatten(), layer),
            run=path,
            epochs=3,
            accumulate=accumulate,
            **options,
        )
        weights.append(layer.weight.detach())
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("count", "batch", "expected"), [(33, 32, [33]), (65, 16, [16, 16, 16, 17]), (4, 1, 4)]
)
def test_a_loader_that_ends_in_one_picture_gives_it_with_the_batch_before(
    count: int, batch: int, expected: list[int] | int
) -> None:
    images, _ = pictures(count)
    feed = LoaderFeed(DataLoader(TensorDataset(images, torch.arange(count)), batch_size=batch), ALONE)
    sizes = [1] * expected if isinstance(expected, int) else expected
    for epoch in (0, 1):
        given_ = [feed.batch(epoch, number) for number in range(feed.batches)]
        assert [len(one.labels) for one in given_] == sizes
        assert torch.cat([one.labels for one in given_]).tolist() == list(range(count))
    torch.testing.assert_close(feed.batch(2, feed.batches - 1).images, given_[-1].images)


def test_one_picture_at_a_time_is_told_in_a_line_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="a norm of the network has a single value") as caught:
        ca.train((pictures(10), pictures(4)), ONE_CELL, run=tmp_path / "run", epochs=1, batch_size=1)
    assert "batch_size of at least 2" in str(caught.value)
    assert not (tmp_path / "run").exists()
    plain = ca.train(
        (pictures(10), pictures(4)), "conv3-4 globalavg FC", run=tmp_path / "one", epochs=1, batch_size=1
    )
    assert plain.history[-1].step == 10


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(3), nn.BatchNorm2d(3), nn.InstanceNorm2d(3)], ids=str)
def test_what_torch_says_of_single_values_is_translated_and_nothing_else(norm: nn.Module) -> None:
    shape = (1, 3) if isinstance(norm, nn.BatchNorm1d) else (1, 3, 1, 1)
    with (
        pytest.raises(ArgumentError, match="maps of one cell and 1 picture at once"),
        single_values_explained(1),
    ):
        norm(torch.zeros(shape))
    with pytest.raises(ValueError, match="another"), single_values_explained(1):
        raise ValueError("another")
