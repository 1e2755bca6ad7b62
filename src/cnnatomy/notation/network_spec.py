"""What a text of notation says, as frozen records that print as notation again; standard library only.

    parse(str(spec)) == spec

Places in the text are kept for messages, and are no part of what is compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias, Union

Scalar: TypeAlias = int | float | bool | str | None
Value: TypeAlias = Scalar | tuple["Value", ...]
Node: TypeAlias = Union["Layer", "Block", "Residual", "Concatenation"]
Chain: TypeAlias = tuple[Node, ...]


@dataclass(frozen=True)
class Pooling:
    """What a pooling layer computes: a reducer's name in the registry and its arguments."""

    reducer: str
    args: tuple[tuple[str, Scalar], ...] = ()


@dataclass(frozen=True)
class Layer:
    """One layer: a word of the vocabulary (`cnnatomy.notation.vocabulary`) and what is said with it.

    Example:
        >>> str(Layer("conv", (3,), 64, options=(("stride", (2,)),)))
        'conv3-64 s2'
    """

    word: str
    sizes: tuple[int, ...] = ()
    """The numbers behind the word: a kernel, a scale or whatever else the word calls so."""
    maps: int | str | None = None
    """Maps or units; "classes" or "channels" for as many as there are classes, or channels of the
    input; None where left open."""
    args: tuple[tuple[str, Value], ...] = ()
    """What is in parentheses, by name."""
    options: tuple[tuple[str, Value], ...] = ()
    """Stride, padding and the like, in the order of `cnnatomy.notation.vocabulary.OPTIONS`."""
    pooling: Pooling | None = None
    name: str | None = None
    """The tie behind a colon, by which other layers speak of this one, or this one of another."""
    at: int | None = field(default=None, compare=False, repr=False)
    length: int = field(default=1, compare=False, repr=False)

    def option(self, name: str, default: Value = None) -> Value:
        """The value of an option, or the default."""
        return dict(self.options).get(name, default)

    def __str__(self) -> str:
        from cnnatomy.notation.show import layer

        return layer(self)


@dataclass(frozen=True)
class Block:
    """Layers that are repeated a number of times, or as often as a setting says, or that may be left out.

    Example:
        >>> str(Block((Layer("conv"), Layer("relu")), "N"))
        '[conv relu]*N'
    """

    body: Chain
    times: int | str = 1
    optional: bool = False
    at: int | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        from cnnatomy.notation.show import block

        return block(self)


@dataclass(frozen=True)
class Residual:
    """y = body(x) + shortcut(x), where a shortcut that is left out is x itself."""

    body: Chain
    shortcut: Chain | None = None
    at: int | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"res({chain(self.body)}{'' if self.shortcut is None else f' | {chain(self.shortcut)}'})"


@dataclass(frozen=True)
class Concatenation:
    """The maps of all branches, one after the other."""

    branches: tuple[Chain, ...]
    at: int | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"cat({', '.join(map(chain, self.branches))})"


@dataclass(frozen=True)
class Spec:
    """A network as its text says it; settings are what follows `with`.

    Example:
        >>> print(Spec((Block((Layer("conv"), Layer("relu")), "N"),), (("N", (2,)), ("maps", (8,)))))
        [conv relu]*N with N=2 maps=8
    """

    body: Chain
    settings: tuple[tuple[str, tuple[int, ...]], ...] = ()
    source: str = field(default="", compare=False, repr=False)
    """The text that was read, for messages."""

    def __str__(self) -> str:
        said = [f"{name}={','.join(map(str, values))}" for name, values in self.settings]
        return " ".join([chain(self.body), "with", *said] if said else [chain(self.body)])

    @property
    def input(self) -> Layer | None:
        """The layer that says what comes in, if there is one."""
        first = self.body[0] if self.body else None
        return first if isinstance(first, Layer) and first.word == "input" else None


def chain(nodes: Iterable[Node]) -> str:
    """Nodes one after the other."""
    return " ".join(map(str, nodes))
