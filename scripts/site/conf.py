"""Settings of the documentation's site: `make docs` builds it from docs/ and from the docstrings."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT))

import cnnatomy  # noqa: E402
from scripts.site import reference  # noqa: E402

project = "cnnatomy"
author = "The cnnatomy developers"
project_copyright = author
version = release = cnnatomy.__version__

extensions = ["myst_parser", "scripts.site.directives", "scripts.site.links"]
source_suffix = {".md": "markdown"}
default_role = "literal"
html_theme = "furo"
html_title = f"cnnatomy {release}"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5fa8", "color-brand-content": "#1f5fa8"},
    "dark_css_variables": {"color-brand-primary": "#7db7ff", "color-brand-content": "#7db7ff"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
myst_heading_anchors = 4

reference.write(ROOT / "docs" / "reference")
