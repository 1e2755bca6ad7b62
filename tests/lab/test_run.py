"""The run view: maps and numbers of a trained network's layers on a picture are the network's own."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import cnnatomy as ca
from cnnatomy.explain import Explanation, explaining
from cnnatomy.lab import answering, run_view


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LeNet-5 after one short epoch on the digits that come along."""
    folder = tmp_path_factory.mktemp("run") / "digits"
    ca.train("digits", run=folder, epochs=1, train_fraction=0.1, threads=1)
    return folder


@pytest.fixture(autouse=True)
def loaded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_view, "_loaded", [run_view.NONE])
    run_view.load(run)


def refused(query: dict[str, str]) -> str:
    page = answering.answer("run", query).body.decode()
    found = re.search(r'<pre class="refused">(.*?)</pre>', page, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def test_every_layer_is_shown_checked_and_saved() -> None:
    for layer in run_view.trained().layers:
        assert refused({"layer": layer}) == ""
        assert json.loads(answering.answer("run/check", {"layer": layer}).body)["error"] == ""
    kept = answering.answer("run/save.html", {"layer": "s2"}).body.decode()
    assert len(kept) < 2_000_000
    assert "http" not in re.sub(r"http-equiv|http://www.w3.org/2000/svg", "", kept)
    assert "<a " not in kept


def test_the_unit_is_the_networks_own() -> None:
    query = {"layer": "c3", "channel": "2", "at": "1,3"}
    _, seen, made = run_view.drafted(query, b"")
    y = made.record["tensors"]["y"]
    assert (made.record["at"], y["shape"]) == ([1, 3], [10, 10])
    torch.testing.assert_close(
        torch.tensor(y["values"]).view(10, 10), seen.maps["c3"][2], rtol=1e-4, atol=1e-5
    )
    page = answering.answer("run", query).body.decode()
    assert html.escape(Explanation(made.record).line((1, 3)), quote=False) in page
    assert 'href="/run?layer=c3&amp;channel=15"' in page


def test_what_cannot_be_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "layer" in refused({"layer": "evil"})
    assert "map" in refused({"layer": "c3", "channel": "16"})
    assert "choose it again" in refused({"picture": "abc"})
    assert refused({"layer": "c3", "at": "99,99", "cell": "x"}) == ""
    run_view.load(tmp_path)
    assert str(tmp_path) in refused({})
    monkeypatch.setattr(run_view, "_loaded", [run_view.NONE])
    assert "cnnatomy lab runs/digits-1" in refused({})


def test_a_lie_is_shown_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = getattr(explaining, "recorded")  # noqa: B009

    def false(*args: Any) -> dict[str, Any]:
        record: dict[str, Any] = honest(*args)
        record["taps"]["partial"][0] += 1
        return record

    monkeypatch.setattr(explaining, "recorded", false)
    for layer in ("c1", "s2", "c3", "f6", "head"):
        assert "disagrees" in json.loads(answering.answer("run/check", {"layer": layer}).body)["error"]
