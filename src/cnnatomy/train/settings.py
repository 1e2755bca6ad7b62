"""Everything that decides what a training run computes, as one record of parts; standard library only.

Each part belongs to one room: the data, the network, the recipe, and how the run itself computes. A setting's
name is the same as a flag, as a keyword and as a key of a TOML file, and stands in one part only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from cnnatomy import checks
from cnnatomy.data.data_catalog import one_of
from cnnatomy.data.data_settings import DataSettings
from cnnatomy.errors import ArgumentError
from cnnatomy.models.model_settings import NetworkSettings
from cnnatomy.train.recipe import Recipe

PRECISIONS = ("float32", "bfloat16", "float16")
LOGGERS = ("tensorboard", "wandb", "mlflow")


@dataclass(frozen=True)
class RunSettings:
    """Where and how a run computes, and who is told."""

    threads: int = 1
    """CPU threads. For a small network a second one gains little and, beside other work, costs much."""
    device: str | None = None
    """Where to compute: cpu, cuda, cuda:1, mps. None: a CUDA device if there is one, else the CPU."""
    precision: str | None = None
    """float32, or mixed with bfloat16 or float16. None: bfloat16 on a GPU that has it, else float32."""
    compile: bool = False
    """Let torch.compile fuse the network: a minute at the start, faster steps on a GPU."""
    checkpoint_every: int = 500
    """Steps between checkpoints within an epoch; one is also written at the end of every epoch."""
    watch_test: bool = False
    """Measure the test pictures after every epoch too, to draw the curve. They choose nothing either way."""
    log: tuple[str, ...] = ()
    """Tell also: tensorboard, wandb or mlflow."""

    def check(self) -> None:
        """Raise an ArgumentError if a value can mean nothing."""
        checks.count("threads", self.threads, most=checks.MOST_THREADS)
        checks.count("checkpoint_every", self.checkpoint_every)
        for name in ("compile", "watch_test"):
            checks.of_kind(name, getattr(self, name), bool, "True or False")
        if self.device is not None:
            checks.of_kind("device", self.device, str, "the name of a device")
        if self.precision is not None:
            one_of("precision", self.precision, PRECISIONS)
        for name in checks.of_kind("log", self.log, (tuple, list), "a list of names"):
            one_of("logger", name, LOGGERS)


@dataclass(frozen=True)
class Settings:
    """What to train on what, and how. What is None is settled by `train.choices` from the data.

    Example:
        >>> settings = Settings.of(data="digits", epochs=3, model="lenet5")
        >>> settings.recipe.epochs, settings.network.model
        (3, 'lenet5')
        >>> Settings.of(epoch=3)
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: there is no setting 'epoch'; try epochs
    """

    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    recipe: Recipe = field(default_factory=Recipe)
    run: RunSettings = field(default_factory=RunSettings)

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """Make settings from any of them by name; `data` is the source of the pictures."""
        return cls().changed(**values)

    def changed(self, **values: Any) -> Settings:
        """These settings with others of some names.

        Raises:
            ArgumentError: there is no setting of a name; the nearest is named.
        """
        parts: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            part, member = home(name)
            parts.setdefault(part, {})[member] = tuple(value) if isinstance(value, list) else value
        return replace(self, **{part: replace(getattr(self, part), **new) for part, new in parts.items()})

    def check(self) -> None:
        """Raise an ArgumentError if a value can mean nothing, before anything is read or written."""
        for part in PARTS:
            getattr(self, part).check()

    def flat(self) -> dict[str, Any]:
        """Every setting by its name."""
        return {name: getattr(getattr(self, part), member) for name, (part, member) in HOMES.items()}

    def differences(self, other: Settings) -> list[str]:
        """Say in which settings that decide the result another record differs, as "lr 0.1, now 0.2"."""
        mine, theirs = self.flat(), other.flat()
        decide = [name for name in mine if name not in RUNTIME and mine[name] != theirs[name]]
        return [f"{name} {mine[name]!r}, now {theirs[name]!r}" for name in decide]

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Give the parts as JSON values."""
        return {part: _plain(asdict(getattr(self, part))) for part in PARTS}

    @classmethod
    def from_json(cls, values: object) -> Settings:
        """Read what `to_json` gave, or a TOML file said: parts with settings, each of which may be missing.

        Raises:
            ArgumentError: a part or a setting is unknown, or a value can mean nothing.
        """
        tables = checks.of_kind("settings", values, Mapping, "tables of settings")
        _demand_known("table", tables, PARTS)
        flat: dict[str, Any] = {}
        for part, table in tables.items():
            known = {member: name for name, (home, member) in HOMES.items() if home == part}
            _demand_known(
                f"setting in [{part}]", checks.of_kind(f"[{part}]", table, Mapping, "a table"), known
            )
            flat |= {known[member]: value for member, value in table.items()}
        read = cls.of(**flat)
        read.check()
        return read


PARTS = tuple(member.name for member in fields(Settings))
_KINDS = {"data": DataSettings, "network": NetworkSettings, "recipe": Recipe, "run": RunSettings}
HOMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        ("data" if (part, member.name) == ("data", "source") else member.name): (part, member.name)
        for part, kind in _KINDS.items()
        for member in fields(kind)
    }
)
"""Where each setting stands: its part, and its name there, which differs for `data` alone."""
RUNTIME = frozenset(
    {"data", "data_dir", "skip_bad", "threads", "device", "checkpoint_every", "watch_test", "log"}
)
"""Settings that a resumed run may change: where it computes, and where its pictures lie (by fingerprint)."""


def home(name: str) -> tuple[str, str]:
    """The part that a setting stands in, and its name there.

    Raises:
        ArgumentError: there is no such setting.
    """
    _demand_known("setting", [name], HOMES)
    return HOMES[name]


def kind_of(part: str) -> type:
    """The class of a part."""
    return _KINDS[part]


def default_of(name: str) -> Any:
    """What a setting is unless something is said."""
    part, member = home(name)
    found = next(one for one in fields(_KINDS[part]) if one.name == member)
    assert found.default is not MISSING
    return found.default


PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "short": MappingProxyType({"epochs": 3}),
        "paper": MappingProxyType(
            {"data": "mnist", "model": "lenet5", "epochs": 20, "output": "rbf", "augment": "none"}
        ),
        "distortions": MappingProxyType(
            {"data": "mnist", "model": "lenet5", "epochs": 20, "augment": "distortions"}
        ),
    }
)
"""Named settings: a few quick passes; LeNet-5's experiment as published; the one with distorted pictures."""


def preset(name: str) -> Settings:
    """Build the settings that a preset stands for.

    Raises:
        ArgumentError: there is no such preset.

    Example:
        >>> preset("short").recipe.epochs
        3
    """
    return Settings.of(
        **PRESETS[one_of("preset", checks.of_kind("a preset", name, str, "its name"), PRESETS)]
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _demand_known(what: str, names: Iterable[object], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = near[0] if near else f"one of {', '.join(known)}"
            raise ArgumentError(f"there is no {what} {name!r}", hint=hint)
