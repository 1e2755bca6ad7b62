"""Settings in an address: fields with their defaults, read back as numbers and words, or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cnnatomy.errors import ArgumentError
from cnnatomy.geometry import RULES
from cnnatomy.lab.limits import TEXT

_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?(e-?[0-9]{1,2})?")


@dataclass(frozen=True)
class Field:
    """One setting.

    Args:
        name: in the address.
        label: on the page.
        default: what holds if the address says nothing.
        kind: `text`, `rows` of numbers, a `choice`, a `switch`, a `picture`, or `hidden`.
        choices: what there is to choose from.
        hint: what may be written.
        changes: whether other fields depend on it.
        group: the heading that it stands under.
    """

    name: str
    label: str
    default: str = ""
    kind: str = "text"
    choices: Sequence[str] = ()
    hint: str = ""
    changes: bool = False
    group: str = ""


@dataclass(frozen=True)
class Form:
    """The fields of a page, and what an address says of them.

    Example:
        >>> form = Form((Field("stride", "stride", "1"), Field("mode", "mode", "edge")), {"stride": "3x2"})
        >>> form.sizes("stride", 16), form["mode"]
        ((3, 2), 'edge')
        >>> form.sizes("stride", 2)
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: stride: expected 1 .. 2, one or each axis such as 2x3, got '3x2'
    """

    fields: Sequence[Field]
    said: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.said.get(name, self._field(name).default)

    def _field(self, name: str) -> Field:
        return next(one for one in self.fields if one.name == name)

    @property
    def query(self) -> dict[str, str]:
        """What differs from the defaults, in the order of the fields."""
        return {one.name: self[one.name] for one in self.fields if self[one.name] != one.default}

    def standing(self, **places: str) -> Form:
        """The same settings, with where the reader stands."""
        return Form(self.fields, {**self.said, **places})

    def text(self, name: str) -> str:
        """What is written.

        Raises:
            ArgumentError: it is too long.
        """
        if len(self[name]) > TEXT:
            raise self._wrong(name, f"at most {TEXT:,} letters", f"{len(self[name]):,}")
        return self[name].strip()

    def choice(self, name: str) -> str:
        """One of the choices.

        Raises:
            ArgumentError: it is none of them.
        """
        said = self[name]
        if said not in self._field(name).choices:
            raise self._wrong(name, f"one of {', '.join(self._field(name).choices)}", repr(said[:40]))
        return said

    def switch(self, name: str) -> bool:
        """Whether it is on."""
        return self[name] == "on"

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number.

        Raises:
            ArgumentError: it is none, or out of range.
        """
        found = re.fullmatch(r"-?[0-9]{1,9}", self[name].strip())
        if not found or not low <= int(found[0]) <= high:
            raise self._wrong(name, f"a whole number in {low} .. {high}")
        return int(found[0])

    def sizes(self, name: str, most: int, least: int = 1) -> int | tuple[int, ...] | None:
        """A size for all axes, or one for each; None if nothing is written.

        Raises:
            ArgumentError: it is neither, or out of range.
        """
        said = self[name].strip()
        if not said:
            return None
        words = said.split("x")
        if len(words) > 2 or not all(re.fullmatch(r"[0-9]{1,5}", one) for one in words):
            raise self._wrong(name, f"{least} .. {most}, one or each axis such as 2x3")
        found = tuple(map(int, words))
        if not all(least <= one <= most for one in found):
            raise self._wrong(name, f"{least} .. {most}, one or each axis such as 2x3")
        return found[0] if len(found) == 1 else found

    def number(self, name: str, low: float, high: float) -> float:
        """A number.

        Raises:
            ArgumentError: it is none, or out of range.
        """
        said = self[name].strip()
        if not _NUMBER.fullmatch(said) or not low <= float(said) <= high:
            raise self._wrong(name, f"a number in {low:g} .. {high:g}")
        return float(said)

    def padding(self, name: str, most: int) -> Any:
        """Cells on both sides, a `before,after` pair, or a rule's name.

        Raises:
            ArgumentError: it is none of these, or out of range.
        """
        said = self[name].strip()
        if said in RULES:
            return said
        pair = [int(one) for one in said.split(",") if re.fullmatch(r"[0-9]{1,5}", one)]
        if not 1 <= len(pair) <= 2 or len(pair) != said.count(",") + 1 or max(pair) > most:
            raise self._wrong(name, f"0 .. {most}, before,after, or {', '.join(RULES)}")
        return pair[0] if len(pair) == 1 else (tuple(pair),) * 2

    def literal(self, name: str) -> Any:
        """A number, sizes such as 2x3 or 1,2,4, a switch, or a word."""
        said = self[name].strip()
        if self._field(name).kind == "switch":
            return said == "on"
        if said in ("", "None"):
            return None
        if _NUMBER.fullmatch(said):
            return int(said) if said.lstrip("-").isdigit() else float(said)
        if re.fullmatch(r"[0-9]{1,4}([x,][0-9]{1,4}){1,7}", said):
            return tuple(int(one) for one in re.split("[x,]", said))
        if re.fullmatch(r"[a-z_]{1,20}", said):
            return float(said) if said in ("inf", "nan") else said
        raise self._wrong(name, "a number, a size or a word")

    def _wrong(self, name: str, expected: str, got: str = "") -> ArgumentError:
        return ArgumentError(self._field(name).label, expected=expected, got=got or repr(self[name][:40]))
