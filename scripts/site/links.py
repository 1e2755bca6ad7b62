"""Links that lead out of docs/: to pages of the site where it has them, else only their words."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

OUTSIDE = re.compile(r"\[([^\]]*)\]\((?:\.\./)+([^)#]*)(#[^)]*)?\)")
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def kept_inside(text: str, up: str = "") -> str:
    """Rewrite the links of a page that lead out of docs/; `up` leads from the page to docs/.

    Example:
        >>> kept_inside("[new](../CHANGELOG.md#soon), [rows](../benchmarks/results)")
        '[new](changelog.md#soon), rows'
    """

    def rewritten(link: re.Match[str]) -> str:
        words, path, anchor = link.groups()
        if path.endswith(".md") and path not in PAGES:
            return link[0]
        return f"[{words}]({up}{PAGES[path]}{anchor or ''})" if path in PAGES else words

    return OUTSIDE.sub(rewritten, text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Rewrite every page as it is read."""

    def read(_app: Sphinx, name: str, source: list[str]) -> None:
        source[0] = kept_inside(source[0], "../" * name.count("/"))

    app.connect("source-read", read)
    return {"parallel_read_safe": True}
