"""Pages to HTML: Jinja templates with escaping on, written in one piece."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from cnnatomy.files.printable import percent, shown
from cnnatomy.report import heat
from cnnatomy.report.chart import chart
from cnnatomy.report.page_content import Page
from cnnatomy.report.reliability import reliability
from cnnatomy.report.result_text import constant, warning
from cnnatomy.train.atomic_files import write_whole
from cnnatomy.train.evaluation import FEW

MOST = 20
"""So many classes and confusions are shown where there are too many for all."""

UPRIGHT = 4
"""Longest class name, in letters, that heads a column of the matrix without being turned."""


def render(page: Page) -> str:
    """The page as HTML that refers to nothing outside itself and runs no script."""
    return template("page.html.j2").render(
        page=page,
        result=page.evaluation,
        constant=constant(page.evaluation),
        warning=warning(page.evaluation),
        chart=chart,
        reliability=reliability,
        heat=heat,
        layers=Markup(page.anatomy._repr_html_()) if page.anatomy else None,
        upright=max(map(len, page.evaluation.classes)) > UPRIGHT,
        few=len(page.evaluation.classes) <= FEW,
        most=MOST,
    )


def template(name: str, package: str = "cnnatomy.report") -> Template:
    """A template of this folder, or of another package, with escaping on and the pages' own style at hand."""
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "count": "{:,}".format, "embed": embed, "shown": shown}
    environment.globals["style"] = Markup((Path(__file__).parent / "page.css").read_text("utf-8"))
    return environment.get_template(name)


def save(page: Page, path: Path) -> Path:
    """Render the page to a file, whole or not at all."""
    write_whole(path, render(page).encode("utf-8"))
    return path


def sealed(script: str) -> dict[str, Markup | str]:
    """A script as a page embeds it, and the digest by which the page's policy lets it alone run.

    Source: W3C, Content Security Policy Level 3, section 6.7.2.3: SHA-256 of the element's text, in base64.
    """
    text = f"\n{script}\n"
    digest = hashlib.sha256(text.encode()).digest()
    return {"script": Markup(text), "digest": base64.b64encode(digest).decode()}


def embed(png: bytes) -> str:
    """A picture as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
