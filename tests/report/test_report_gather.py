"""A run's page says what the run's folder says."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from training import fit

from cnnatomy.data import load
from cnnatomy.errors import CheckpointError
from cnnatomy.report import render, write
from cnnatomy.report.pixels import png
from cnnatomy.report.run_page import MISTAKES, curves, gather, summary
from cnnatomy.train import Epoch, Evaluation, RunFolder, Settings

CONFIG = Settings.of(epochs=2, augment="none", validation=0.1, watch_test=True, seed=3)
ROW = Epoch(1, 40, 0.001, 1.25, 0.75, None, None, 1.5, 0.625, 4000.0, 3.0)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Evaluation]:
    run = tmp_path_factory.mktemp("gather") / "run"
    return RunFolder(run), fit(CONFIG, run)


def test_the_page_holds_the_run(ended: tuple[RunFolder, Evaluation]) -> None:
    run, evaluation = ended
    page = gather(run, evaluation)
    history = run.log()
    assert page.title == "lenet5 on digits"
    assert [curve.name for curve in page.accuracies] == ["train", "validation", "test"]
    assert list(page.losses[2].values) == [epoch.test_loss for epoch in history]
    assert page.facts["Training"]["seed"] == "3"
    assert page.facts["Data"]["judged"] == "the 359 test pictures of digits"
    assert page.anatomy is not None
    assert page.anatomy.parameters == 60_000
    assert write(run.path, evaluation) == run.path / "report.html"
    text = (run.path / "report.html").read_text("utf-8")
    assert len(text) == len(render(page))
    assert str(run.path) not in text


def test_the_pictures_are_those_that_were_mistaken(ended: tuple[RunFolder, Evaluation]) -> None:
    run, evaluation = ended
    test = load("digits", size=(32, 32), channels=1).test
    shown = gather(run, evaluation).mistakes
    assert len(shown) == min(MISTAKES, len(evaluation.mistakes)) > 0
    for mistake, content in shown:
        pixels = torch.tensor(list(Image.open(io.BytesIO(content)).tobytes()), dtype=torch.uint8)
        assert torch.equal(pixels, test.images[mistake.index].flatten())
        assert test.classes[test.labels[mistake.index]] == mistake.label


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_survives_png(channels: int) -> None:
    picture = torch.randint(0, 256, (channels, 5, 7), dtype=torch.uint8)
    opened = Image.open(io.BytesIO(png(picture)))
    assert opened.size == (7, 5)
    pixels = torch.tensor(list(opened.tobytes()), dtype=torch.uint8).view(5, 7, channels)
    assert torch.equal(pixels.permute(2, 0, 1), picture)


def test_the_summary_names_the_epoch_that_was_judged() -> None:
    history = [ROW, replace(ROW, epoch=2, seconds=75.0)]
    assert summary(history, 2) == "2 epochs in 1 min 15 s"
    assert summary(history, 1).endswith("; the weights of epoch 1, the best on the validation pictures")
    assert summary(history[:1], 1) == "1 epoch in 3.0 s"
    assert [curve.name for curve in curves(history)[1]] == ["train", "test"]


def test_a_run_without_weights_has_no_page(ended: tuple[RunFolder, Evaluation], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes((ended[0].path / "run.toml").read_bytes())
    with pytest.raises(CheckpointError, match="no weights"):
        write(tmp_path, ended[1])
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]


def test_a_run_whose_log_is_empty_has_no_page(ended: tuple[RunFolder, Evaluation], tmp_path: Path) -> None:
    for path in ended[0].path.iterdir():
        if path.is_file() and path.name != "log.csv":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "log.csv").write_text("")
    page = tmp_path / "page.html"
    with pytest.raises(CheckpointError, match=r"log\.csv tells of no epoch"):
        write(tmp_path, ended[1], path=page)
    assert not page.exists()
