"""`cnnatomy compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from cnnatomy.cli.argument_parsing import (
    CODE,
    Cluster,
    Command,
    Common,
    Switch,
    ray_of,
    with_cluster,
)
from cnnatomy.cli.options import GROUPS, to_settings, train_arguments
from cnnatomy.errors import ArgumentError
from cnnatomy.train.settings import Settings, default_of

if TYPE_CHECKING:
    from rich.console import Console

    from cnnatomy.studies.study import Study
    from cnnatomy.studies.study_folder import Design, StudyFolder

COMMAND = Command(
    "compare",
    {
        "examples": {
            "cnnatomy compare ~/pictures --pool max,mean,soft --seeds 5": "poolings, in one network",
            "cnnatomy compare digits --model lenet5 --model small32": "networks",
            "cnnatomy compare ~/pictures --augment flip+shift(0.1),none --pool max,gem": "every combination",
            "cnnatomy compare --arms arms.toml --jobs 2": "arms written down, two runs at once",
            "cnnatomy compare --study studies/digits-1": "go on with a study that was stopped",
            "cnnatomy compare --study studies/digits-1 --seeds 8": "or add seeds to it",
        },
        "code and data": CODE,
        "arms in TOML": {
            "[arms.wide]": 'a name of your own; below it settings as in a run.toml, as pool = "soft"',
            "[base.recipe]": "what all arms share, in the tables of a run.toml: data, network, recipe, run",
        },
    },
)
_OPEN, _SHUT = "([{", ")]}"


@dataclass(frozen=True)
class Options(Common):
    """What is compared with what, and where the study goes."""

    data: Annotated[str | None, tyro.conf.arg(metavar="DATA", help_behavior_hint="")] = None
    """The data, where it is not named first."""
    seeds: Annotated[str | None, tyro.conf.arg(metavar="NUMBER", help_behavior_hint="")] = None
    """How many runs of each arm, as 5, or with which seeds, as 0,3,7. Left out: 3."""
    study: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """The study's folder, which is gone on with or added to if it is one. Left out: the next free
    studies/DATA-NUMBER."""
    arms: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    """Arms written down in a TOML file."""
    baseline: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """The arm that the others are compared with. Left out: the first."""
    metric: Annotated[str, tyro.conf.arg(metavar="NAME")] = "accuracy"
    """By what arms are compared: accuracy; balanced, every class counted alike; macro-f1; or log-loss."""
    jobs: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """Runs at once, each in a process of its own; it changes no result."""
    ray: Cluster = None
    """Train on a Ray cluster instead: that of an address, as HOST:PORT or auto; without one, this machine."""
    dry_run: Switch = False
    """Say which runs would be made and how long they would take, and stop there."""
    quiet: Switch = False
    """Print only the study's folder, when it is done."""


def main(words: Sequence[str]) -> None:
    """Train what is missing, and compare."""
    rest, several = split(with_cluster(words))
    arguments = COMMAND.parse(train_arguments(Options), rest)
    options: Options = arguments.run
    from cnnatomy.cli.console import load_torch, output

    load_torch()
    from cnnatomy.cli.compare_view import show, show_plan
    from cnnatomy.studies.arms import demand_consent
    from cnnatomy.studies.study import check_request
    from cnnatomy.studies.study_folder import StudyFolder, next_study

    console = output()
    planned = _planned(arguments, rest, several)
    folder = StudyFolder(options.study.expanduser() if options.study else next_study(planned.base))
    design = _joined(folder, planned, rest, several)
    typed = _planned(arguments, rest, several, files=False)
    demand_consent(design.arms, typed.arms)
    check_request(design, options.baseline, options.metric, options.jobs, ray_of(options.ray))
    if options.dry_run or not options.quiet:
        show_plan(design, folder, options.jobs, console)
    if options.dry_run:
        return
    study = _carry_out(design, folder, options, console)
    print(study.path) if options.quiet else show(study, console)


def split(words: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Take out the settings that have several values, as --pool max,soft or --model a --model b.

    Commas within brackets or behind a backslash divide nothing.

    Example:
        >>> split(["digits", "--pool", "max,gem(p=3)", "--epochs", "3", "--model", "a", "--model", "b"])
        (['digits', '--epochs', '3'], {'pool': ['max', 'gem(p=3)'], 'model': ['a', 'b']})
    """
    rest: list[str] = []
    found: dict[str, list[tuple[str, list[str]]]] = {}
    place = 0
    while place < len(words):
        word = words[place]
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        more = equals or place + 1 < len(words)
        if flag.startswith("--") and more and name in _valued():
            value = value if equals else words[place + 1]
            found.setdefault(name, []).append((value, divided(value)))
            place += 1 if equals else 2
        else:
            rest.append(word)
            place += 1
    several = {name: [one for _, parts in pairs for one in parts] for name, pairs in found.items()}
    for name, values in several.items():
        if len(values) == 1:
            rest += [f"--{name.replace('_', '-')}", values[0]]
    return rest, {name: values for name, values in several.items() if len(values) > 1}


def divided(text: str) -> list[str]:
    """The parts of a text between commas that stand in no brackets.

    Example:
        >>> divided("max, gem(p=3),conv3-8 [conv1-4, conv3-4]")
        ['max', 'gem(p=3)', 'conv3-8 [conv1-4, conv3-4]']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in _OPEN) - (letter in _SHUT)
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()] or [text]


