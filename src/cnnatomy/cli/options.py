"""The flags of `train`: the settings with their own documentation, in groups that help shows."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass, field, make_dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import tyro

from cnnatomy.cli.argument_parsing import Common, Switch
from cnnatomy.errors import ArgumentError
from cnnatomy.train.settings import HOMES, PARTS, PRESETS, Settings, default_of, kind_of

GROUPS: dict[str, tuple[str, ...]] = {
    "data": (
        *("fit", "skip_bad", "test_fraction", "validation", "limit", "train_fraction", "data_dir"),
        *("balanced", "class_weights"),
    ),
    "network": ("model", "size", "pool", "output", "weights", "freeze", "lr_decay"),
    "length": ("epochs", "time", "patience", "restarts"),
    "optimisation": (
        *("optimizer", "lr", "momentum", "weight_decay", "schedule", "warmup", "batch_size", "accumulate"),
        *("smoothing", "clip", "ema", "seed"),
    ),
    "changes to pictures": ("augment", "mixup", "cutmix", "tta"),
    "computing": ("threads", "device", "precision", "compile", "checkpoint_every", "watch_test", "log"),
}
"""Every setting but the data's source, which is no flag, by the group that help shows it in."""
_PRESET = f"Start from a preset, which other options then change: {', '.join(PRESETS)}."
METAVARS = {"int": "INT", "float": "NUMBER", "str": "NAME", "data_dir": "DIR", "time": "TIME", "size": "SIZE"}
METAVARS |= {"weights": "SOURCE", "freeze": "WHAT", "augment": "CHANGES", "restarts": "NUMBER"}


@dataclass(frozen=True)
class RunOptions(Common):
    """Where the run goes and what is said about it."""

    run: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of the run. Left out: the next free runs/DATA-MODEL-NUMBER."""
    data: Annotated[str | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="")] = None
    """Another way to name the data."""
    resume: Switch = False
    """Go on with the run in --run, with its own settings; --epochs +10 adds epochs to one that has ended."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Start from the settings of a TOML file, such as a run's run.toml, which other options then change."""
    preset: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="", help=_PRESET)] = None
    dry_run: Switch = False
    """Look at the data, say what would be done and how long it would take, and stop there."""
    find_lr: Switch = False
    """Measure which learning rates work, show the curve, and stop there."""
    quiet: Switch = False
    """Print only the run's folder, when it is done."""


@cache
def groups() -> dict[str, Any]:
    """A dataclass for each group of flags."""
    return {
        group: make_dataclass(group.replace(" ", "_"), [_flag(name) for name in names])
        for group, names in GROUPS.items()
    }


@cache
def train_arguments(options: type = RunOptions) -> Any:
    """The dataclass that tyro reads arguments into: the data, the settings in groups, a command's options."""
    help_text = documentation(kind_of("data"))["source"]
    help_text = f"{help_text} Left out: {default_of('data')}."
    shown = tyro.conf.arg(metavar="DATA", help=help_text, help_behavior_hint="")
    data = Annotated[str | None, tyro.conf.Positional, shown]
    members: list[tuple[str, Any, Any]] = [("source", data, field(default=None))]
    members += [(_key(name), group, field(default_factory=group)) for name, group in groups().items()]
    members += [("run", options, field(default_factory=options))]
    return make_dataclass("Train", members)


def to_settings(arguments: Any, base: Settings) -> Settings:
    """The settings that parsed arguments stand for, with ~ for the home folder spelt out.

    A switch can only be turned on: one that `base` has on stays on.

    Raises:
        ArgumentError: the data is named twice.
    """
    first, second = arguments.source, arguments.run.data
    if first and second:
        raise ArgumentError("the data is named twice", got=f"{first} and {second}")
    values = {one: getattr(getattr(arguments, _key(group)), one) for group in GROUPS for one in GROUPS[group]}
    values |= {name: True for name, value in base.flat().items() if value is True}
    values["data"] = first or second or base.data.source
    for name in ("data", "data_dir"):
        if (values[name] or "").startswith("~"):
            values[name] = str(Path(values[name]).expanduser())
    return Settings.of(**values)


def to_arguments(settings: Settings) -> Any:
    """The arguments that stand for settings: the defaults that a preset, a file or a resumed run brings."""
    given = {one: value for one, value in settings.flat().items() if not isinstance(value, bool)}
    made = {
        _key(name): group(**{one: given[one] for one in GROUPS[name] if one in given})
        for name, group in groups().items()
    }
    return train_arguments()(**made)


def documentation(kind: type) -> dict[str, str]:
    """The string below each field of a dataclass.

    Example:
        >>> documentation(kind_of("recipe"))["seed"][:7]
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


@cache
def _documents() -> dict[str, tuple[Any, str]]:
    """The type and the documentation of every setting."""
    known = {part: (get_type_hints(kind_of(part)), documentation(kind_of(part))) for part in PARTS}
    return {name: (known[part][0][member], known[part][1][member]) for name, (part, member) in HOMES.items()}


def _flag(name: str) -> tuple[str, Any, Any]:
    """One setting as a flag; where None is the default, its text says what it does, not "(default: None)"."""
    hint, document = _documents()[name]
    default = default_of(name)
    kind = next(one for one in get_args(hint) or (hint,) if one is not type(None))
    plain = default is None or kind is bool or default == ()
    shown = tyro.conf.arg(
        help=document.replace("None:", "Left out:"),
        metavar=METAVARS.get(name) or METAVARS.get(kind.__name__),
        help_behavior_hint="" if plain else None,
    )
    flag: Any = Annotated[hint, tyro.conf.FlagCreatePairsOff, shown]
    return name, flag, field(default=default)


def _key(group: str) -> str:
    """A group's name as an attribute."""
    return group.replace(" ", "_")
