"""What pages of the site may hold beside text: an explanation to step through, and their own notebook."""

from __future__ import annotations

import ast
import posixpath
from pathlib import Path
from typing import Any, ClassVar

import torch
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx.application import Sphinx

import cnnatomy
from scripts.site import notebooks


def evaluated(code: str) -> Any:
    """Run the statements of a block, and return the value of its last line."""
    tree, names = ast.parse(code), {"torch": torch, "ca": cnnatomy}
    last = tree.body.pop()
    if not isinstance(last, ast.Expr):
        raise ValueError(f"the last line of an explanation is a value, got {ast.unparse(last)}")
    exec(compile(tree, "<docs>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<docs>", "eval"), names)


class SiteDirective(Directive):  # type: ignore[misc]
    """A block that writes a file into the site, and refers to it from the page."""

    def place(self, address: str) -> tuple[Path, str]:
        """Return where a file of the site is written, and its address seen from this page."""
        env = self.state.document.settings.env
        path = Path(env.app.outdir) / address
        path.parent.mkdir(exist_ok=True)
        return path, posixpath.relpath(address, posixpath.dirname(env.docname) or ".")


class Explanation(SiteDirective):
    """The page of `cnnatomy.explain`, in a frame, and below it the lines that made it."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"height": directives.nonnegative_int}

    def run(self) -> list[nodes.Node]:
        """Compute the explanation, save its page and frame it."""
        code, name = "\n".join(self.content), self.arguments[0]
        path, address = self.place(f"explanations/{name}.html")
        evaluated(code).save(path)
        height = self.options.get("height", 420)
        frame = (
            f'<iframe class="explanation" src="{address}" title="{name.replace("-", " ")}" '
            f'style="height: {height}px" loading="lazy"></iframe>'
        )
        listing = nodes.literal_block(code, code, language="python")
        return [nodes.raw("", frame, format="html"), listing]


class Notebook(SiteDirective):
    """A link to the page as a notebook."""

    def run(self) -> list[nodes.Node]:
        """Write the notebook beside the pages."""
        env = self.state.document.settings.env
        name = f"{posixpath.basename(env.docname)}.ipynb"
        text = Path(env.doc2path(env.docname)).read_text()
        path, address = self.place(f"notebooks/{name}")
        path.write_text(notebooks.notebook(text))
        link = f'<p class="notebook"><a href="{address}" download>This chapter as a notebook</a></p>'
        return [nodes.raw("", link, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the blocks to the site."""
    app.add_directive("explanation", Explanation)
    app.add_directive("notebook", Notebook)
    return {"parallel_read_safe": True}
