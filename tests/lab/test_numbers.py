"""The numbers view: its settings are held to their range, and what it shows is the operator's."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cnnatomy.errors import ArgumentError
from cnnatomy.explain import Explanation, explaining
from cnnatomy.lab import answering, numbers_view
from cnnatomy.lab.offered_operators import OPERATORS
from cnnatomy.lab.settings_form import Field, Form
from cnnatomy.lab.worked_examples import EXAMPLES
from cnnatomy.reducers import REGISTRY

WORKED: dict[str, list[Any]] = {
    "A pattern over ones and zeros": [4, 3, 4, 2, 4, 3, 2, 3, 4],
    "A stride of two over padding": [1, 5, 6, 7, 8, 3, 3, 10, 4],
    "Maxima of blocks": [6, 8, 3, 4],
    "Maxima, and the way back of their gradient": [3, 8, 4, 6],
    "Between four numbers": [10, 12.5, 17.5, 20, 15, 17.5, 22.5, 25, 25, 27.5, 32.5, 35, 30, 32.5, 37.5, 40],
    "Steps of a sequence": [3, 5, 7, 9, 4],
    "Bends of a sequence": [1, 1, 1, 1, -6],
    "A sequence, smoothed": [4.6, 7.6, 10.9],
    "The last cell that no window reads": [2, 4],
}
"""What the literature prints; its errors are left out."""


def record_of(query: dict[str, str]) -> dict[str, Any]:
    return numbers_view.work(numbers_view.form_of(query)).draft.record


@pytest.mark.parametrize("name", WORKED)
def test_examples_give_the_printed_numbers(name: str) -> None:
    assert record_of(dict(EXAMPLES[name]))["tensors"]["y"]["values"] == pytest.approx(WORKED[name])


def test_gradients_of_examples() -> None:
    back = record_of(dict(EXAMPLES["Maxima, and the way back of their gradient"]))
    assert back["tensors"]["grad_x"]["values"] == [0, 8, 0, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0, 3, 0]
    shares = record_of(dict(EXAMPLES["Means, and the shares of their gradient"]))
    assert shares["tensors"]["grad_x"]["values"][:8] == [0.5, 0.5, 2, 2, 0.5, 0.5, 2, 2]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_shown_and_agrees(name: str) -> None:
    page = numbers_view.page(EXAMPLES[name]).body.decode()
    assert "refused" not in page
    assert json.loads(numbers_view.check(EXAMPLES[name]).body)["error"] == ""


@pytest.mark.parametrize("query", [
    *({"op": name} for name in OPERATORS), *({"reducer": name} for name in sorted(REGISTRY)),
    *({"region": name} for name in ("adaptive", "fractional", "pyramid", "whole")),
    {"dtype": "float64", "x": "1 2 nan; inf 4 5; 7 8 9"},
    {"x": "1 2; 3 4 | 5 6; 7 8", "reducer": "covariance"},
])  # fmt: skip
def test_every_operator_is_shown(query: dict[str, str]) -> None:
    page = numbers_view.page(query).body.decode()
    assert "refused" not in page
    line = re.search(r'<span id="line">(.*?)</span>', page)
    record = record_of(query)
    assert line
    assert html.unescape(line[1]) == Explanation(record).line()


def test_settings_are_kept_in_the_address() -> None:
    query = {"x": "1 2; 3 4", "reducer": "soft", "by.temperature": "0.5", "kernel": "1x2", "stride": "1"}
    form = numbers_view.form_of({**query, "evil": "1", "over.output_size": "2"})
    assert form.query == query
    assert "Soft(temperature=0.5" in record_of(query)["operator"]["call"]


def test_a_place_that_is_none_is_passed_over() -> None:
    for at, found in (("1,2", [1, 2]), ("9,9", [0, 0]), ("1", [0, 0]), ("x", [0, 0]), ("-1,0", [0, 0])):
        assert record_of({"stride": "1", "at": at})["at"] == found
    assert numbers_view.work(numbers_view.form_of({"cell": "0,1,2"})).cell == 7
    assert numbers_view.work(numbers_view.form_of({"cell": "0,99,2"})).cell is None


@pytest.mark.parametrize(("query", "said"), [
    ({"kernel": "0"}, "kernel"), ({"kernel": "99999"}, "kernel"), ({"stride": "-1"}, "stride"),
    ({"x": "1 2; 3"}, "rows of one length"), ({"x": "1 2; 3 x"}, "numbers"), ({"size": "17x3"}, "rows and"),
    ({"x": " ".join("1" * 17)}, "16x16"), ({"x": "|".join(["1 2"] * 5)}, "at most 4 channels"),
    ({"x": "1" * 30_000}, "letters"),
    ({"op": "evil"}, "operator"), ({"reducer": "evil"}, "reducer"), ({"region": "boxes"}, "region"),
    ({"padding": "1000000"}, "padding"), ({"mode": "__import__"}, "padding mode"), ({"seed": "1e9"}, "seed"),
    ({"reducer": "soft", "by.temperature": "__import__('os')"}, "temperature"),
    ({"dtype": "x"}, "computed in"),
    ({"region": "adaptive", "over.output_size": "9999"}, "size"),
    ({"region": "pyramid", "over.levels": "1,99"}, "levels"),
    ({"op": "resize", "scale": "1e9"}, "scale"), ({"op": "resize", "to": "65"}, "size"),
    ({"op": "pad", "padding": "same"}, "padding"), ({"kernel": "6"}, "fit"), ({"channel": "3"}, "channel"),
    ({"grad": "1 2 3"}, "gradient"), ({"op": "convolve", "weight": "1 2 | 3 4"}, "channels"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_words(query: dict[str, str], said: str) -> None:
    page = html.unescape(numbers_view.page(query).body.decode())
    refused = re.search(r'<pre class="refused">(.*?)</pre>', page, re.DOTALL)
    assert refused
    assert said in refused[1]
    assert 'id="shown"' not in page


NAMES = (
    *(
        "x",
        "kernel",
        "stride",
        "padding",
        "by.temperature",
        "over.output_size",
        "at",
        "op",
        "reducer",
        "region",
    ),
    *("mode", "weight", "scale", "grad", "cell"),
)
ODD = ("-1", "1e999", "nan", "0", "3x3", "soft", "convolve")


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=20) | st.sampled_from(ODD)))
def test_any_text_is_answered_in_words(query: dict[str, str]) -> None:
    answer = answering.answer("numbers", query)
    assert answer.status == 200
    assert b"<script>" not in answer.body


def test_hostile_values_stay_values() -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    for name in ("x", "kernel", "op", "reducer", "at", "seed"):
        page = numbers_view.page({name: evil}).body.decode()
        assert "<img" not in page
        assert page.count("<script") == 2


def test_a_lie_is_shown_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = getattr(explaining, "recorded")  # noqa: B009

    def false(*args: Any) -> dict[str, Any]:
        record: dict[str, Any] = honest(*args)
        record["taps"]["value"][1] += 1
        return record

    monkeypatch.setattr(explaining, "recorded", false)
    for name in OPERATORS:
        said = json.loads(numbers_view.check({"op": name}).body)
        assert said["lines"] == []
        assert "disagrees" in said["error"]
        assert answering.answer("numbers/save.html", {"op": name}).status == 422


def test_fields_that_read_values() -> None:
    form = Form([Field(name, name) for name in "abcdefg"], {
        "a": "3", "b": "2x3", "c": "1,2", "d": "same", "e": "inf", "f": "2.5", "g": "a b",
    })  # fmt: skip
    assert [form.literal(name) for name in "abcdef"] == [3, (2, 3), (1, 2), "same", float("inf"), 2.5]
    with pytest.raises(ArgumentError, match="a number, a size or a word"):
        form.literal("g")
    assert torch.equal(numbers_view.planes("x", "1 2"), torch.tensor([[1.0, 2.0]]))


def test_no_kernel_is_compiled_while_one_types(monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnatomy.backends.cpu.runtime import jit

    def never(_: str) -> bytes:
        raise AssertionError("a kernel is compiled")

    monkeypatch.setattr(jit, "cached", never)
    new = {"size": "9x11", "kernel": "4x5", "stride": "3x2"}
    moves = ("pad", "unpool")  # one small kernel serves all their sizes
    sized = [{"op": name, "size": "9x11"} for name in OPERATORS if name not in moves]
    for query in [*({"reducer": name, **new} for name in REGISTRY), *sized]:
        assert b"refused" not in numbers_view.page(query).body
    assert answering.answer("numbers/check", {"reducer": "median", **new}).status == 500
