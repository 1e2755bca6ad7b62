"""The picture view: both maps are the operators' own, and the cursor finds the cells that belong together."""

from __future__ import annotations

import html
import io
import json
import re
from typing import Any

import pytest
import torch
from lab.serving import request
from PIL import Image

import cnnatomy as ca
from cnnatomy.explain import explaining
from cnnatomy.lab import answering, kept_pictures, picture_view

POOLS = {
    "size": "24",
    "a.kernel": "3",
    "a.stride": "1",
    "b.reducer": "mean",
    "b.kernel": "3",
    "b.stride": "1",
}


def png(size: tuple[int, int] = (20, 10)) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, "PNG")
    return out.getvalue()


def numbers_of(plane: dict[str, Any]) -> torch.Tensor:
    return torch.tensor([float(one) for one in plane["texts"]]).view(plane["size"])


def test_maps_are_the_operators_own() -> None:
    record = picture_view.record_of(POOLS, b"")
    x = numbers_of(record["planes"]["x"])[None, None]
    left, right = (ca.pool(x, name, ca.Sliding(3, 1))[0, 0] for name in ("max", "mean"))
    torch.testing.assert_close(numbers_of(record["planes"]["a"]), left, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(numbers_of(record["planes"]["b"]), right, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(numbers_of(record["planes"]["d"]), (left - right).abs(), rtol=1e-3, atol=1e-2)
    assert record["planes"]["a"]["reads"][23] == [1, 1, 3, 3]
    assert re.fullmatch(r"max\((\d+, ){8}\d+\) = \d+", record["planes"]["a"]["lines"][23])


def test_maps_of_two_sizes_share_a_cursor_and_have_no_difference() -> None:
    record = picture_view.record_of({"size": "24", "b.op": "resize", "at": "47,0"}, b"")
    assert "d" not in record["planes"]
    assert "no difference" in record["apart"]
    assert [record["rows"][name][47] for name in ("x", "a", "b")] == [23, 11, 47]
    assert record["at"] == [47, 0]


SHOWN = [*({"size": "24", "a.op": name} for name in picture_view.OFFERED), *picture_view.EXAMPLES.values()]


@pytest.mark.parametrize("query", SHOWN)
def test_it_is_shown_checked_and_saved(query: dict[str, str]) -> None:
    page = answering.answer("picture", query, b"").body.decode()
    assert "refused" not in page
    assert json.loads(answering.answer("picture/check", query).body)["error"] == ""
    kept = answering.answer("picture/save.html", query).body.decode()
    assert len(kept) < 2_000_000
    assert "http" not in re.sub(r"http-equiv|http://www.w3.org/2000/svg", "", kept)
    assert answering.answer("picture/save.svg", query).body.startswith(b"<svg")


@pytest.mark.parametrize(("query", "said"), [
    ({"size": "65"}, "8 .. 64"), ({"a.kernel": "0"}, "on the left: kernel"), ({"b.op": "x"}, "on the right"),
    ({"picture": "ab"}, "choose it again"), ({"a.region": "pyramid"}, "every output"),
    ({"size": "64", "a.kernel": "16", "a.stride": "1"}, "too much"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_words(query: dict[str, str], said: str) -> None:
    page = html.unescape(answering.answer("picture", query).body.decode())
    refused = re.search(r'<pre class="refused">(.*?)</pre>', page, re.DOTALL)
    assert refused
    assert said in refused[1]


def test_a_lie_is_shown_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = getattr(explaining, "recorded")  # noqa: B009

    def false(*args: Any) -> dict[str, Any]:
        record: dict[str, Any] = honest(*args)
        record["tensors"]["y"]["values"][-1] += 1
        return record

    monkeypatch.setattr(explaining, "recorded", false)
    assert "disagrees" in json.loads(answering.answer("picture/check", POOLS).body)["error"]
    assert answering.answer("picture/save.html", POOLS).status == 422


def test_a_picture_is_kept_and_found_again(port: int) -> None:
    status, said = request(port, "POST", "/pictures", png())
    assert status == 200
    name = json.loads(said)["picture"]
    status, page = request(port, "GET", f"/picture?picture={name}&size=16")
    assert (status, "x, 8×16" in page) == (200, True)
    assert "no picture" in json.loads(request(port, "POST", "/pictures", b"nonsense")[1])["error"]


def test_large_pictures_are_made_smaller() -> None:
    with Image.open(io.BytesIO(kept_pictures.kept(png((2000, 100))))) as made:
        assert made.size == (512, 26)
