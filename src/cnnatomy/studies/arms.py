"""The arms of a study: configurations that differ in few settings, each with a name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.models import consented
from cnnatomy.train.settings import Settings

LONGEST = 40
"""Letters of an arm's folder."""
ALONE = frozenset({"seed", "data", "data_dir", "limit", "test_fraction", "log"})
"""Settings that are one for all arms: the seeds and the pictures are what makes arms comparable."""


@dataclass(frozen=True)
class Arm:
    """One configuration of a study; the seed is not its own.

    Example:
        >>> Arm("gem, wide", Settings.of(pool="gem")).slug
        'gem-wide'
    """

    name: str
    settings: Settings

    @property
    def slug(self) -> str:
        """The name as that of a folder."""
        return re.sub(r"[^\w.+-]+", "-", self.name).strip("-.")[:LONGEST].rstrip("-.") or "arm"

    def seeded(self, seed: int) -> Settings:
        """The settings of one run."""
        return self.settings.changed(seed=seed)


def arms_of(base: Settings, varied: Mapping[str, Sequence[Any]]) -> list[Arm]:
    """Every combination of the values of some settings, over a base.

    Raises:
        ArgumentError: a setting is unknown, or must be one for all arms, or a value can mean nothing.

    Example:
        >>> [arm.name for arm in arms_of(Settings(), {"pool": ["max", "gem"], "ema": [0.0, 0.99]})]
        ['max, ema 0.0', 'max, ema 0.99', 'gem, ema 0.0', 'gem, ema 0.99']
        >>> [arm.name for arm in arms_of(Settings(), {})]
        ['default']
    """
    for name in varied:
        if name in ALONE:
            raise ArgumentError(f"{name} is one for all arms of a study", hint="a study for each")
    combined = [dict(zip(varied, values, strict=True)) for values in product(*varied.values())]
    arms = [Arm(_name(values), base.changed(**values)) for values in combined]
    for arm in arms:
        arm.settings.check()
    demand_distinct(arms)
    return arms


def demand_distinct(arms: Sequence[Arm]) -> None:
    """Raise an ArgumentError if two arms have one name or folder, or one configuration.

    Example:
        >>> demand_distinct([Arm("a b", Settings()), Arm("a-b", Settings.of(pool="max"))])
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: two arms share the folder a-b: expected different names, got ...
    """
    folders: dict[str, Arm] = {}
    for arm in arms:
        if (other := folders.get(arm.slug)) is not None:
            what = f"two arms share the folder {arm.slug}"
            raise ArgumentError(what, expected="different names", got=f"{other.name!r} and {arm.name!r}")
        folders[arm.slug] = arm
    for index, arm in enumerate(arms):
        for other in arms[:index]:
            if arm.settings == other.settings:
                raise ArgumentError(f"arms {other.name!r} and {arm.name!r} are one configuration")


def demand_consent(arms: Sequence[Arm], said: Sequence[Arm]) -> None:
    """Raise an ArgumentError if an arm that a file names is code that the user has not named himself.

    Args:
        arms: all of them, those of a file among them.
        said: those that the user wrote as arguments.

    Example:
        >>> own = Arm("own", Settings.of(model="net.py:Net"))
        >>> demand_consent([own], said=[own])
        >>> demand_consent([own], said=[])
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: the network is code of your own, net.py:Net, which a saved run ...
    """
    typed = {arm.settings.network.model for arm in said}
    for arm in arms:
        model = arm.settings.network.model
        if model is not None and model not in typed:
            consented(model)


def to_tables(base: Settings, arms: Sequence[Arm]) -> dict[str, dict[str, Any]]:
    """What a study's TOML file says of its arms: the base's tables, and for each arm what differs from it."""
    tables = {f"base.{part}": table for part, table in base.to_json().items()}
    for arm in arms:
        flat, mine = base.flat(), arm.settings.flat()
        changed = {key: value for key, value in mine.items() if value != flat[key]}
        tables[f"arms.{json.dumps(arm.name, ensure_ascii=False)}"] = {
            key: list(value) if isinstance(value, tuple) else value for key, value in changed.items()
        }
    return tables


def from_tables(tables: Mapping[str, Any]) -> tuple[Settings, list[Arm]]:
    """Read what a TOML file says: [base.data] and its kin as a run.toml has them, [arms.NAME] with settings.

    Raises:
        ArgumentError: a table or a setting is unknown, or a value can mean nothing.

    Example:
        >>> base, arms = from_tables({"arms": {"soft": {"pool": "soft"}, "max": {"pool": "max"}}})
        >>> [(arm.name, arm.settings.network.pool) for arm in arms]
        [('soft', 'soft'), ('max', 'max')]
    """
    base = Settings.from_json(tables.get("base", {}))
    arms = []
    for name, values in checks.of_kind("[arms]", tables.get("arms", {}), Mapping, "tables").items():
        table = checks.of_kind(f"[arms.{name}]", values, Mapping, "a table of settings")
        for key in table:
            if key in ALONE:
                raise ArgumentError(f"[arms.{name}]: {key} is one for all arms", hint=f"{key} in [base]")
        arm = Arm(str(name), base.changed(**table))
        arm.settings.check()
        arms.append(arm)
    demand_distinct(arms)
    return base, arms


def _name(values: Mapping[str, Any]) -> str:
    """What tells the arm from the others: names alone where they say it, numbers and switches with theirs."""
    return ", ".join(_told(name, value) for name, value in values.items()) or "default"


def _told(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return f"default {name}"
    if value is True or value is False:
        return name if value else f"no {name}"
    return f"{name} {value}"
