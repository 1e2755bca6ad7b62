"""`cnnatomy look`: a run to a page."""

from __future__ import annotations

from pathlib import Path

import pytest

import cnnatomy as ca
from cnnatomy.cli import main
from cnnatomy.explain.looks import look_page, page_figures


def test_a_run_is_looked_at(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_figures, "STEPS", 4)
    monkeypatch.setattr(look_page, "PICTURES", 30)
    run = ca.train("digits", "lenet5", epochs=1, run=tmp_path / "run", progress=False).path
    assert main(["look", str(run), "--seed", "2"]) == 0
    assert capfd.readouterr().out == f"page   {run / 'look.html'}\n"
    text = (run / "look.html").read_text("utf-8")
    assert "30 of the 359 test pictures of digits, seed 2" in text
    assert "<h3>c3</h3>" in text
    assert len(text) < 3_000_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is not a run"),
        (["run", "--output", "x.html"], "did you mean --page?"),
        (["run", "--page", "no/such/folder.html"], "cannot write"),
        (["run", "--page", "x.pdf"], "the page: expected a name that ends in .html or .htm, got x.pdf"),
        (["run", "--seed", "-1"], "seed: expected a whole number >= 0, got -1"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["look", *words]) == 2
    told = capfd.readouterr().err
    assert said in told
    assert told.count("\n") == 1
