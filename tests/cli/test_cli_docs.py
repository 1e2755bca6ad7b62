"""What the page on the command line shows is what the command line prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cnnatomy.cli import main
from cnnatomy.cli.help import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
SHOWN = re.findall(r"```console\n\$ (cnnatomy [^\n]*)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
STEADY = re.compile(
    r"--help$|^cnnatomy (inspect|rf|sizes|window|solve)|^cnnatomy pools \w+$"
    r"|^cnnatomy train dig\w+ --epoch|digist$"
)


def test_every_command_is_shown() -> None:
    assert {line.split()[1] for line, _ in SHOWN} >= set(COMMANDS)


@pytest.mark.parametrize(("line", "shown"), [pair for pair in SHOWN if STEADY.search(pair[0])])
def test_output_is_as_shown(
    line: str, shown: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    main(shlex.split(line)[1:])
    printed = "".join(capfd.readouterr())
    assert squeezed(printed) == squeezed(shown)


def squeezed(text: str) -> str:
    """The lines without what cannot be seen at their ends, and without empty ones around them."""
    return "\n".join(row.rstrip() for row in text.splitlines()).strip("\n")
