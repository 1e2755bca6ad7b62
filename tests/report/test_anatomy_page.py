"""The page of a network tells what was measured, needs nothing but itself, and draws who feeds whom."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anatomy import zoo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from cnnatomy import models
from cnnatomy.anatomy import Anatomy, anatomy
from cnnatomy.anatomy.ask.effective import effective
from cnnatomy.anatomy.present.rows import made_by
from cnnatomy.report import anatomy_page
from cnnatomy.report.anatomy_flow import flow
from cnnatomy.report.anatomy_page import facts, render

REPORT = Path(anatomy_page.__file__).parent


class Residual(nn.Module):
    """A skip around two convolutions, a view on the way, an addition in place, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(4 * 16, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.a(x)
        z = self.b(y)
        z += y
        return self.head(self.pool(z).flatten(1)), z


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    known: dict[str, Any] = json.loads(found[1])
    return known


def named_edges(known: Anatomy) -> set[tuple[str, str]]:
    """The edges by the names of their boxes."""
    shown = facts(known)
    names = [box.get("path") or box["name"] for box in shown["boxes"]]
    return {(names[a], names[b]) for a, b in shown["edges"]}


def test_edges_follow_the_values_through_views_and_writes_in_place() -> None:
    found = named_edges(anatomy(Residual(), (3, 8, 8)))
    assert found == {
        ("input", "a"), ("a", "b"), ("b", "add_"), ("a", "add_"), ("add_", "pool"), ("pool", "head"),
        ("head", "0"), ("add_", "1"),
    }  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_edges_of_random_sums_are_those_that_were_drawn(steps: list[tuple[int, int]]) -> None:
    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.ModuleList(nn.ReLU() for _ in steps)

        def forward(self, x: Tensor) -> Tensor:
            made = [x.sigmoid()]
            for layer, (one, other) in zip(self.steps, steps, strict=True):
                made.append(layer(made[-1 - one % len(made)] + made[-1 - other % len(made)]))
            return made[-1]

    known = anatomy(Sums(), (3,), training=False)
    drawn = flow(known)
    adds = [at for at, box in enumerate(drawn.boxes) if box.kind == "operator"][1:]
    made = [adds[0] - 1, *(1 + index for index in range(len(steps)))]  # the sigmoid, then the layers
    truth: set[tuple[int, int]] = set()
    for step, (add, (one, other)) in enumerate(zip(adds, steps, strict=True)):
        so_far = made[: step + 1]
        truth |= {(so_far[-1 - one % len(so_far)], add), (so_far[-1 - other % len(so_far)], add)}
        truth.add((add, made[step + 1]))
    outside = [at for at, box in enumerate(drawn.boxes) if box.kind in ("input", "output")]
    assert {edge for edge in drawn.edges if not set(edge) & set(outside)} == truth
    assert (made[-1], outside[-1]) in drawn.edges


def test_every_unit_of_every_box_is_told_as_the_fields_tell_it() -> None:
    known = anatomy(models.build("lenet5", classes=10), (1, 32, 32), training=False)
    shown = facts(known)
    checked = 0
    for at, box in enumerate(shown["boxes"][: len(known.layers)]):
        made = made_by(known, at)
        if made is None or not box.get("fields"):
            continue
        channels, depth, height, width = box["fields"]["map"]
        for axis, field in zip(box["fields"]["exact"], known.fields.of(*made), strict=True):
            for channel in (0, channels - 1):
                _, lo, hi = next((run for run in axis["runs"] if channel < run[0]), axis["runs"][-1])
                for unit in np.ndindex(depth, height, width):
                    place = [i if n > 1 else 0 for i, n in zip(unit, axis["shape"], strict=True)]
                    at_ = (place[0] * axis["shape"][1] + place[1]) * axis["shape"][2] + place[2]
                    index = (0, channel, *unit[1:]) if len(field.shape) == 4 else (0, channel)
                    told = range(shown["arrays"][lo][at_], shown["arrays"][hi][at_] + 1)
                    assert told == field.interval(index), (box["path"], index)
                    checked += 1
    assert checked > 8000


def test_the_page_needs_nothing_but_itself_and_is_small(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = zoo.resnet50()
    page = anatomy_page.write(tmp_path / "page.html", anatomy(model, (3, 224, 224), training=False))
    text = page.read_text("utf-8")
    assert page.stat().st_size < 2_000_000
    assert re.search(r"Content-Security-Policy\" content=\"default-src 'none'", text)
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", text)
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "25,557,032" in text
    assert "4.089 G" in text


def test_hostile_names_stay_text() -> None:
    model = nn.Sequential()
    model.add_module("</script><b>x", nn.Conv2d(1, 1, 1))
    text = render(anatomy(model, (1, 4, 4), training=False))
    assert "</script><b>" not in text
    assert embedded(text)["boxes"][1]["path"] == "</script><b>x"


def test_the_picture_has_the_inputs_proportions_and_may_be_the_users_own(tmp_path: Path) -> None:
    Image.new("RGB", (50, 40), (255, 0, 0)).save(tmp_path / "red.png")
    known = anatomy(nn.Conv2d(3, 2, 3), (3, 60, 30), training=False)
    shown = embedded(render(known, picture=tmp_path / "red.png"))
    picture = Image.open(io.BytesIO(base64.b64decode(shown["picture"].partition(",")[2])))
    assert picture.size == (30, 60)
    assert picture.getpixel((15, 30)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Conv1d(2, 3, 5), (2, 40)),
        (nn.Conv3d(1, 2, 3, stride=2), (1, 9, 11, 7)),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), (3, 2, 2)),
        (nn.Identity(), (3, 4, 4)),
    ],
)
def test_any_number_of_axes_is_drawn(model: nn.Module, shape: tuple[int, ...]) -> None:
    assert embedded(render(anatomy(model, shape, training=False)))["inputs"][0]["shape"] == [1, *shape]


