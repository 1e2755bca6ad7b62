"""`inspect` and `rf` say what the library says, of any network that can be named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from cnnatomy import models
from cnnatomy.anatomy import Anatomy, anatomy
from cnnatomy.cli import main
from cnnatomy.cli.rf_view import drawn
from cnnatomy.train import RunFolder

NET = """
import torch
from torch import nn


class Net(nn.Module):
    input_shape = (3, 20, 31)

    def __init__(self, maps=4):
        super().__init__()
        self.conv = nn.Conv2d(3, maps, 5, stride=2, padding=2)
        self.same = nn.Conv2d(maps, maps, 3, padding=1)

    def forward(self, x):
        return self.same(self.conv(x))


class Pair(nn.Module):
    def forward(self, x, y):
        return x + y
"""
LENET = models.build("lenet5", classes=10)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET, "utf-8")
    return tmp_path


def said(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(line.split()) == 0
    return capsys.readouterr().out


def test_json_is_the_librarys(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = Anatomy.from_json(said("inspect lenet5 --format json", capsys))
    assert known == anatomy(LENET, (1, 32, 32), training=True)


def test_the_lectures_numbers_of_lenet(capsys: pytest.CaptureFixture[str]) -> None:
    out = said("inspect lenet5 --columns path,parameters", capsys)
    for layer, count in {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164}.items():
        assert re.search(rf"^ {layer} +{count:,} *$", out, re.MULTILINE), layer


def test_a_network_in_a_file_with_arguments(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said("inspect net.py:Net(maps=6) --format csv --columns path,output,parameters", capsys)
    assert out.splitlines()[1:] == ["conv,1x6x10x16,456", "same,1x6x10x16,330"]
    halves = "inspect net.py:Pair --input 2x4x4+2x1x1 --dtype float16 --format csv --columns memory"
    assert said(halves, capsys).splitlines()[1:] == ["64"]


def test_several_inputs_are_joined_by_plus(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said("inspect net.py:Pair --input 2x4x4+2x1x1 --format markdown --depth 0", capsys)
    assert out.startswith("**Pair on inputs 0 2×4×4, 1 2×1×1**")


@pytest.mark.parametrize("style", ["table", "markdown", "csv", "json"])
def test_a_file_gets_what_the_terminal_gets(
    style: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = said(f"inspect net.py:Net --format {style}", capsys)
    assert said(f"inspect net.py:Net --format {style} --out out.txt", capsys) == ""
    assert (here / "out.txt").read_text("utf-8").strip() == shown.strip()


def test_choices_reach_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "convolution" in said("inspect net.py:Net --operations", capsys)
    assert "conv" not in said("inspect net.py:Net --depth 0 --columns path", capsys).split("memory")[0]
    rows = said("inspect net.py:Net --sort macs --format csv --columns path", capsys).split()
    assert rows == ["path", "conv", "same"]
    assert "saved for backward" not in said("inspect net.py:Net --no-training", capsys)
    assert "FlopCounterMode" in said("inspect net.py:Net --explain-macs", capsys)


def test_the_page_is_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said("inspect lenet5 --format html --out page.html --effective", capsys) == "page  page.html\n"
    assert '"effective":{"1":' in (here / "page.html").read_text("utf-8")


def test_effective_fields_need_weights(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "net.py:Net", "--format", "html", "--out", "page.html", "--effective"]) == 2
    assert "the model has no weights" in capsys.readouterr().err


def test_rf_tells_the_box_of_a_unit_as_a_real_run_shows_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = anatomy("net.py:Net", (3, 20, 31))
    assert known.complete
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 5, stride=2, padding=2), torch.nn.Conv2d(4, 4, 3, padding=1)
    ).double()
    for parameter in net.parameters():
        parameter.data.fill_(1.0)
    x = torch.zeros(1, 3, 20, 31, dtype=torch.float64, requires_grad=True)
    for y, column in [(0, 0), (4, 7), (9, 15)]:
        (gradient,) = torch.autograd.grad(net(x)[0, 0, y, column], x)
        rows, columns = (gradient[0, 0].abs().sum(1 - dim).nonzero().flatten() for dim in (0, 1))
        out = said(f"rf net.py:Net same --at {y},{column}", capsys)
        for axis, seen in (("y", rows), ("x", columns)):
            assert re.search(rf"^ {axis} +{seen[0]}\.\.{seen[-1]} +{len(seen)} ", out, re.MULTILINE), out
            assert re.search(rf"^ {axis} .* 9 +2 +-4 +0 *$", out, re.MULTILINE), out


def test_rf_says_what_the_border_cuts_off(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said("rf net.py:Net same --at 0,15", capsys)
    assert re.search(r"^ y +0\.\.4 +5 +-4\.\.4 +4 \+ 0 ", out, re.MULTILINE)
    assert re.search(r"^ x +26\.\.30 +5 +26\.\.34 +0 \+ 4 ", out, re.MULTILINE)


def test_rf_takes_the_middle_unit_and_layers_without_a_map(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unit 4,4 of c3, channel 0, exact" in said("rf lenet5 c3", capsys)
    assert re.search(r"\n of f6|\nof f6, channel 3", said("rf lenet5 f6 --channel 3", capsys))


@pytest.mark.parametrize(("height", "width"), [(3, 5), (32, 32), (224, 224), (1000, 40), (7, 900)])
def test_the_drawing_fits_and_shows_the_box_in_proportion(height: int, width: int) -> None:
    y, x = range(height // 3, height // 3 + max(1, height // 4)), range(0, max(1, width // 2))
    lines = drawn((height, width), y, x).plain.splitlines()
    assert len(lines) <= 22
    assert max(map(len, lines)) <= 58
    marked = [line.count("█") for line in lines if "█" in line]
    assert len(marked) == pytest.approx((len(lines) - 2) / 4, abs=1.5)
    assert max(marked) == pytest.approx((len(lines[0]) - 2) / 2, abs=1.5)


def test_rf_tells_channels_that_differ_apart(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "branches.py").write_text(
        "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.one, self.five = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 5, padding=2)\n\n"
        "    def forward(self, x):\n        return torch.cat([self.one(x), self.five(x)], 1)\n",
        "utf-8",
    )
    for channel, cells in [(0, "6..6 +1"), (2, "4..8 +5")]:
        words = f"--input 1x12x12 --at 6,6 --channel {channel}".split()
        assert main(["rf", "branches.py:Net", "", *words]) == 0  # the model itself has an empty path
        out = capsys.readouterr().out
        assert re.search(rf"^ y +{cells} +– +– +5 +1 +-2 ", out, re.MULTILINE), out
        assert "channels differ" in out


def test_rf_of_a_unit_that_sees_all_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "whole.py").write_text(
        "from torch import nn\n\n\ndef net():\n"
        "    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(2, 4, 1))\n",
        "utf-8",
    )
    out = said("rf whole.py:net 2 --input 1x12x9", capsys)
    assert out.splitlines()[-1] == "sees the whole input, 1×1×12×9, as every unit here does"
    assert "█" not in out
    assert "cells" not in out


def test_the_folder_of_a_run_stands_for_its_network(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        "train",
        "digits",
        "--model",
        "conv3-2 s2 relu FC-10",
        "--epochs",
        "1",
        "--threads",
        "1",
        "--quiet",
    ]
    assert main([*given, "--run", "kept"]) == 0
    shown = said("inspect kept --no-training --format csv --columns path,output,parameters", capsys)
    run = RunFolder(here / "kept")
    model = run.load_model()[0]
    known = anatomy(model, model.input_shape)
    assert shown.split() == known.to_csv(columns=["path", "output", "parameters"]).split()
    assert said("diff kept kept", capsys)
    assert "features.0" in said("rf kept features.0", capsys)
    assert main(["inspect", "kept", "--classes", "3"]) == 2
    assert main(["inspect", "."]) == 2
    assert "is not a run" in capsys.readouterr().err
