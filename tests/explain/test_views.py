"""Text, notebook, page and picture say what the record says, and nothing of their own."""

from __future__ import annotations

import copy
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from anatomy.test_present import TYPES, faults
from explain.cases import filled, numbers

import cnnatomy as ca
import cnnatomy.nn
from cnnatomy.errors import ArgumentError
from cnnatomy.explain import Explanation
from cnnatomy.explain.explanation import text_of
from cnnatomy.explain.expression_reading import value_of

ours: Any = cnnatomy.nn
PUBLISHED = Path(ca.__file__).parent / "explain" / "explanation.schema.json"
SCHEMA = json.loads(
    PUBLISHED.read_text("utf-8").replace('"additionalProperties": false,', "")
)  # as it is here
GRID = torch.tensor([[0.0, 2, 1, 1], [5, 5, 0, 3], [1, 2, 7, 0]])
CONFIGURATIONS: list[tuple[Any, dict[str, Any]]] = [
    *((ca.pool, {"region": ca.Sliding(2, 1), "reducer": name}) for name in (
        "max", "min", "mean", "median", "l2", "soft", "kmax", "trimmed", "expected", "logsumexp", "mixed",
    )),
    (ca.pool, {"region": ca.Adaptive((2, 3)), "reducer": "quantile"}),
    (ca.pool, {"region": ca.Fractional(0.7), "reducer": ca.Lp(3.0)}),
    (torch.nn.Conv2d(1, 1, 2, padding=1), {}),
    (ours.ConvTranspose2d(1, 1, 2, 2), {}),
    (ours.Pad2d(1, "reflect"), {}),
    (torch.nn.Upsample(scale_factor=2, mode="bilinear"), {}),
    (torch.nn.AvgPool2d(2, 1, 1), {}),
    (ours.BedOfNails2d(2), {}),
]  # fmt: skip


def explained(what: Any, options: dict[str, Any]) -> tuple[Explanation, torch.Tensor]:
    what = filled(what, 3) if isinstance(what, torch.nn.Module) else what
    x = numbers(7, (1, 1, 4, 5), "normal")
    with torch.no_grad():
        y = what(x, **options)
    return ca.explain(what, x, **options), y[0, 0].reshape(-1)


