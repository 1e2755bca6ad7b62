"""Networks named by where they are: `net.py:Net`, `package:name`, `timm:name`, `torchvision:name`."""

from __future__ import annotations

import ast
import re
import shlex
from typing import Any, NamedTuple

from cnnatomy.checks import of_kind
from cnnatomy.errors import ArgumentError

LIBRARIES = ("timm", "torchvision")
"""Libraries whose networks have a name of their own, by which nothing else can be run."""
OBJECT = "object"
"""What stands before the class of a network that was given as an object: there is no text that builds it."""
_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_PLACE = re.compile(rf"(.+\.py|{_DOTTED}):{_DOTTED}(\(.*\))?", re.DOTALL)


class Named(NamedTuple):
    """A text taken apart: `where:name(arguments)`."""

    where: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    called: bool


def parse(text: str) -> Named:
    """Take a text apart; its arguments are Python literals.

    Raises:
        ArgumentError: they are not.

    Example:
        >>> parse("net.py:Tiny(3, depth=(1, 2))")
        Named(where='net.py', name='Tiny', args=(3,), kwargs={'depth': (1, 2)}, called=True)
    """
    head, bracket, inside = text.partition("(")
    where, _, name = head.rpartition(":")
    if not bracket:
        return Named(where, name, (), {}, False)
    try:
        call = ast.parse(f"f({inside}", mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Name)
        args = tuple(map(ast.literal_eval, call.args))
        kwargs = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords if each.arg}
        assert len(kwargs) == len(call.keywords)
    except (AssertionError, SyntaxError, ValueError) as error:
        expected = "Python literals, such as (classes=10)"
        raise ArgumentError(f"the arguments of {head!r}", expected=expected, got=bracket + inside) from error
    return Named(where, name, args, kwargs, True)


def is_place(text: str) -> bool:
    """Whether a text names a network by where it is, and is neither notation nor a name of the catalog.

    A text that can be read as notation is notation: `maxpool:a` is a pooling whose output is called a.

    Example:
        >>> [is_place(text) for text in ("net.py:Net(3)", "timm:resnet18", "lenet5", "maxpool:a")]
        [True, True, False, False]
    """
    if text.partition(":")[0] in (*LIBRARIES, OBJECT) and ":" in text:
        return True
    if not _PLACE.fullmatch(text):
        return False
    return ".py:" in text or not _is_notation(text)


def is_code(text: str) -> bool:
    """Whether building the network that a text names runs code of the text's choice.

    That is so of `net.py:Net` and `package:name`. A text that comes out of a file, such as a run's, must not
    be built without the user's consent where it is so (`consented`).

    Example:
        >>> [is_code(text) for text in ("net.py:Net", "os:system('ls')", "timm:resnet18", "conv3-8 FC-10")]
        [True, True, False, False]
    """
    text = of_kind("a network", text, str, "its text")
    return is_place(text) and text.partition(":")[0] not in (*LIBRARIES, OBJECT)


def consented(kept: str, given: str | None = None) -> str:
    """The text to build a saved network from: the one kept with it, or of code the one that the user gives.

    Args:
        kept: what the saved run says its network is.
        given: what the user says it is.

    Raises:
        ArgumentError: the kept text is code, and the user has not named any; or the network was an object.

    Example:
        >>> consented("lenet5"), consented("net.py:Net", given="../net.py:Net")
        ('lenet5', '../net.py:Net')
        >>> consented("net.py:Net")
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: the network is code of your own, net.py:Net, which a saved run alone \
may not start: expected your consent; try --model net.py:Net, or load_model(module=Net())
    """
    if given is not None:
        return of_kind("the network", given, str, "its text")
    if of_kind("the network", kept, str, "its text").startswith(f"{OBJECT}:"):
        raise given_as_object(kept)
    if is_code(kept):
        what = f"the network is code of your own, {kept}, which a saved run alone may not start"
        name = parse(kept).name.rpartition(".")[2]
        hint = f"--model {shlex.quote(kept)}, or load_model(module={name}())"
        raise ArgumentError(what, expected="your consent", hint=hint)
    return kept


def object_text(module: object) -> str:
    """The text that stands for a network given as an object: its class, which builds nothing.

    Example:
        >>> from fractions import Fraction
        >>> object_text(Fraction())
        'object:fractions.Fraction'
    """
    kind = type(module)
    return f"{OBJECT}:{kind.__module__}.{kind.__qualname__}".replace("<locals>.", "")


def given_as_object(text: str) -> ArgumentError:
    """What is said where the text of an object is to be built."""
    name = text.rpartition(".")[2]
    what = f"the network of this run was given as an object ({text.partition(':')[2]})"
    return ArgumentError(what, hint=f"load_model(module={name}(...)), which takes its weights")


def summary(text: str) -> str:
    """What a network is that is named by its place, in a few words.

    Example:
        >>> summary("timm:resnet10t"), summary("nets/tiny.py:Net(3)")
        ('resnet10t of timm', 'Net of nets/tiny.py')
    """
    parsed = parse(text)
    if parsed.where == OBJECT:
        home, _, name = parsed.name.rpartition(".")
        return f"{name} of {home}, given as an object"
    return f"{parsed.name} of {parsed.where}"


def _is_notation(text: str) -> bool:
    from cnnatomy.notation.errors import NotationError
    from cnnatomy.notation.parse import parse as read

    try:
        read(text)
    except NotationError:
        return False
    return True
