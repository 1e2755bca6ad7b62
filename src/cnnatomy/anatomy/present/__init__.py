"""An anatomy shown: on a terminal, in a notebook, as Markdown, CSV or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack, cast

from cnnatomy.anatomy.present.rows import Choice, View
from cnnatomy.anatomy.readings import Reading

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cnnatomy.anatomy.result import Anatomy

__all__ = ["Choice", "Presented", "Reading", "View"]


class Presented:
    """What an anatomy can be printed as; the same numbers everywhere.

    The forms of the table take what is chosen of it by name: `columns`, names in order of `path`, `type`,
    `output`, `parameters`, `macs`, `flops`, `memory`, `saved`, `field`, `jump`, `start`, `padding`,
    `intensity` and `share`; `depth`, the deepest level of modules that has rows of its own, what lies below
    being summed there; `sort`, a column to sort by, the largest first; `operations=True`, a row for every
    operator in place of every layer; `reading="local"`, receptive fields with reductions over a whole map
    set aside. They raise an `ArgumentError` where there is no such column, depth or reading.
    """

    def show(self, **choice: Unpack[Choice]) -> RenderableType:
        """The table for rich to print, in the width that there is."""
        from cnnatomy.anatomy.present.terminal import Terminal

        return Terminal(self._anatomy, View(**choice))

    def to_markdown(self, **choice: Unpack[Choice]) -> str:
        """The table in Markdown."""
        from cnnatomy.anatomy.present import texts

        return texts.markdown(self._anatomy, View(**choice))

    def to_csv(self, **choice: Unpack[Choice]) -> str:
        """The rows as comma-separated values, numbers bare, every column if none is chosen, no total line."""
        from cnnatomy.anatomy.present import texts

        return texts.comma_separated(self._anatomy, View(**choice))

    def to_html(self, **choice: Unpack[Choice]) -> str:
        """The table as one HTML element that carries its own style."""
        from cnnatomy.anatomy.present import texts

        return texts.element(self._anatomy, View(**choice))

    def to_json(self) -> str:
        """Everything but the recorded pass as one JSON object, in the format of `docs/anatomy.md`."""
        from cnnatomy.anatomy.present import records

        return records.to_json(self._anatomy)

    @staticmethod
    def from_json(text: str) -> Anatomy:
        """The anatomy that `to_json` wrote, equal to it.

        Raises:
            ArgumentError: the text is something else.
        """
        from cnnatomy.anatomy.present import records

        return records.from_json(text)

    @property
    def _anatomy(self) -> Anatomy:
        return cast("Anatomy", self)

    def __rich__(self) -> RenderableType:
        return self.show()

    def __str__(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        return self.to_html()
