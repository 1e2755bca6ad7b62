"""The numbers view: one operator on typed, drawn or quoted numbers, step by step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnatomy.errors import ArgumentError, CnnatomyError
from cnnatomy.explain import Disagreement, Explanation
from cnnatomy.explain.explaining import Draft, draft
from cnnatomy.explain.explanation_page import parts
from cnnatomy.explain.explanation_text import agreement
from cnnatomy.explain.record import Record
from cnnatomy.explain.typed import rows
from cnnatomy.lab.limits import PLANES, SIDE
from cnnatomy.lab.offered_operators import OPERATORS
from cnnatomy.lab.reply import Reply
from cnnatomy.lab.settings_form import Field, Form
from cnnatomy.lab.view_document import document, file_of, told
from cnnatomy.lab.worked_examples import EXAMPLES

_OPERATOR = Field("op", "operator", "pool", "choice", tuple(OPERATORS), changes=True)
_GIVEN = (
    Field(
        "x", "numbers", kind="rows", hint="rows by ; or lines, channels by |; left empty: drawn", changes=True
    ),
)
_DRAWN = Field("size", "rows and columns", "5x5", hint="up to 16x16")
_SEED = Field("seed", "seed", "0", hint="of what is drawn")
_REST = (
    Field("grad", "gradient of y", kind="rows", hint="left empty: 1"),
    Field("channel", "channel", "0"),
    Field("dtype", "computed in", "float32", "choice", ("float32", "float64")),
    Field("at", "output", kind="hidden"),
    Field("cell", "cell", kind="hidden"),
)


def form_of(query: Mapping[str, str]) -> Form:
    """The fields that an address calls for."""
    operator = OPERATORS.get(query.get("op", _OPERATOR.default), OPERATORS[_OPERATOR.default])
    drawn = () if query.get("x", "").strip() else (_DRAWN,)
    own = [_OPERATOR, *_GIVEN, *drawn, *operator.fields(query), _SEED, *_REST]
    return Form(own, {one.name: query[one.name] for one in own if one.name in query})


@dataclass(frozen=True)
class Worked:
    """The draft of what an address asks for, and where its reader stands."""

    draft: Draft
    cell: int | None = None


def work(form: Form) -> Worked:
    """Write down what is asked for.

    Raises:
        CnnatomyError: it cannot be done; says why.
    """
    dtype = getattr(torch, form.choice("dtype"))
    seed = form.whole("seed", 0, 10**9)
    drawing = torch.Generator().manual_seed(seed)

    def numbers(name: str, text: str, shape: tuple[int, ...]) -> Tensor:
        if not text:
            return torch.randint(-2, 3, shape, generator=drawing).to(dtype)
        found = planes(name, text).to(dtype)
        return found if found.dim() == len(shape) else found[:, None]  # one row over a map

    x = _given(form, drawing).to(dtype)
    asked = OPERATORS[form.choice("op")].asked(form, x, numbers)
    channel, axes = form.whole("channel", 0, 999), asked.axes or asked.x.dim() - 2
    made = draft(asked.what, asked.x, (channel, *(0,) * axes), _gradient(form), **asked.options)
    return Worked(made, _stand(form, made.record))


def _gradient(form: Form) -> Tensor | float | None:
    said = form.text("grad")
    if not said:
        return None
    found = rows("gradient of y", said)
    return float(found) if found.numel() == 1 else found


def _stand(form: Form, record: Record) -> int | None:
    """Let the record begin at the output that an address names, if it is one; the cell that it names."""
    made = Explanation(record)
    with suppress(CnnatomyError):
        if place := place_of(form["at"]):
            made.output(place)
            record["at"] = [
                i - first for i, first in zip(place, record["tensors"]["y"]["start"], strict=True)
            ]
    with suppress(CnnatomyError):
        if place := place_of(form["cell"]):
            return made.cell(place)
    return None


def planes(name: str, text: str) -> Tensor:
    """Channels of numbers (C, *spatial), parted by |.

    Raises:
        ArgumentError: they are no numbers, too many, or differ in size.

    Example:
        >>> planes("x", "1 2; 3 4 | 5 6; 7 8").shape
        torch.Size([2, 2, 2])
    """
    found = [rows(name, part) for part in text.split("|")]
    if len({one.shape for one in found}) > 1:
        raise ArgumentError(
            name, expected="channels of one size", got=str([tuple(one.shape) for one in found])
        )
    if len(found) > PLANES or any(n > SIDE for n in found[0].shape):
        got = f"{len(found)} of {'x'.join(map(str, found[0].shape))}"
        raise ArgumentError(name, expected=f"at most {PLANES} channels of {SIDE}x{SIDE}", got=got)
    return torch.stack(found)


def _given(form: Form, drawing: torch.Generator) -> Tensor:
    text = form.text("x")
    if text:
        return planes("numbers", text)
    size = form.sizes("size", SIDE) or 5
    each = size if isinstance(size, tuple) else (size, size)
    return torch.randint(0, 10, (1, *each), generator=drawing).float()


def place_of(said: str) -> tuple[int, ...] | None:
    """A place such as 1,2; None if it is none."""
    return tuple(map(int, said.split(","))) if re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4}){0,3}", said) else None


def page(query: Mapping[str, str], picture: bytes = b"") -> Reply:
    """The view."""
    form = form_of(query)
    try:
        worked = work(form)
    except CnnatomyError as error:
        return document("numbers", form, error=str(error), examples=EXAMPLES)
    record = worked.draft.record
    shown, data = parts(record, worked.cell)
    return document("numbers", form, shown, data, title=record["operator"]["name"], examples=EXAMPLES)


def check(query: Mapping[str, str], picture: bytes = b"") -> Reply:
    """Whether the record agrees with the operator and with autograd, or the disagreement."""
    try:
        return told(agreement(work(form_of(query)).draft.checked().record))
    except Disagreement as error:
        return told([], f"the record disagrees with the operator: {error}")
    except CnnatomyError as error:
        return told([], str(error))


def saved(query: Mapping[str, str], ending: str, picture: bytes = b"") -> Reply:
    """The view as a file, checked first.

    Raises:
        CnnatomyError: there is no explanation, or none that is right, or it is too large.
    """
    worked = work(form_of(query))
    return file_of(worked.draft.checked().record, ending)