def seed_numbers(text: str | None) -> list[int]:
    """The seeds that --seeds says.

    Example:
        >>> seed_numbers("3"), seed_numbers("4,1"), seed_numbers(None)
        ([0, 1, 2], [4, 1], [0, 1, 2])
    """
    words = "3" if text is None else text
    numbers = [part.strip() for part in words.split(",")]
    if not all(number.isascii() and number.isdecimal() and len(number) < 10 for number in numbers):
        raise ArgumentError("--seeds", expected="a number, as 5, or seeds, as 0,3,7", got=repr(text))
    if len(numbers) > 1:
        return [int(number) for number in numbers]
    if not 1 <= int(numbers[0]) <= 1000:
        raise ArgumentError("--seeds", expected="from 1 to 1000 of them", got=repr(text))
    return list(range(int(numbers[0])))


def _valued() -> set[str]:
    """The settings that one word follows: no switches, and none that take several anyway."""
    every = [name for names in GROUPS.values() for name in names]
    return {name for name in every if not isinstance(default_of(name), bool | tuple)}


def _planned(
    arguments: Any, rest: Sequence[str], several: dict[str, list[str]], *, files: bool = True
) -> Design:
    """What the words, and unless told otherwise the file of arms, ask to compare."""
    from cnnatomy.files.toml import read_toml
    from cnnatomy.studies.arms import Arm, arms_of
    from cnnatomy.studies.study_folder import Design

    options: Options = arguments.run
    varied = {name: _values(name, texts, rest) for name, texts in several.items()}
    base = to_settings(arguments, Settings())
    arms = None
    if options.arms is not None and files:
        written = Design.from_tables(read_toml(options.arms.expanduser()))
        given = {key: value for key, value in base.flat().items() if value != Settings().flat()[key]}
        base = written.base.changed(**given)
        arms = [(arm, written.base) for arm in written.arms]
    base.check()
    seeds = tuple(seed_numbers(options.seeds))
    if arms is None:
        return Design(base, tuple(arms_of(base, varied)), seeds)
    made = []
    for arm, before in arms:
        own = {k: v for k, v in arm.settings.flat().items() if v != before.flat()[k]}
        made += [
            Arm(f"{arm.name}, {one.name}" if varied else arm.name, one.settings)
            for one in arms_of(base.changed(**own), varied)
        ]
    return Design(base, tuple(made), seeds)


def _values(name: str, texts: Sequence[str], rest: Sequence[str]) -> list[Any]:
    """The values of a setting, read as the setting is."""
    flag = f"--{name.replace('_', '-')}"
    parsed = [COMMAND.parse(train_arguments(Options), [*rest, flag, text]) for text in texts]
    return [to_settings(one, Settings()).flat()[name] for one in parsed]


def _joined(
    folder: StudyFolder, planned: Design, rest: Sequence[str], several: dict[str, list[str]]
) -> Design:
    """What the folder's study is and what is asked for beyond it.

    Raises:
        CheckpointError: the folder holds something else.
    """
    from cnnatomy.studies.study_folder import Design

    if not folder.exists():
        folder.demand_free()
        return planned
    there = folder.design()
    words = [word for word in rest if word.startswith("--")]
    named = {word.partition("=")[0] for word in words}
    settings = {f"--{name.replace('_', '-')}" for names in GROUPS.values() for name in names}
    if (
        not several
        and not named & {*settings, "--arms"}
        and planned.base.data.source
        in (
            there.base.data.source,
            default_of("data"),
        )
    ):
        seeds = there.seeds if "--seeds" not in named else planned.seeds
        return there.grown(Design(there.base, there.arms, seeds))
    if "--seeds" not in named:
        planned = Design(planned.base, planned.arms, there.seeds)
    return there.grown(planned)


def _carry_out(design: Design, folder: StudyFolder, options: Options, console: Console) -> Study:
    from cnnatomy.cli.compare_view import watching
    from cnnatomy.studies.study import carry_out

    try:
        with watching(design, folder, console, quiet=options.quiet) as on_trial:
            how: dict[str, Any] = {"baseline": options.baseline, "metric": options.metric}
            how |= {"jobs": options.jobs, "ray": ray_of(options.ray)}
            return carry_out(design, folder, told=on_trial, **how)
    except KeyboardInterrupt:
        what = f"stopped, all saved; go on with: cnnatomy compare --study {folder.path}"
        raise KeyboardInterrupt(what) from None
