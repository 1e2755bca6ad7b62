"""What differs between two networks, as records and as tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from cnnatomy.anatomy.present import number_text
from cnnatomy.anatomy.shapes import sizes

if TYPE_CHECKING:
    from rich.console import RenderableType

BYTES = ("activations", "saved", "weights memory", "inference peak", "saved for backward", "training peak")
"""The facts that are bytes."""
_FOLDED = 3
"""From so many layers on, fields that differ by the same are one row."""
_STYLES = {"added": "green", "removed": "red", "changed": "yellow", "renamed": "cyan"}


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that two layers, or two networks, do not share."""

    what: str
    """`type`, `output`, `parameters`, `macs`, `flops`, `activations`, `saved`, `field`, or a total."""
    before: object
    after: object

    @property
    def ratio(self) -> float | None:
        """After to before, where both are numbers and before is not 0."""
        numbers = isinstance(self.before, int | float) and isinstance(self.after, int | float)
        return self.after / self.before if numbers and self.before else None  # type: ignore[operator]

    def __str__(self) -> str:
        return f"{self.what} {_cell_text(self.what, self.before)} → {_cell_text(self.what, self.after)}"


@dataclass(frozen=True, slots=True)
class Pair:
    """A layer of one network and the one that stands for it in the other; None where there is none."""

    before: str | None
    """Its path in the first network."""
    after: str | None
    """Its path in the second."""
    type: str
    """The type of the one that there is, the first if there are both."""
    changes: tuple[Change, ...] = ()
    parameters: int = 0
    """The layer's own, where only one network has it."""

    @property
    def kind(self) -> str:
        """`removed`, `added`, `renamed`, `changed` or `same`."""
        if self.before is None or self.after is None:
            return "added" if self.before is None else "removed"
        if self.before != self.after:
            return "renamed"
        return "changed" if self.changes else "same"


