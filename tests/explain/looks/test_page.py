"""The page of a look: whole, small, by itself, and the same for the same seed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnatomy.errors import ArgumentError
from cnnatomy.explain.looks import look


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of six small pictures each."""
    home = tmp_path_factory.mktemp("pictures")
    drawn = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (home / name).mkdir()
        for i in range(6):
            levels = drawn.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(levels).save(home / name / f"{i}.png")
    return home


def net(classes: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, classes),
    )


def test_a_network_and_a_folder_make_a_page(folder: Path, tmp_path: Path) -> None:
    model = net(2).train()
    page = look(model, folder, page=tmp_path / "look.html", input_size=(3, 12, 12), seed=3)
    text = page.read_text("utf-8")
    assert model.training
    assert "2 of the 2 test pictures" in text
    assert "seed 3" in text
    for said in ("First filters", "4 kernels of 3×3 over 3 channels", "occlusion", "Grad-CAM", "brightness"):
        assert said in text
    assert not re.findall(r"(?:src|href)=\"(?!data:image/png|#p\d+\"|\")", text)
    assert text.count('class="patch"') == 4 * 2  # two test pictures, four channels
    again = look(model, folder, page=tmp_path / "again.html", input_size=(3, 12, 12), seed=3)
    assert again.read_bytes() == page.read_bytes()


def test_other_classes_leave_the_curves_out(folder: Path, tmp_path: Path) -> None:
    mine = folder / "cat" / "0.png"
    page = look(net(5), folder, picture=mine, page=tmp_path / "look.html", input_size=(3, 12, 12))
    text = page.read_text("utf-8")
    assert "Not measured" in text
    assert "<b>0.png</b>" in text


def test_what_is_missing_is_said(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="a network alone has no pictures"):
        look(net(2))
    with pytest.raises(ArgumentError, match="input"):
        look(net(2), folder)
