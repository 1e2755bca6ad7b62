"""What is known of a network on each of many input sizes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cnnatomy.anatomy.shapes import Shape

if TYPE_CHECKING:
    from rich.console import RenderableType

NONE = "nothing is lost"


@dataclass(frozen=True, slots=True)
class Loss:
    """Cells that an operator's windows do not reach."""

    layer: str
    """The path of the layer that it runs in."""
    axis: int
    """The axis of its input, such as 2 for y and 3 for x of a picture."""
    n: int
    """Cells of that axis."""
    cells: int
    """How many of them, at its end, no window reaches."""

    def __str__(self) -> str:
        return f"{self.layer or 'the model'} loses {self.cells} of {self.n}"


@dataclass(frozen=True, slots=True)
class InputSize:
    """What becomes of one input size."""

    size: int
    losses: tuple[Loss, ...] = ()
    """Windows that do not divide what they are given, in running order."""
    unread: tuple[tuple[int, int], ...] = ()
    """(axis, cells): cells of the input that reach no output of the network."""
    outputs: tuple[Shape, ...] = ()
    """Shapes of what the network returns."""
    reason: str | None = None
    """Why it cannot run on this size; None if it can."""
    determined: bool = True
    """Whether it is known which cells reach an output: of very large networks that takes too much memory."""

    @property
    def clean(self) -> bool:
        """Whether it runs, every window divides its input, and every cell reaches an output."""
        return self.reason is None and not self.losses and not self.unread and self.determined

    @property
    def told(self) -> str:
        """What is lost, in words, the same for both axes said once."""
        if self.reason is not None:
            return f"does not run: {self.reason}"
        lines = list(dict.fromkeys(map(str, self.losses)))
        worst = max((cells for _, cells in self.unread), default=0)
        lines += [f"{worst} of {self.size} input cells reach no output"] if worst else []
        lines += [] if self.determined else ["whether every input cell reaches an output: not determined"]
        return "; ".join(lines) or NONE


@dataclass(frozen=True, repr=False)
class InputSizes:
    """A network on many input sizes; printed, it says which divide cleanly and what the others lose."""

    model: str
    tried: tuple[InputSize, ...]
    """One for each size, in order."""

    @property
    def clean(self) -> tuple[int, ...]:
        """The sizes on which nothing is lost."""
        return tuple(one.size for one in self.tried if one.clean)

    @property
    def running(self) -> tuple[int, ...]:
        """The sizes on which the network runs."""
        return tuple(one.size for one in self.tried if one.reason is None)

    def nearest(self, size: int) -> tuple[int, ...]:
        """The nearest clean sizes, up to one below or at the size and one above.

        Example:
            >>> InputSizes("Net", (InputSize(6), InputSize(7, reason="no"), InputSize(9))).nearest(7)
            (6, 9)
        """
        below = [clean for clean in self.clean if clean <= size]
        above = [clean for clean in self.clean if clean > size]
        return (*below[-1:], *above[:1])

    def __getitem__(self, size: int) -> InputSize:
        return next(one for one in self.tried if one.size == size)

    def __iter__(self) -> Iterator[InputSize]:
        return iter(self.tried)

    def to_json(self) -> str:
        """The model, the clean sizes, and every size with what it loses."""
        facts = {"model": self.model, "clean": self.clean, "sizes": [asdict(one) for one in self.tried]}
        return json.dumps(facts, indent=2, ensure_ascii=False)

    def to_markdown(self) -> str:
        """The clean sizes, and a table of the others in Markdown, sizes with the same loss in one line."""
        rows = [f"| {sized} | {sentence.replace('|', chr(92) + '|')} |" for sized, sentence in self._groups()]
        table = ["\n".join(["| sizes | lost |", "| --- | --- |", *rows])] if rows else []
        return "\n\n".join([f"**{self._title}**", self._summary, *table]) + "\n"

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

        grid = Table(box=SIMPLE_HEAD, pad_edge=False)
        grid.add_column(Text("sizes", "bold"), overflow="fold", max_width=40)
        grid.add_column(Text("what is lost", "bold"), overflow="fold")
        for row in self._groups():
            grid.add_row(*map(Text, row))
        parts: list[RenderableType] = [
            Text(self._title, "bold"),
            Text(self._summary, "green" if self.clean else ""),
        ]
        return Group(*parts, *([grid] if grid.row_count else []))

    @property
    def _title(self) -> str:
        return f"{self.model} on inputs of {runs([one.size for one in self.tried])}"

    @property
    def _summary(self) -> str:
        return f"clean: {runs(self.clean)}" if self.clean else "clean: none of them"

    def _groups(self) -> list[tuple[str, str]]:
        """Sizes that lose the same layers' cells, in order of their first."""
        kinds: dict[object, list[InputSize]] = {}
        for one in self.tried:
            if not one.clean:
                kinds.setdefault(_kind(one), []).append(one)
        return [(runs([one.size for one in group]), _group_sentence(group)) for group in kinds.values()]


def runs(numbers: Sequence[int]) -> str:
    """Numbers in words, evenly spaced ones as a range.

    Example:
        >>> runs([200, 201, 202, 203]), runs([32, 64, 96, 128]), runs([7]), runs([1, 2, 5, 6, 7, 8])
        ('200..203', '32, 64 .. 128', '7', '1, 2, 5..8')
    """
    parts, rest = [], list(numbers)
    while rest:
        step = rest[1] - rest[0] if len(rest) > 1 else 1
        count = next((i for i in range(1, len(rest)) if rest[i] - rest[i - 1] != step), len(rest))
        if count < (3 if step == 1 else 4):
            count, part = 1, str(rest[0])
        else:
            part = (
                f"{rest[0]}..{rest[count - 1]}" if step == 1 else f"{rest[0]}, {rest[1]} .. {rest[count - 1]}"
            )
        parts.append(part)
        rest = rest[count:]
    return ", ".join(parts)


def _kind(one: InputSize) -> object:
    if one.reason is not None:
        return one.reason
    return tuple(dict.fromkeys((loss.layer, loss.cells) for loss in one.losses)), one.unread


def _group_sentence(group: Sequence[InputSize]) -> str:
    """What the sizes of a group lose; the number of cells that a layer is given only where it is one."""
    if len(group) == 1 or group[0].reason is not None:
        return group[0].told
    pairs = dict.fromkeys((loss.layer, loss.cells) for loss in group[0].losses)
    lines = [f"{layer or 'the model'} loses {cells}" for layer, cells in pairs]
    worst = max((cells for _, cells in group[0].unread), default=0)
    cells = "1 input cell reaches" if worst == 1 else f"{worst} input cells reach"
    return "; ".join([*lines, *([f"{cells} no output"] if worst else [])])