@dataclass(frozen=True, repr=False)
class Difference:
    """What differs between two networks; printed, it is a table."""

    models: tuple[str, str]
    totals: tuple[Change, ...]
    """The sums of both, equal ones too."""
    pairs: tuple[Pair, ...]
    """Every layer of either, in the order of the first, the added ones where they stand in the second."""
    reasons: tuple[str | None, str | None] = (None, None)
    """Why either was measured only in part."""

    def __bool__(self) -> bool:
        return any(pair.kind != "same" for pair in self.pairs)

    def __iter__(self) -> Iterator[Pair]:
        """The pairs that are not the same."""
        return (pair for pair in self.pairs if pair.kind != "same")

    @property
    def counts(self) -> dict[str, int]:
        """How many layers are the same, changed, renamed, added and removed."""
        kinds = [pair.kind for pair in self.pairs]
        return {kind: kinds.count(kind) for kind in ("same", "changed", "renamed", "added", "removed")}

    def to_markdown(self) -> str:
        """Totals and layers as two tables in Markdown."""
        head = f"**{_title(self)}**"
        totals = [["total", *self.models, "ratio"], *_totals(self)]
        layers = [["", "layer", "type", "what differs"], *_layers(self)]
        tables = [_piped(totals, right=True)] + ([_piped(layers)] if len(layers) > 1 else [])
        return "\n\n".join([head, *tables, *_notes(self)]) + "\n"

    def to_json(self) -> str:
        """The models, the totals, every pair that is not the same, and the counts."""
        facts = {
            "models": self.models,
            "totals": [asdict(change) for change in self.totals],
            "counts": self.counts,
            "layers": [{"kind": pair.kind, **asdict(pair)} for pair in self],
            "reasons": self.reasons,
        }
        return json.dumps(facts, indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        return self.to_markdown()

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def __rich__(self) -> RenderableType:
        from rich.box import SIMPLE_HEAD
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        totals, layers = Table(box=SIMPLE_HEAD, pad_edge=False), Table(box=SIMPLE_HEAD, pad_edge=False)
        for title in ("total", *self.models, "ratio"):
            totals.add_column(
                Text(title, "bold"), justify="left" if title == "total" else "right", no_wrap=True
            )
        for title in ("", "layer", "type", "what differs"):
            layers.add_column(Text(title, "bold"), no_wrap=title == "", overflow="fold")
        for cells in _totals(self):
            totals.add_row(*map(Text, cells))
        for kind, *cells in _layers(self):
            layers.add_row(Text(kind, _STYLES.get(kind, "")), *map(Text, cells))
        parts: list[RenderableType] = [Text(_title(self), "bold"), totals]
        parts += [layers] if layers.row_count else []
        return Group(*parts, *(Text(note, "dim") for note in _notes(self)))


def _title(difference: Difference) -> str:
    counts = ", ".join(f"{number} {kind}" for kind, number in difference.counts.items() if number)
    return f"{difference.models[0]} → {difference.models[1]}: layers {counts or 'none'}"


def _totals(difference: Difference) -> list[list[str]]:
    rows = []
    for change in difference.totals:
        ratio = "" if change.ratio is None else f"×{number_text.ratio(change.ratio)}"
        rows.append(
            [
                change.what,
                _cell_text(change.what, change.before),
                _cell_text(change.what, change.after),
                ratio,
            ]
        )
    return rows


def _layers(difference: Difference) -> list[list[str]]:
    """A row for each layer that differs; what follows in fields alone from a layer before is one row."""
    rows: list[list[str]] = []
    for step, some in groupby(difference, _inherited):
        pairs = list(some)
        if step and len(pairs) >= _FOLDED:
            rows.append(["changed", f"from {pairs[0].after} on", "", f"field {step}, {len(pairs)} layers"])
        else:
            rows += _rows(pairs)
    return rows


def _inherited(pair: Pair) -> str:
    """By how many cells a layer's field differs, as `+4`, where nothing else of it does; else empty."""
    if pair.kind != "changed" or [change.what for change in pair.changes] != ["field"]:
        return ""
    before, after = (_cells(value) for value in (pair.changes[0].before, pair.changes[0].after))
    steps = {b - a for one, two in zip(before, after, strict=False) for a, b in zip(one, two, strict=False)}
    whole = [len(one) for one in before] == [len(two) for two in after]
    return f"{steps.pop():+d}" if whole and len(steps) == 1 else ""


def _cells(field: object) -> list[list[int]]:
    """The sizes of a field by axis and phase; none for an axis that has no size."""
    axes = field if isinstance(field, tuple) else ()
    return [[int(size) for size in str(axis).split("/") if size.isdigit()] for axis in axes]


def _rows(pairs: Sequence[Pair]) -> list[list[str]]:
    rows = []
    for pair in pairs:
        path = " → ".join(
            dict.fromkeys(path or "(itself)" for path in (pair.before, pair.after) if path is not None)
        )
        alone = [f"{number_text.exact(pair.parameters)} parameters"] if pair.parameters else []
        rows.append([pair.kind, path, pair.type, ", ".join(map(str, pair.changes)) or "".join(alone)])
    return rows


def _notes(difference: Difference) -> list[str]:
    partly = zip(difference.models, difference.reasons, strict=True)
    return [f"partial: {model}: {reason}" for model, reason in partly if reason is not None]


def _cell_text(what: str, value: object) -> str:
    """A fact as people read it: bytes with their unit, numbers with separators, shapes with crosses."""
    if isinstance(value, int):
        return number_text.stored(value) if what in BYTES else number_text.exact(value)
    if isinstance(value, tuple):
        return (
            ", ".join(sizes(one) if isinstance(one, tuple) else str(one) for one in value) or number_text.NONE
        )
    return number_text.UNKNOWN if value is None else str(value)


def _piped(rows: list[list[str]], *, right: bool = False) -> str:
    head, *body = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    rule = ["---", *("---:" if right else "---" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))
