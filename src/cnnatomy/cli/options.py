"""The flags of `train`: the fields of `FitConfig` with their own documentation, in groups that help shows."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import Field, dataclass, field, fields, make_dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import tyro

from cnnatomy.cli.parsing import Common, Switch
from cnnatomy.train.config import PRESETS, FitConfig

GROUPS: dict[str, tuple[str, ...]] = {
    "data": ("fit", "skip_bad", "test_fraction", "validation", "data_dir"),
    "model": ("model", "size", "pool", "output"),
    "finetuning": ("weights", "freeze", "lr_decay"),
    "optimisation": ("epochs", "batch_size", "lr", "weight_decay", "smoothing", "clip", "augment", "seed"),
    "computing": ("threads", "device", "checkpoint_every"),
}
"""Every field of `FitConfig` but the data, which is no flag."""
_PRESET = f"Start from a preset, which other options then change: {', '.join(PRESETS)}."
METAVARS = {"int": "INT", "float": "NUMBER", "str": "NAME", "data_dir": "DIR"}
METAVARS |= {"weights": "SOURCE", "freeze": "WHAT"}


@dataclass(frozen=True)
class RunOptions(Common):
    """Where the run goes and what is said about it."""

    run: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of the run. Left out: the next free runs/DATA-MODEL-NUMBER."""
    resume: Switch = False
    """Go on with the run in --run, with its own settings."""
    preset: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="", help=_PRESET)] = None
    quiet: Switch = False
    """Print only the run's folder, when it is done."""


@cache
def groups() -> dict[str, Any]:
    """A dataclass for each group of flags."""
    hints, documents = get_type_hints(FitConfig), documentation(FitConfig)
    known = {member.name: member for member in fields(FitConfig)}
    flags = {name: _flag(member, hints[name], documents[name]) for name, member in known.items()}
    return {group: make_dataclass(group, [flags[one] for one in names]) for group, names in GROUPS.items()}


@cache
def train_arguments() -> Any:
    """The dataclass that tyro reads the arguments of `train` into: the data, the groups, and the run."""
    help_text = documentation(FitConfig)["data"]
    data = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA", help=help_text)]
    members: list[tuple[str, Any, Any]] = [("source", data, field(default=FitConfig.data))]
    members += [(name, group, field(default_factory=group)) for name, group in groups().items()]
    members += [("run", RunOptions, field(default_factory=RunOptions))]
    return make_dataclass("Train", members)


def to_config(arguments: Any, base: FitConfig) -> FitConfig:
    """The configuration that parsed arguments stand for, with ~ for the home folder spelt out.

    A switch can only be turned on: one that `base` has on stays on.
    """
    values = {one: getattr(getattr(arguments, group), one) for group in GROUPS for one in GROUPS[group]}
    values |= {one: True for one in values if getattr(base, one) is True}
    values["data"] = arguments.source
    for name in ("data", "data_dir"):
        if (values[name] or "").startswith("~"):
            values[name] = str(Path(values[name]).expanduser())
    return FitConfig(**values)


def to_arguments(config: FitConfig) -> Any:
    """The arguments that stand for a configuration: the defaults that a preset or a resumed run brings."""
    given = {one: value for one, value in vars(config).items() if not isinstance(value, bool)}
    made = {
        name: group(**{one: given[one] for one in GROUPS[name] if one in given})
        for name, group in groups().items()
    }
    return train_arguments()(source=config.data, **made)


def documentation(kind: type) -> dict[str, str]:
    """The string below each field of a dataclass.

    Example:
        >>> documentation(FitConfig)["seed"][:7]
        'Decides'
    """
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    return {
        member.target.id: inspect.cleandoc(str(text.value.value))
        for member, text in pairwise(body.body)
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _flag(member: Field[Any], hint: Any, document: str) -> tuple[str, Any, Any]:
    """One field as a flag; where None is the default, its text says what it does, not "(default: None)"."""
    kind = next(one for one in get_args(hint) or (hint,) if one is not type(None))
    shown = tyro.conf.arg(
        help=document.replace("None:", "Left out:"),
        metavar=METAVARS.get(member.name) or METAVARS.get(kind.__name__),
        help_behavior_hint="" if member.default is None or kind is bool else None,
    )
    flag: Any = Annotated[hint, tyro.conf.FlagCreatePairsOff, shown]
    return member.name, flag, field(default=member.default)
