"""The recipes keep what the documentation promises, with room for the spread between machines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from training import fit

from cnnatomy.train import Settings, preset


@pytest.mark.slow
def test_digits_as_they_come(tmp_path: Path) -> None:
    assert fit(Settings.of(), tmp_path).accuracy >= 0.98


@pytest.mark.slow
@pytest.mark.skipif("CNNATOMY_DATA" not in os.environ, reason="CNNATOMY_DATA names no folder with MNIST")
def test_mnist_in_three_passes(tmp_path: Path) -> None:
    assert fit(preset("short").changed(data="mnist"), tmp_path).error <= 0.018
