"""The real sets, where CNNATOMY_DATA says that they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cnnatomy.data import load

DATA = Path(os.environ.get("CNNATOMY_DATA", "/nowhere"))


def has(*names: str) -> bool:
    return any((DATA / name).exists() for name in names)


@pytest.mark.skipif(not has("mnist"), reason="needs CNNATOMY_DATA with mnist")
def test_mnist() -> None:
    data = load("mnist", size=(32, 32), channels=1, data_dir=DATA)
    assert tuple(data.train.images.shape) == (60_000, 1, 32, 32)
    assert tuple(data.test.images.shape) == (10_000, 1, 32, 32)
    # LeCun et al. 1998 do not print the counts by class; these are those of the published label files.
    assert torch.bincount(data.train.labels).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    assert torch.bincount(data.test.labels).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    assert data.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    border = data.train.images.clone()
    border[:, :, 2:30, 2:30] = 0
    assert not border.any()
    # The well-known mean and standard deviation of the 28x28 training pixels.
    inside = data.train.images[:, :, 2:30, 2:30].double() / 255
    assert inside.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert inside.std().item() == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.slow
@pytest.mark.skipif(not has("cifar10-jpeg.tar.xz", "cifar10"), reason="needs CNNATOMY_DATA with cifar10")
def test_cifar10() -> None:
    for _ in range(2):  # decoded, then from the cache
        data = load("cifar10", size=(32, 32), channels=3, data_dir=DATA)
        assert tuple(data.train.images.shape) == (50_000, 3, 32, 32)
        assert torch.bincount(data.train.labels).tolist() == [5000] * 10
        assert torch.bincount(data.test.labels).tolist() == [1000] * 10
        # The well-known means and standard deviations of the training pixels; copies keep them nearly.
        pixels = data.train.images.double() / 255
        means, stds = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
        torch.testing.assert_close(means, torch.tensor([0.4914, 0.4822, 0.4465]).double(), atol=3e-3, rtol=0)
        torch.testing.assert_close(stds, torch.tensor([0.2470, 0.2435, 0.2616]).double(), atol=6e-3, rtol=0)
