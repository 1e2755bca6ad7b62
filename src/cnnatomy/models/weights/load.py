"""Loading weights into a network: all of them or none, and what was done is reported."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.models.weights.errors import WeightsError
from cnnatomy.models.weights.head import find_head
from cnnatomy.models.weights.hub import find
from cnnatomy.models.weights.library_names import COUNTER
from cnnatomy.models.weights.match import Match, match
from cnnatomy.models.weights.preprocessing import Preprocessing
from cnnatomy.models.weights.weight_files import Weights, of_dict

LISTED = 10
"""How many names of one kind a message lists."""


@dataclass(frozen=True)
class Report:
    """What loading did.

    `way` is how names were matched, `loaded` how many tensors were taken over, `kept` the network's own that
    stayed as they were, `unused` those of the source that nothing asked for. The lists that follow are empty
    unless `strict=False` let something pass.
    """

    source: str
    way: str
    loaded: int
    kept: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None

    def line(self) -> str:
        """What was matched, and whether the head begins anew, in a line.

        Example:
            >>> Report("mine.pth", "by name", 26, kept=("fc.weight", "fc.bias")).line()
            'mine.pth: 26 tensors matched by name, 0 missing; the head begins anew: fc.weight, fc.bias'
        """
        anew = [name for name in self.kept if not name.endswith(COUNTER)]
        head = f"; the head begins anew: {_listed(anew)}" if anew else "; the head included"
        others = [name for name in self.unused if name not in anew]  # where the head is, is said
        aside = f"; left aside: {_listed(others)}" if others else ""
        matched = f"{self.loaded} tensors matched {self.way}, {len(self.missing)} missing"
        return "; ".join([f"{self.source}: {matched}{head}{aside}", *self.notes])

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.loaded} tensors matched {self.way}", *self.notes]
        lists = {name: getattr(self, name) for name in ("kept", "unused", "missing", "unexpected", "unfit")}
        lines += [f"{name}: {_listed(found)}" for name, found in lists.items() if found]
        return "\n  ".join(lines)


def load_weights(
    model: nn.Module,
    source: str | Path | Mapping[str, Any],
    *,
    name: str | None = None,
    strict: bool = True,
    head: Literal["keep", "new"] = "keep",
) -> Report:
    """Take over weights of torchvision, timm, transformers or one's own, by a checked map of names.

    Everything is compared before anything is written: names as they are, then by the rules of
    `cnnatomy.models.weights.library_names`, then, where only names differ, layer by layer in order. Values
    are brought to the network's dtype. If the source says how pictures are prepared, the network gets it as
    `model.preprocessing`.

    Args:
        model: any network.
        source: a file (safetensors or torch), a folder laid out as on a hub, a dictionary of tensors, or
            `"torchvision:NAME"`, `"timm:NAME"`, `"hf:OWNER/REPOSITORY"`, which are fetched once.
        name: the network's name, which `"torchvision"` or `"timm"` alone then stand for.
        strict: refuse unless everything fits; otherwise take over what does, and report the rest.
        head: `"keep"` loads the last layer too, `"new"` leaves the network's own (for other classes).

    Returns:
        What was matched how, and what was left.

    Raises:
        WeightsError: the source cannot be found or read, or does not fit: nothing was loaded.
        ArgumentError: the network has no head to keep; or an argument is of another kind.

    Example:
        >>> given = {"module.0.weight": torch.ones(2, 3), "module.0.bias": torch.zeros(2)}
        >>> network = nn.Sequential(nn.Linear(3, 2))
        >>> print(load_weights(network, given))
        the dictionary: 2 tensors matched by name
        >>> network(torch.ones(1, 3))
        tensor([[3., 3.]], grad_fn=<AddmmBackward0>)
    """
    if head not in ("keep", "new"):
        raise ArgumentError("head", expected="'keep' or 'new'", got=repr(head))
    return _load(checks.module(model), _found(source, name), strict=strict, head=head)


def load_into(
    model: nn.Module,
    source: str | Path | Mapping[str, Any],
    name: str | None = None,
    *,
    fresh: bool = True,
) -> Report:
    """Load weights as `load_weights` does, with a new head where the source's is of other classes.

    Args:
        model: as `load_weights` takes it, and so are `source` and `name`.
        fresh: whether somebody asked for these classes, so that the head may begin anew.

    Raises:
        WeightsError: as `load_weights`; or the head alone is of other classes, and none were asked for.

    Example:
        >>> given = {"0.weight": torch.ones(3, 3), "1.weight": torch.ones(5, 3)}
        >>> network = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 2, bias=False))
        >>> load_into(network, given).kept
        ('1.weight',)
        >>> load_into(network, given, fresh=False)
        Traceback (most recent call last):
        cnnatomy.models.weights.errors.WeightsError: the weights of the dictionary are for other classes: \
