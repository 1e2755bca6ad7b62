"""From the words of a command line to a command, and from what happens to an exit code.

| code | meaning                                                                   |
|-----:|---------------------------------------------------------------------------|
|    0 | done                                                                      |
|    1 | failed for a reason of our own: a bug                                     |
|    2 | something the user can mend, said in one line; nothing was written        |
|  130 | stopped by Ctrl-C or SIGTERM; what was trained is saved                   |
|  141 | nobody reads the output any more (`cnnatomy ... | head`)                  |
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from types import FrameType

from cnnatomy import __version__
from cnnatomy.cli.help import COMMANDS, overview
from cnnatomy.errors import ArgumentError, CnnatomyError

DONE, BUG, MENDABLE = 0, 1, 2
STOPPED, UNREAD = 128 + signal.SIGINT, 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; without arguments, those of the process.

    Example:
        >>> main(["--version"])  # doctest: +ELLIPSIS
        cnnatomy ...
        0
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that the terminal lacks is no reason to fail
    try:
        with suppress(SystemExit), _stopped_by_signals():  # tyro ends so after it has shown help
            _dispatch(words)
        sys.stdout.flush()
    except KeyboardInterrupt as stopped:
        return _say(
            str(stopped) if type(stopped) is KeyboardInterrupt and stopped.args else "stopped", STOPPED, words
        )
    except BrokenPipeError:
        # What is still buffered must not be written again, with a complaint, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except CnnatomyError as error:
        return _say(f"error: {_as_options(str(error), words[0])}", MENDABLE, words)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"error: {where}{error.strerror or error}", MENDABLE, words)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        return _say(f"failed: {said} (a bug in cnnatomy: please report what --debug shows)", BUG, words)
    return DONE


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does, so that what it has begun is put away."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = threading.current_thread() is threading.main_thread()
    caught = [number for number in numbers if ours and signal.getsignal(number) is signal.SIG_DFL]

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in caught:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def _versions() -> None:
    """Name the versions that a report of a fault needs; nothing is loaded for it."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    print(f"cnnatomy {__version__}")
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in ("torch", "llvmlite", "numpy", "torchvision", "timm", "onnx", "onnxruntime"):
        with suppress(PackageNotFoundError):
            print(f"{name} {version(name)}")


def _dispatch(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help", "help"):
        overview()
    elif words[0] in ("-V", "--version", "version"):
        _versions()
    elif words[0] in COMMANDS:
        import_module(f"cnnatomy.cli.{words[0]}").main(words[1:])
    else:
        from cnnatomy.cli.argument_parsing import nearest
        from cnnatomy.cli.option_synonyms import COMMANDS_ELSEWHERE

        what = "unknown option" if words[0].startswith("-") else "unknown command"
        known = [*COMMANDS, "--help", "--version"]
        other = {word: ours for ours, words in COMMANDS_ELSEWHERE.items() for word in words.split()}
        hint = other.get(words[0]) or nearest(words[0], known)
        raise ArgumentError(
            f"{what} {words[0]!r}", expected=f"one of {', '.join(COMMANDS)}", hint=hint or "cnnatomy --help"
        )


def _as_options(message: str, command: str) -> str:
    """What a message calls name=value as --name value, where the command has that option."""
    kind = getattr(sys.modules.get(f"cnnatomy.cli.{command}"), "Arguments", None)
    names = "|".join(kind.__dataclass_fields__) if kind else ""
    first, *pointed = message.split("\n")

    def option(found: re.Match[str]) -> str:
        return f"--{found[1].replace('_', '-')} {found[2]}".rstrip()

    said = re.sub(rf"(?<![\w.(-])({names})=([\w.]*)", option, first) if names else first
    return "\n".join([said, *pointed])


def _say(message: str, code: int, words: list[str]) -> int:
    """One line on the error output, under a traceback if one was asked for."""
    if "--debug" in words or os.environ.get("CNNATOMY_DEBUG", "0") not in ("", "0"):
        traceback.print_exc()
    from cnnatomy.cli.console import complaints, literal

    style = "" if code == STOPPED else "red"
    for line in message.split("\n"):  # more than one where a caret points into a text of the user's
        complaints().print(literal(line), style=style, markup=False, soft_wrap=True)
    return code
