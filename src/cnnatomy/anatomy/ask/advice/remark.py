"""One remark on a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, repr=False)
class Advice:
    """One remark: what is the case, why it matters, and what to do, with the numbers."""

    level: Level
    """`"error"`: cannot work as meant; `"warning"`: something is lost; `"note"`: good to know."""
    layer: str
    """The path of the layer; `""` for the model itself."""
    what: str
    why: str
    """Why it matters, and by which source."""
    remedy: str
    numbers: dict[str, Any] = field(default_factory=dict)
    """The figures that are told, by name."""
    also: tuple[str, ...] = ()
    """Other layers of which the same is true."""

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        where = f"{self.layer}: " if self.layer else ""
        return f"{self.level}: {where}{self.what}; {self.why}; {self.remedy}"
