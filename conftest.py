"""Settings for every test and example; of many combinations of parameters the quick suite runs some."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from combinations import kept, numbered
from hypothesis import settings

# The machine may be busy, and a failure must come again.
settings.register_profile("quick", deadline=None, derandomize=True, max_examples=20)
settings.register_profile("all", deadline=None, derandomize=True, max_examples=60)

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # each more is a process that imports torch
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers share the cores, and threads that wait spin

_USUAL: dict[str, Any] = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}
for name, usual in _USUAL.items():
    number = getattr(signal, name, None)  # Windows has no SIGHUP
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)  # nohup and shells ignore it for what runs behind


@pytest.fixture(autouse=True)
def _elsewhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run examples in a folder of their own, so that what they write is left nowhere."""
    if type(request.node).__name__ == "DoctestItem":
        monkeypatch.chdir(tmp_path)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the options that say which combinations run."""
    parser.addoption(
        "--all-combinations", action="store_true", help="run every combination of every test's parameters"
    )
    parser.addoption(
        "--combinations-seed", default="0", metavar="TEXT", help="another seed runs another part of them"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples in the quick suite; modules read the profile as they are imported."""
    settings.load_profile("all" if config.getoption("--all-combinations") else "quick")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which combinations ran."""
    if not config.getoption("--all-combinations"):
        seed = config.getoption("--combinations-seed")
        terminalreporter.write_line(
            f"a part of the combinations ran, chosen by --combinations-seed {seed}; all: --all-combinations"
        )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the quick suite does not run; a test that is asked for by its whole name is run."""
    if config.getoption("--all-combinations"):
        return
    seed = config.getoption("--combinations-seed")
    asked = {argument for argument in config.args if "[" in argument}
    groups: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if hasattr(item, "callspec"):
            groups[item.nodeid.partition("[")[0]].append(item)
    dropped: set[pytest.Item] = set()
    for name, group in groups.items():
        costly = group[0].get_closest_marker("costly")
        chosen = kept(_rows(group), f"{seed} {name}", costly and costly.args[0])
        dropped |= {one for number, one in enumerate(group) if number not in chosen}
    dropped = {one for one in dropped if one.nodeid not in asked}
    config.hook.pytest_deselected(items=list(dropped))
    items[:] = [item for item in items if item not in dropped]


def _rows(group: list[pytest.Item]) -> list[tuple[int, ...]]:
    """For each test of a group the numbers of its parameters' values."""
    specs = [item.callspec.params for item in group]  # type: ignore[attr-defined]
    if any(spec.keys() != specs[0].keys() for spec in specs):
        return [(number,) for number in range(len(group))]
    columns = [numbered([spec[name] for spec in specs]) for name in specs[0]]
    return list(zip(*columns, strict=True))