def data_of(page: str) -> dict[str, Any]:
    """What the page's script reads."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


def result(line: str) -> tuple[float | None, float]:
    """What the left side of a line comes to, and what its right side says."""
    left, _, right = re.split(r" (=|≈) ", line)
    return value_of(left), float(right)


@pytest.mark.costly(6)
@pytest.mark.parametrize("number", range(len(CONFIGURATIONS)))
def test_text_record_and_page_are_one(number: int, tmp_path: Path) -> None:
    made, y = explained(*CONFIGURATIONS[number])
    page = made.save(tmp_path / "page.html").read_text("utf-8")
    steps, shape = data_of(page)["outputs"], made.record["tensors"]["y"]["shape"]
    for o, wanted in enumerate(y.tolist()):
        place = tuple(int(i) for i in torch.unravel_index(torch.tensor(o), shape))
        line = made.line(place)
        assert steps[o]["line"] == line
        came, said = result(line)
        assert said == pytest.approx(wanted, rel=5.1e-4, abs=1e-12)
        if not line.startswith("nothing"):
            assert came == pytest.approx(wanted, rel=6e-4, abs=1e-12)
    assert made.line() in str(made)
    assert html.escape(made.line(), quote=False) in page


def wrong(record: dict[str, Any]) -> list[str]:
    """Where a record and its parts break the schema."""
    parts = record.pop("parts", [])
    return faults(record, SCHEMA) + [one for part in parts for one in wrong(part["record"])]


@pytest.mark.costly(4)
@pytest.mark.parametrize("number", range(len(CONFIGURATIONS)))
def test_the_schema_is_kept(number: int) -> None:
    TYPES.setdefault("number", float)
    made, _ = explained(*CONFIGURATIONS[number])
    assert wrong(json.loads(text_of(made.record))) == []


def test_the_validator_sees_faults() -> None:
    TYPES.setdefault("number", float)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.ReLU(), ours.Pool2d(ca.Soft(learned=1), 2))
    wide = ca.explain(ours.Conv2d(1, 1, 2, padding=1, padding_mode="mean"), GRID).record
    drawn = ca.explain(ca.pool, GRID, region=ca.Sliding(2), reducer="stochastic", training=True).record
    layer = ca.explain(net, GRID[None, None], layer="2").record
    for record in (wide, drawn, layer):
        assert wrong(json.loads(text_of(record))) == []
    assert faults({**drawn, "spare": 1}, SCHEMA)
    assert faults({**drawn, "schema": "cnnatomy.explanation/2"}, SCHEMA)


def test_a_record_that_is_changed_is_shown_changed(tmp_path: Path) -> None:
    made = ca.explain(torch.nn.MaxPool2d(2, 1), GRID)
    record = copy.deepcopy(made.record)
    record["taps"]["value"][1] = 77.0
    record["tensors"]["y"]["values"][0] = 77.0
    changed = Explanation(record)
    assert changed.line((0, 0)) == "max(0, 77, 5, 5) = 77"
    assert "max(0, 77, 5, 5) = 77" in changed.save(tmp_path / "page.html").read_text("utf-8")


def test_the_winner_ties_and_gradient_are_told() -> None:
    made = ca.explain(torch.nn.MaxPool2d(2, 1), GRID, grad=torch.tensor([[8.0, 1, 1], [1, 1, 1]]))
    text = str(made)
    assert "y[0,0] = max(0, 2, 5, 5) = 5   first of 2 equal" in text
    assert "gradient 8: 8 -> x[1,0]; others 0" in text
    assert "agrees with the operator exactly" in text
    assert made.backward((1, 0)) == "x[1,0] <- y[0,0]·1 + y[1,0]·1 = 9"


def test_unread_cells_and_padding_are_drawn(tmp_path: Path) -> None:
    page = ca.explain(torch.nn.MaxPool2d(2), torch.rand(5, 5)).save(tmp_path / "a.html").read_text("utf-8")
    assert page.count(' unread"') == 9
    padded = ours.Pool2d("max", 3, 1, 1, padding_mode="edge")
    page = ca.explain(padded, torch.rand(3, 3)).save(tmp_path / "b.html").read_text("utf-8")
    assert page.count(' copied"') == 16
    nan = ca.explain(torch.nn.MaxPool2d(2), torch.tensor([[float("nan"), 1.0], [2.0, 3.0]]))
    assert nan.line() == "max(nan, 1, 2, 3) = nan"
    empty = ca.explain(ca.pool, torch.rand(2, 2), region=ca.Sliding(1, 1, 1), reducer="mean")
    assert empty.line((0, 0)) == "nothing read = nan"


def test_hostile_names_are_inert(tmp_path: Path) -> None:
    class Evil(torch.nn.MaxPool2d):
        def extra_repr(self) -> str:
            return "</script><script>alert(1)</script><img src=x onerror=alert(2)>"

    made = ca.explain(Evil(2), torch.rand(4, 4))
    page = made.save(tmp_path / "page.html").read_text("utf-8")
    assert page.count("<script") == 2
    assert "<img" not in page
    assert "<script" not in made._repr_html_().replace("&lt;script", "")
    assert "<img" not in made.save(tmp_path / "one.svg").read_text("utf-8")


def test_a_page_needs_nothing_but_itself_and_is_small(tmp_path: Path) -> None:
    page = ca.explain(torch.nn.Conv2d(1, 1, 5), torch.rand(32, 32)).save(tmp_path / "page.html")
    text = page.read_text("utf-8")
    assert page.stat().st_size < 2_000_000
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src 'none'" in text
    with pytest.raises(ArgumentError, match="the page would be too large"):
        ca.explain(torch.nn.Conv2d(3, 1, 9), torch.rand(3, 32, 32)).save(tmp_path / "large.html")


def test_a_notebook_gets_a_frame_and_a_table_without_script() -> None:
    shown = ca.explain(torch.nn.MaxPool2d(2, 1), GRID)._repr_html_()
    assert '<iframe sandbox="allow-scripts"' in shown
    assert "<td>max(0, 2, 5, 5) = 5</td>" in shown


def test_what_cannot_be_explained_is_refused_by_name(tmp_path: Path) -> None:
    for what, match in (
        (torch.nn.BatchNorm2d(1), "BatchNorm2d"),
        (torch.nn.Sequential(torch.nn.ReLU()), "layer=, the path"),
        (torch.relu, "cnnatomy.pool"),
        (ours.Pad2d(1, "empty"), "undefined"),
    ):
        with pytest.raises(ArgumentError, match=match):
            ca.explain(what, torch.rand(1, 1, 4, 4))
    with pytest.raises(ArgumentError, match="at does not fit"):
        ca.explain(torch.nn.MaxPool2d(2), GRID, at=(0, 0, 0, 0, 0))
    with pytest.raises(ArgumentError, match="no channel 3"):
        ca.explain(torch.nn.MaxPool2d(2), GRID, at=(3, 0, 0))
    with pytest.raises(ArgumentError, match="does not take boxes="):
        ca.explain(torch.nn.MaxPool2d(2), GRID, boxes=1)
    with pytest.raises(ArgumentError, match=r"x\.float\(\)"):
        ca.explain(torch.nn.MaxPool2d(2), GRID.long())
    with pytest.raises(ArgumentError, match="the gradient does not fit"):
        ca.explain(torch.nn.MaxPool2d(2), GRID, grad=torch.ones(5, 5))
    with pytest.raises(ArgumentError, match=r"\.html or \.svg or \.json"):
        ca.explain(torch.nn.MaxPool2d(2), GRID).save(tmp_path / "page.pdf")
    made = ca.explain(torch.nn.MaxPool2d(2), GRID)
    with pytest.raises(ArgumentError, match="output on axis 0"):
        made.line((5, 0))
    with pytest.raises(ArgumentError, match="there is no such cell"):
        made.backward((1, 2, 3, 4))


def test_a_large_plane_is_explained_around_the_output() -> None:
    made = ca.explain(torch.nn.MaxPool2d(3, 1, 1), torch.rand(600, 600), at=(300, 400))
    y = made.record["tensors"]["y"]
    assert y["whole"] == [600, 600]
    assert 9 * y["shape"][0] * y["shape"][1] <= 200_000
    assert made.line() == made.line((300, 400))
    with pytest.raises(ArgumentError, match="output on axis 0"):
        made.line((0, 0))