def test_a_partial_anatomy_has_a_page_that_says_so() -> None:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(x)
            return y if y.sum().item() > 0 else -y

    known = anatomy(Looks(), (3, 8, 8))
    assert not known.complete
    text = render(replace(known))
    assert "partial: " in text
    assert "conv" in text


def test_the_effective_field_lies_inside_the_exact_one_and_leaves_the_model_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.Conv2d(8, 4, 3)
    ).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    known = anatomy(model, (3, 31, 33), training=False)
    found = effective(model, known)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    for at, map_ in found.items():
        made = made_by(known, at)
        assert made
        y, x = known.fields.of(*made)
        middle = (0, 0, *((n - 1) // 2 for n in y.shape[2:]))
        rows, columns = y.interval(middle), x.interval(middle)
        inside = torch.zeros_like(map_)
        inside[rows.start : rows.stop, columns.start : columns.stop] = 1
        assert (map_ * (1 - inside)).max() == 0
        seen = map_.nonzero()
        assert seen.min(0).values.tolist() == [rows.start, columns.start]
        assert seen.max(0).values.tolist() == [rows.stop - 1, columns.stop - 1]
    assert len(found) == len(known.layers) == 5
    assert embedded(render(known, effective=found))["effective"].keys() == {str(at) for at in found}


NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_the_script_is_valid_and_its_layout_lets_no_boxes_overlap(tmp_path: Path) -> None:
    script = tmp_path / "page.js"
    checks = (REPORT / "anatomy_layout.js", Path(__file__).parent / "layout_check.js")
    script.write_text("\n".join(part.read_text("utf-8") for part in checks), "utf-8")
    assert NODE
    for command in ([NODE, str(script)], [NODE, "--check", str(REPORT / "anatomy.js")]):
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", "Net"),
        ("0", "Net.0"),
        ("layer1.0", "layer1.0"),
        ("body.layer1.0.2", "layer1.0.2"),
        ("a.conv", "conv"),
    ],
)
def test_a_box_of_a_number_is_named_with_its_parent(path: str, name: str) -> None:
    assert anatomy_page._name(path, "Net") == name
