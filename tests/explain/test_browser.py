"""The page in a browser, by keyboard alone and offline; left out where there is no Chromium."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import cnnatomy as ca

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), "")
PRESSES = """<script type="module">
const log = [];
const text = (id) => document.querySelector(id).textContent;
const said = () => log.push(text("#name") + text("#line"));
said();
const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
for (const key of KEYS) { press(key); said(); }
log.push(document.querySelectorAll("td.here").length, document.documentElement.scrollWidth > innerWidth);
document.title = JSON.stringify(log);
</script></body>"""


def shown(page: Path, width: int) -> str:
    """The page's document once its scripts have run, without a network."""
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000"]
    command += [f"--window-size={width},900", "--proxy-server=127.0.0.1:9", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_steps_by_keys(width: int, tmp_path: Path) -> None:
    x = torch.tensor([[0.0, 2, 1, 1], [5, 5, 0, 3], [1, 2, 7, 0]])
    made = ca.explain(torch.nn.MaxPool2d(2, 1), x)
    page = made.save(tmp_path / "page.html")
    assert len(re.findall(r'<td class="[^"]*\bhere', shown(page, width))) == 2  # its own script ran
    keys = ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp", "b", "ArrowRight", "b"]
    text = page.read_text("utf-8").replace("</body>", PRESSES.replace("KEYS", json.dumps(keys)))
    page.write_text(re.sub(r"script-src 'sha256-[^']*'", "script-src 'unsafe-inline'", text), "utf-8")
    title = re.search(r"<title>(.*?)</title>", shown(page, width), re.DOTALL)
    assert title
    *said, here, scrolls = json.loads(html.unescape(title[1]))
    places = [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0), (0, 0)]
    steps = [f"y[{y},{x}] ={made.line((y, x))}" for y, x in places]
    steps += [made.backward((0, 0)), made.backward((0, 1)), steps[0]]
    assert said == steps
    assert (here, scrolls) == (2, False)
