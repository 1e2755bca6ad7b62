"""The network view: what it shows of a unit is what the anatomy says, and notation runs no code."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest

import cnnatomy as ca
from cnnatomy.lab import answering, network_view

LENET = {"net": "lenet5", "input": "", "layer": "c3", "unit": "0,9"}


def record_of(query: dict[str, str]) -> dict[str, Any]:
    return network_view.record_of(network_view.form_of(query))


def test_a_unit_sees_what_the_anatomy_says() -> None:
    record = record_of(LENET)
    layer = record["layers"][record["layer"]]
    assert (layer["path"], record["unit"]) == ("c3", [0, 9])
    assert [layer["rows"][0][:2], layer["columns"][9][:2]] == [[0, 14], [18, 14]]
    known = ca.anatomy("lenet5")
    for part, said in zip(known, record["layers"], strict=True):
        assert (said["parameters"], said["macs"]) == (part.parameters, part.macs)
        for i, (first, count, _) in enumerate(said["rows"]):
            assert part.field.at(i, 0)[0] == range(first, first + count)
    assert record["parameters"] == sum(layer["parameters"] for layer in record["layers"]) == 60_000


def test_it_is_shown_and_saved() -> None:
    page = answering.answer("network", LENET).body.decode()
    assert 'aria-label="c3[0,9] sees rows 0..13, columns 18..31"' in page
    kept = answering.answer("network/save.html", LENET).body.decode()
    assert len(kept) < 2_000_000
    assert "default-src 'none'" in kept
    assert "http" not in re.sub(r"http-equiv|http://www.w3.org/2000/svg", "", kept)
    assert b"c3[0,9] sees rows 0..13" in answering.answer("network/save.svg", LENET).body
    assert json.loads(answering.answer("network/save.json", LENET).body)["unit"] == [0, 9]


@pytest.mark.parametrize(("query", "said"), [
    ({"net": "conv3-8 maxpol FC-10"}, "maxpool"), ({"net": "net.py:Net"}, "notation"),
    ({"net": "os:system"}, "notation"), ({"net": "timm:resnet18"}, "notation"),
    ({"input": "3x9999x9"}, "1024"), ({"input": "-1"}, "sizes"), ({"net": "conv3-8 " * 900}, "letters"),
    ({"net": "FC-10", "input": "3x8x8"}, "maps"),
    ({"net": "maxpool " * 6 + "FC-10", "input": "1x8x8"}, "window|small|fit"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_words(query: dict[str, str], said: str) -> None:
    answer = answering.answer("network", query)
    refused = re.search(r'<pre class="refused">(.*?)</pre>', answer.body.decode(), re.DOTALL)
    assert answer.status == 200
    assert refused
    assert re.search(said, html.unescape(refused[1]))


def test_an_error_of_notation_points_at_its_column() -> None:
    page = html.unescape(answering.answer("network", {"net": "conv3-8 maxpol FC-10"}).body.decode())
    assert "at column 9\n  conv3-8 maxpol FC-10\n          ^^^^^^" in page


def test_places_that_are_none_are_passed_over() -> None:
    for layer, unit in (("c3", "99,0"), ("nothing", "x"), ("<script>", "-1,-1")):
        query = {**LENET, "layer": layer, "unit": unit}
        assert record_of(query)["unit"]
        assert "<script>" not in answering.answer("network", query).body.decode()
