"""Chromium by its own keyboard; left out, with a word, where it or Playwright is missing."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from cnnatomy.lab.reply import Reply

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), "")
PATIENCE = 90_000
"""Milliseconds: the machine may be busy."""


def chromium() -> Iterator[Any]:
    """The browser."""
    if not CHROMIUM:
        pytest.skip("there is no Chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, width: int = 1280, scheme: str = "light", offline: bool = False) -> Iterator[Any]:
    """A page, whose messages and faults are kept in `page.heard`."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=offline, accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.heard = []
    page.on("console", lambda message: page.heard.append(message.text))
    page.on("pageerror", lambda error: page.heard.append(str(error)))
    page.on("dialog", lambda dialog: (page.heard.append("a dialog"), dialog.dismiss()))
    try:
        yield page
    finally:
        context.close()


def until(page: Any, truth: str) -> None:
    """Wait until an expression holds; the page's own policy forbids Playwright to ask from inside."""
    for _ in range(PATIENCE // 50):
        if page.evaluate(truth):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {truth}")


def address(port: int, view: str, query: Mapping[str, str] | None = None) -> str:
    """The address of a view."""
    return f"http://127.0.0.1:{port}/{view}" + (f"?{urlencode(query)}" if query else "")


@contextmanager
def served_here() -> Iterator[int]:
    """The lab in this process, so that a test can change what it does; its port."""
    import uvicorn

    from cnnatomy.lab import answering, server

    class Here:
        """Answers at once, in the server's own thread."""

        run = None

        async def open(self) -> None: ...

        async def close(self) -> None: ...

        async def ask(self, path: str, query: Mapping[str, str], body: bytes = b"", _: Any = None) -> Reply:
            return answering.answer(path, query, body)

    with server.listen("127.0.0.1", 0) as heard:
        port = heard.getsockname()[1]
        app = server.application(Here(), port)  # type: ignore[arg-type]
        serving = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [heard]})
        thread.start()
        try:
            yield port
        finally:
            serving.should_exit = True
            thread.join()
