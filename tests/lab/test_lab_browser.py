"""The lab in Chromium: by keyboard alone, without a request for a step, without a message, for everybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from explain.test_views import result
from lab import serving
from lab.browsing import address, opened, served_here, until

import cnnatomy as ca
from cnnatomy.explain import Explanation, explaining
from cnnatomy.lab import numbers_view

pytestmark = pytest.mark.browser
VIEWS = ("numbers", "picture", "network", "run")
STARTS = {
    "numbers": {"kernel": "3", "stride": "1", "padding": "1"},
    "picture": {"size": "16"},
    "network": {},
    "run": {},
}
REACHED = """() => { const one = document.activeElement;
  window.reached ??= new Set(); window.reached.add(one); return one === document.body; }"""
CONTROLS = "a[href], button:not([disabled]), input:not([type=hidden]), select, textarea, summary"
MISSED = """(controls) => [...document.querySelectorAll(controls)]
  .filter((one) => one.checkVisibility() && !window.reached.has(one))
  .map((one) => one.outerHTML.slice(0, 80))"""


def shown(page: Any, port: int, view: str, query: dict[str, str] | None = None) -> None:
    """Go to a view, and wait until it can be stepped through."""
    page.goto(address(port, view, query))
    page.wait_for_selector("body[data-ready]", state="attached")


def said(page: Any) -> str:
    text: str = page.text_content("#line")
    return text


@pytest.mark.parametrize("view", VIEWS)
def test_every_control_is_reached_by_tab(view: str, browser: Any, port: int) -> None:
    with opened(browser) as page:
        shown(page, port, view, STARTS[view])
        for _ in range(120):
            page.keyboard.press("Tab")
            if page.evaluate(REACHED):
                break
        assert page.evaluate(MISSED, CONTROLS) == []
        assert page.heard == []


def test_numbers_are_changed_and_stepped_by_keys(browser: Any, port: int) -> None:
    with opened(browser) as page:
        shown(page, port, "numbers", {"x": "0 2 1 1; 5 5 0 3; 1 2 7 0", "stride": "1"})
        page.focus("#f-reducer")
        page.keyboard.type("soft")
        until(page, "document.querySelector('h1').textContent === 'soft'")
        page.focus("#f-by-temperature")
        page.keyboard.press("Control+A")
        page.keyboard.type("0.5")
        until(page, "document.querySelector('.call').textContent.includes('temperature=0.5')")
        assert "by.temperature=0.5" in page.url
        made = explaining.explain(
            ca.pool,
            torch.tensor([[0.0, 2, 1, 1], [5, 5, 0, 3], [1, 2, 7, 0]]),
            reducer=ca.Soft(0.5),
            region=ca.Sliding(2, 1),
        )
        assert page.evaluate("document.activeElement.id") == "f-by-temperature"
        page.keyboard.press("ArrowLeft")  # moves in the field, not over the numbers
        assert said(page) == made.line((0, 0))
        page.evaluate("document.activeElement.blur()")
        for key, place in (
            ("ArrowRight", (0, 1)),
            ("ArrowDown", (1, 1)),
            ("ArrowLeft", (1, 0)),
            ("ArrowUp", (0, 0)),
        ):
            page.keyboard.press(key)
            assert said(page) == made.line(place)
            assert f"at={place[0]}%2C{place[1]}" in page.url
        page.keyboard.press("b")
        assert said(page) == made.backward((0, 0))
        page.keyboard.press("b")
        page.keyboard.press(" ")
        assert page.get_attribute("#play", "aria-pressed") == "true"
        until(page, f"document.querySelector('#line').textContent === {json.dumps(made.line((0, 1)))}")
        page.keyboard.press(" ")
        assert page.get_attribute("#step", "aria-live") == "polite"
        assert page.heard == []


def test_fifty_steps_take_no_request_and_little_time(browser: Any, port: int) -> None:
    with opened(browser) as page:
        shown(page, port, "numbers", {"size": "16x16", "stride": "1"})
        page.wait_for_selector("#agreement p")
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        meter = page.context.new_cdp_session(page)
        meter.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = scripted(meter)
        for _ in range(50):
            page.keyboard.press("ArrowRight")
        spent = (scripted(meter) - before) / 50
        record = numbers_view.work(numbers_view.form_of({"size": "16x16", "stride": "1"})).draft.record
        assert said(page) == Explanation(record).line((3, 5))
        assert requests == []
        assert spent < 0.004


def scripted(meter: Any) -> float:
    """Seconds of processor time that scripts of the page have taken."""
    known = {one["name"]: one["value"] for one in meter.send("Performance.getMetrics")["metrics"]}
    return float(known["ScriptDuration"])


CONFIGURATIONS: list[dict[str, str]] = [
    *({"reducer": name, "stride": "1"} for name in ("max", "min", "mean", "median", "l2", "soft", "kmax")),
    *({"reducer": name} for name in ("expected", "logsumexp", "mixed", "lp", "quantile", "trimmed")),
    {"region": "adaptive"}, {"op": "convolve", "padding": "1"},
    {"op": "transposed convolution", "size": "3x3"},
    {"op": "pad"}, {"op": "resize", "size": "3x4"}, {"op": "filter"}, {"op": "unpool"},
]  # fmt: skip


@pytest.mark.costly(4)
@pytest.mark.parametrize("number", range(len(CONFIGURATIONS)))
def test_the_lines_on_the_page_come_to_what_a_fresh_call_gives(number: int, browser: Any, port: int) -> None:
    query = CONFIGURATIONS[number]
    form = numbers_view.form_of(query)
    made = numbers_view.work(form).draft
    wanted = made.checked().record["tensors"]["y"]["values"]
    fresh = made.laid.plane.block(made.laid.call.run(made.laid.call.inputs)).tolist()
    with opened(browser) as page:
        shown(page, port, "numbers", query)
        lines = page.evaluate(
            """() => { const slide = document.querySelector("#slide"); const found = [];
            for (let at = 0; at <= Number(slide.max); at++) {
              slide.value = at; slide.dispatchEvent(new Event("input"));
              found.push(document.querySelector("#line").textContent);
            } return found; }"""
        )
    assert lines == [Explanation(made.record).line(at) for at in _places(made.record)]
    for line, y, again in zip(lines, wanted, fresh, strict=True):
        came, right = result(line)
        assert right == pytest.approx(again, rel=5.1e-4, abs=1e-12)
        assert again == pytest.approx(y, rel=1e-5, abs=1e-6)
        if not line.startswith("nothing"):
            assert came == pytest.approx(again, rel=6e-4, abs=1e-6)


def _places(record: dict[str, Any]) -> list[tuple[int, ...]]:
    shape = record["tensors"]["y"]["shape"]
    return [
        tuple(map(int, torch.unravel_index(torch.tensor(o), shape)))
        for o in range(len(record["tensors"]["y"]["values"]))
    ]


def test_a_falsified_record_is_shown_falsified_and_refused(
    browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("uvicorn")
    honest = getattr(explaining, "recorded")  # noqa: B009

    def false(*args: Any) -> dict[str, Any]:
        record: dict[str, Any] = honest(*args)
        record["taps"]["value"][1] = 77.0
        record["tensors"]["x"]["values"][1] = 77.0
        record["tensors"]["y"]["values"][0] = 77.0
        return record

    monkeypatch.setattr(explaining, "recorded", false)
    with served_here() as port, opened(browser) as page:
        shown(page, port, "numbers", {"x": "0 2; 5 5"})
        assert said(page) == "max(0, 77, 5, 5) = 77"
        assert "77" in page.text_content(".board.x")
        page.wait_for_selector("#agreement .refused")
        assert "disagrees" in page.text_content("#agreement")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("view", VIEWS)
def test_everybody_can_use_it(view: str, width: int, scheme: str, browser: Any, port: int) -> None:
    axe = Path(pytest.importorskip("axe_core_python").__file__).parent / "axe.min.js"
    with opened(browser, width, scheme) as page:
        shown(page, port, view, STARTS[view])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate(axe.read_text("utf-8"))
        found = page.evaluate("async () => (await axe.run()).violations")
        serious = [
            (one["id"], one["nodes"][0]["html"][:120])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
        assert page.heard == []


def test_hostile_addresses_come_back_as_they_were(browser: Any, port: int) -> None:
    evil = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
    with opened(browser) as page:
        for view, name in (("numbers", "x"), ("numbers", "kernel"), ("network", "net"), ("picture", "size")):
            page.goto(address(port, view, {name: evil}))
            page.wait_for_selector(".refused")
            assert page.input_value(f"#f-{name}") == evil
            page.dispatch_event(f"#f-{name}", "input")
            until(page, "!document.querySelector('#result').classList.contains('old')")
            page.reload()
            assert page.input_value(f"#f-{name}") == evil
        query = {"x": "1 2; 3 4", "kernel": "1x2", "stride": "1", "at": "1,0", "cell": "0,1,1"}
        shown(page, port, "numbers", query)
        before = page.text_content("#shown")
        page.reload()
        page.wait_for_selector("body[data-ready]", state="attached")
        assert page.text_content("#shown") == before
        assert "x[1,1] <-" in said(page)
        assert page.heard == []


@pytest.mark.parametrize("view", ["numbers", "picture", "network"])
def test_what_is_saved_steps_offline(view: str, browser: Any, port: int, tmp_path: Path) -> None:
    line = "#said" if view == "network" else "#line"
    with opened(browser) as page:
        shown(page, port, view, STARTS[view])
        for ending in ("html", "svg", "png", "json"):
            with page.expect_download() as kept:
                page.locator("#png" if ending == "png" else f"button[formaction$='save.{ending}']").press(
                    "Enter"
                )
            kept.value.save_as(tmp_path / f"kept.{ending}")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("ArrowRight")
        stepped = page.text_content(line)
        assert page.heard == []
    assert (tmp_path / "kept.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "kept.svg").read_text("utf-8").startswith("<svg")
    assert json.loads((tmp_path / "kept.json").read_text("utf-8"))
    assert (tmp_path / "kept.html").stat().st_size < 2_000_000
    with opened(browser, 390, "dark", offline=True) as page:
        page.goto((tmp_path / "kept.html").as_uri())
        page.keyboard.press("ArrowRight")
        assert page.text_content(line) == stepped
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.heard == []


def test_a_picture_is_chosen_and_a_stopped_lab_is_told(browser: Any, tmp_path: Path) -> None:
    from PIL import Image

    Image.linear_gradient("L").resize((30, 20)).save(tmp_path / "mine.png")
    with serving.lab() as (port, _, process), opened(browser) as page:
        shown(page, port, "picture", {"size": "16"})
        page.set_input_files("#file", tmp_path / "mine.png")
        until(page, "location.search.includes('picture=')")
        until(page, "document.querySelector('figcaption').textContent.includes('11×16')")
        assert page.heard == []
        process.terminate()
        process.wait()
        page.fill("#f-size", "20")
        page.wait_for_selector("#gone")
        assert "Start it again" in page.text_content("#gone")
        assert "max" in page.text_content("#shown")
