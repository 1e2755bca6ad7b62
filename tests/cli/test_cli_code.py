"""What the help of a command says is code, is; and what it says is data, runs nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from cnnatomy.cli.argument_parsing import CODE
from cnnatomy.cli.help import COMMANDS
from cnnatomy.cli.main import main

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_that_takes_a_network_says_what_is_code(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    takes_one = bool(re.search(r"--model\b|\bMODEL\b", said))
    assert takes_one == all(f"  {what} " in said and meaning in said for what, meaning in CODE.items())


def test_the_page_that_help_names_is_there_and_linked() -> None:
    page = (DOCS / "safety.md").read_text("utf-8")
    assert all(what in page and meaning in page for what, meaning in CODE.items())
    assert "docs/safety.md" in (DOCS.parent / "README.md").read_text("utf-8")
    linking = {one.stem for one in DOCS.glob("*.md") if "(safety.md" in one.read_text("utf-8")}
    assert linking >= {"anatomy", "cli", "export", "networks", "weights"}


NET = """
import pathlib, torch
pathlib.Path("ran").mkdir()
class Net(torch.nn.Conv2d):
    def __init__(self):
        super().__init__(1, 2, 3)
"""


def test_code_is_run_and_data_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NET)
    torch.save({"weight": torch.ones(2)}, "net.pt")
    for text in ("net.py", "net.pt", "net", "conv3-2 FC-2"):
        main(["inspect", text, "--input", "1x8x8"])
        assert not Path("ran").exists(), text
    capsys.readouterr()
    assert main(["inspect", "net.py:Net", "--input", "1x8x8"]) == 0
    assert Path("ran").exists()