expected 2, as the network has, got 5; try classes=5 for theirs, or classes=2 for a last layer \
that begins anew
    """
    checks.module(model)
    weights = _found(source, name)
    try:
        return _load(model, weights, strict=True, head="keep")
    except WeightsError:
        classes = _classes(model, weights)
        if classes is None:
            raise
        if not fresh:
            raise _other_classes(weights.source, *classes) from None
    return _load(model, weights, strict=True, head="new")


def _classes(model: nn.Module, weights: Weights) -> tuple[int, int | None] | None:
    """The classes of the network's head and of the source's, if all but the head fits."""
    try:
        head = find_head(model)
    except ArgumentError:
        return None
    ours = _tensors(model)
    found = match(ours, weights.tensors, head)
    if not found.pairs or found.faults:
        return None
    mine = next(ours[name].shape for name in found.kept if ours[name].dim() > 1)
    given = (weights.tensors[name].shape for name in found.unused)
    return mine[0], next((shape[0] for shape in given if shape[1:] == mine[1:]), None)


def _other_classes(source: str, mine: int, theirs: int | None) -> WeightsError:
    what = f"the weights of {source} are for other classes"
    anew = f"classes={mine} for a last layer that begins anew"
    hint = anew if theirs is None else f"classes={theirs} for theirs, or {anew}"
    got = None if theirs is None else str(theirs)
    return WeightsError(what, expected=f"{mine}, as the network has", got=got, hint=hint)


def _found(source: Any, name: str | None) -> Weights:
    return of_dict(source) if isinstance(source, Mapping) else find(source, name)


def _load(model: nn.Module, weights: Weights, *, strict: bool, head: str) -> Report:
    ours = _tensors(model)
    if not ours:
        hint = "building it first, such as network(text, input_size=(3, 224, 224))"
        raise WeightsError("the network has no tensors yet", hint=hint)
    found = match(ours, weights.tensors, find_head(model) if head == "new" else None)
    if not found.pairs or (strict and found.faults):
        raise _refusal(found, weights, ours)
    _copy(model, ours, weights, found)
    if weights.preprocessing is not None:
        _prepare(model, weights.preprocessing)
    return Report(
        weights.source,
        found.way,
        len(found.pairs),
        found.kept,
        found.unused,
        (*weights.notes, *_converted(found, weights, ours)),
        found.missing,
        found.unexpected,
        tuple(_unfit(pair, weights, ours) for pair in found.unfit),
        weights.preprocessing,
    )


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in model.state_dict().items() if isinstance(value, Tensor)}


def _prepare(model: nn.Module, preprocessing: Preprocessing) -> None:
    """Leave the preprocessing with the network; one in notation standardises its pictures itself."""
    model.preprocessing = preprocessing  # type: ignore[assignment]  # a plain attribute
    standardise = getattr(model, "standardise", None)
    if callable(standardise):
        standardise(preprocessing.mean, preprocessing.std)


def _copy(model: nn.Module, ours: Mapping[str, Tensor], weights: Weights, found: Match) -> None:
    """Write the values; a network on the meta device gets them as its first ones."""
    kinds = {given: weights.tensors[given] for given in found.pairs.values()}
    if odd := [given for given, tensor in kinds.items() if tensor.is_meta or tensor.layout != torch.strided]:
        what = f"some weights of {weights.source} cannot be copied"
        raise WeightsError(what, expected="dense tensors that have values", got=_listed(odd))
    bare = any(tensor.is_meta for tensor in ours.values())
    state = {
        name: weights.tensors[given].to(ours[name].dtype, copy=bare).reshape(ours[name].shape)
        for name, given in found.pairs.items()
    }
    counters = [name for name in found.kept if name.endswith(COUNTER)]
    state |= {name: torch.zeros_like(ours[name], device="cpu") for name in counters}
    there = dict(model.named_buffers()) | dict(ours)  # buffers that no state dict holds, too
    if empty := [name for name, tensor in there.items() if tensor.is_meta and name not in state]:
        what = "the network is on the meta device, and some tensors would stay without values"
        raise WeightsError(what, got=_listed(empty), hint="building it on a real device")
    model.load_state_dict(state, strict=False, assign=bare)


def _converted(found: Match, weights: Weights, ours: Mapping[str, Tensor]) -> list[str]:
    """What was done to the values on the way."""
    pairs = [(ours[a], weights.tensors[b]) for a, b in found.pairs.items()]
    kinds = sorted(
        {f"{b.dtype} became {a.dtype}".replace("torch.", "") for a, b in pairs if a.dtype != b.dtype}
    )
    reshaped = sum(a.shape != b.shape for a, b in pairs)
    return kinds + ([f"{reshaped} dense layers given as convolutions, or so asked for"] if reshaped else [])


def _refusal(found: Match, weights: Weights, ours: Mapping[str, Tensor]) -> WeightsError:
    """Say what is missing, what is unexpected and what is of another shape, with the nearest names."""
    theirs = weights.tensors
    sides = {"missing": (found.missing, ours, theirs), "unexpected": (found.unexpected, theirs, ours)}
    lines = [
        f"{len(found.missing)} missing, {len(found.unexpected)} unexpected, "
        f"{len(found.unfit)} of another shape or dtype, when matched {found.way}"
    ]
    for word, (names, here, there) in sides.items():
        others = found.unexpected if word == "missing" else found.missing
        said = (f"{name} {tuple(here[name].shape)}{_nearest(name, others, there)}" for name in names[:LISTED])
        lines += [f"{word}: {one}" for one in said] + _more(names)
    lines += [f"unfit: {_unfit(pair, weights, ours)}" for pair in found.unfit[:LISTED]] + _more(found.unfit)
    hint = None
    if not (found.missing or found.unexpected) and len({a.rpartition(".")[0] for a, _ in found.unfit}) == 1:
        hint = 'head="new", if that layer is the head and the classes are others'
    return WeightsError(
        f"the weights of {weights.source} do not fit the network", got="\n  ".join(lines), hint=hint
    )


def _more(names: Sequence[object]) -> list[str]:
    return [f"... and {len(names) - LISTED:,} more"] if len(names) > LISTED else []


def _nearest(name: str, others: Sequence[str], tensors: Mapping[str, Tensor]) -> str:
    """The likeliest counterpart of a name that has none."""
    near = difflib.get_close_matches(name, others[:1000], n=1, cutoff=0.5)
    return f", nearest {near[0]} {tuple(tensors[near[0]].shape)}" if near else ""


def _unfit(pair: tuple[str, str], weights: Weights, ours: Mapping[str, Tensor]) -> str:
    """A tensor of the network beside the given one that bears its name."""
    name, given = pair
    a, b = ours[name], weights.tensors[given]
    said = [(str(tuple(a.shape)), str(tuple(b.shape))), (str(a.dtype), str(b.dtype))]
    a_said, b_said = said[0] if a.shape != b.shape else said[1]
    return f"{name}: the network has {a_said}, the source {b_said}".replace("torch.", "")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
