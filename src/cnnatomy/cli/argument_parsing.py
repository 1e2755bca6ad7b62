"""Words to a command's arguments with tyro, and tyro's complaints in one line."""

from __future__ import annotations

import difflib
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import tyro

from cnnatomy.cli.help import COMMANDS
from cnnatomy.errors import ArgumentError

Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")]
"""A flag that is given or not, without a --no- twin."""

CODE = MappingProxyType(
    {
        "net.py:Net, package:name": "are code, and run",
        "all else, .pt2 and run folders too": "is data, and runs nothing (docs/safety.md)",
    }
)
"""Which arguments are code, for the help of commands that take a network."""
_FORMS = (
    (r"^Missing from [^:]*: (\S+)", "{0} is missing"),
    (r"^Unrecognized options: (-[^ ,]*).* Perhaps you meant: (\S+)", "unknown option {0}; did you mean {1}?"),
    (r"^Unrecognized options: (-[^ ,]*)", "unknown option {0}"),
    (r"^Unrecognized options: ([^,]*)", "unexpected argument {0!r}"),
    (r"^Missing value for argument '(.*?)'", "{0} needs a value"),
    (r"^Error parsing (\S+): .* int\(\) .*: ('.*?') Argument", "{0}: expected a whole number, got {1}"),
    (r"^Error parsing (\S+): no type matching INT .*? \[('.*?')\]", "{0}: expected a whole number, got {1}"),
    (r"^Error parsing (\S+): no type matching NUMBER .*? \[('.*?')\]", "{0}: expected a number, got {1}"),
    (r"^Error parsing (\S+): .* to float: ('.*?') Argument", "{0}: expected a number, got {1}"),
    (
        r"^invalid choice ('.*?') for argument '(.*?)'. Expected one of \((.*?),?\)",
        "{1}: expected {2}, got {0}",
    ),
)
"""What tyro 1.0 says, and how we say it; anything else is passed on as it is."""


Cluster = Annotated[str | None, tyro.conf.arg(metavar="[ADDRESS]", help_behavior_hint="")]
"""A Ray cluster: this machine's where no address is given, as HOST:PORT or auto."""


@dataclass(frozen=True)
class Common:
    """Options that every command has."""

    debug: Switch = False
    """If the command fails, show where. The environment's CNNATOMY_DEBUG=1 does the same."""


class Command(NamedTuple):
    """What the command line knows of a command: its name, and the lists below its help, examples first."""

    name: str
    lists: Mapping[str, Mapping[str, str]]
    meant: Mapping[str, str] = MappingProxyType({})
    """What is meant by options of other names."""

    def parse(self, kind: Any, words: Sequence[str], default: Any = None) -> Any:
        """Read the arguments.

        Raises:
            ArgumentError: they cannot be read; says in one line why, and what may have been meant.
            SystemExit: help was asked for, and has been shown.
        """
        said = io.StringIO()
        try:
            with redirect_stderr(said), _wide(not {"-h", "--help"} & set(words)):
                return tyro.cli(
                    kind,
                    prog=f"cnnatomy {self.name}",
                    description=COMMANDS[self.name],
                    args=list(words),
                    config=(tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone),
                    **({} if default is None else {"default": default}),
                )
        except SystemExit as ended:
            if ended.code:
                what = self._misnamed(words) or one_line(said.getvalue())
                raise ArgumentError(f"{what} (see cnnatomy {self.name} --help)") from None
            self._show_lists()
            raise

    def _misnamed(self, words: Sequence[str]) -> str | None:
        """What to say of the first word that is an option of another tool."""
        options = (word.partition("=")[0] for word in words if word.startswith("-"))
        names = ((option, self.meant.get(option.replace("_", "-"))) for option in options)
        return next((f"unknown option {name}; did you mean {own}?" for name, own in names if own), None)

    def _show_lists(self) -> None:
        for title, entries in self.lists.items():
            width = max(map(len, entries))
            print(f"\n{title}:")
            for name, meaning in entries.items():
                print(f"  {name:<{width}}   {meaning}")


def one_line(box: str) -> str:
    """What a complaint of tyro says below its title and inside its frame, if it has one, in one line.

    Example:
        >>> one_line("╭─ Title ─╮\\n│ Unrecognized options: --epoch, 3 │\\n╰─────────╯")
        'unknown option --epoch'
    """
    lines = [line.strip("│ ") for line in box.strip().splitlines()[1:]]
    said = " ".join(line for line in lines if line.strip("╰─╯-")).partition(" For full helptext")[0]
    for pattern, form in _FORMS:
        if found := re.search(pattern, said):
            return form.format(*found.groups())
    return (said[:1].lower() + said[1:]).rstrip(".") or "the arguments cannot be read"


HERE = "here"


def with_cluster(words: Sequence[str]) -> list[str]:
    """The words with what `--ray` means alone: Ray on this machine.

    Example:
        >>> with_cluster(["--ray", "digits"]), with_cluster(["digits", "--ray", "10.0.0.1:6379"])
        (['--ray=here', 'digits'], ['digits', '--ray=10.0.0.1:6379'])
    """
    made = list(words)
    while "--ray" in made:
        place = made.index("--ray")
        after = made[place + 1] if place + 1 < len(made) else ""
        named = after == "auto" or (":" in after and not after.startswith("-"))
        made[place : place + 1 + named] = [f"--ray={after if named else HERE}"]
    return made


def ray_of(option: str | None) -> bool | str:
    """What a command's `ray` option asks for: no Ray, that of this machine, or an address."""
    return option == HERE or option or False


def file_to_write(path: Path) -> Path:
    """The path, with the home folder written out, if a file can be put there.

    Raises:
        ArgumentError: it is a folder, or in none, or in one that cannot be written to.
    """
    path = path.expanduser()
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ArgumentError(f"cannot write {path}", expected="a file in a folder that exists")
    return path


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, if any is.

    Example:
        >>> nearest("trian", ["train", "predict"])
        'train'
    """
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)), None)


@contextmanager
def _wide(wanted: bool) -> Iterator[None]:
    """Give tyro a terminal wide enough that it breaks no line: it asks the environment for the width."""
    before = os.environ.get("COLUMNS")
    if wanted:
        os.environ["COLUMNS"] = "10000"
    try:
        yield
    finally:
        if wanted:
            os.environ.pop("COLUMNS")
            if before is not None:
                os.environ["COLUMNS"] = before
