"""From Lark's tree to records, without recursion deeper than the brackets of the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from lark import Token, Tree

from cnnatomy.errors import ArgumentError
from cnnatomy.notation.errors import NotationError
from cnnatomy.notation.network_spec import (
    Block,
    Chain,
    Concatenation,
    Layer,
    Node,
    Pooling,
    Residual,
    Scalar,
    Value,
)
from cnnatomy.notation.reducer_names import named
from cnnatomy.notation.vocabulary import LARGEST, LENET, OPTIONS, SPOKEN, WORDS
from cnnatomy.reducers.shared import reducer_text

_RGB = re.compile(r"\b(rgb|colou?r)\b", re.IGNORECASE)
_GREY = re.compile(r"\b(gr[ae]y(scale)?)\b", re.IGNORECASE)
Settings = tuple[tuple[str, tuple[int, ...]], ...]


class Reading:
    """One text being read."""

    def __init__(self, text: str) -> None:
        self.text = text

    def network(self, tree: Tree[Token]) -> tuple[Chain, Settings]:
        """The whole."""
        body, *rest = tree.children
        settings: list[tuple[str, tuple[int, ...]]] = []
        for token in rest[0].children[1:] if rest else []:  # type: ignore[union-attr]
            assert isinstance(token, Token)
            name, _, values = str(token).partition("=")
            known = name.strip() if len(name.strip()) == 1 else name.strip().lower()
            if known in dict(settings):
                raise self.wrong(f"{known} is set twice", token)
            settings.append((known, tuple(self.number(v, token) for v in values.split(","))))
        return self.seq(body), tuple(settings)  # type: ignore[arg-type]

    def seq(self, tree: Tree[Token]) -> Chain:
        """Items one after the other."""
        return tuple(node for child in tree.children for node in self.item(child))  # type: ignore[arg-type]

    def item(self, tree: Tree[Token]) -> Chain:
        """One item, repeated or not; plain brackets leave their contents."""
        unit, *after = tree.children
        assert isinstance(unit, Tree)
        optional = any(isinstance(one, Token) and one.type == "QUERY" for one in after)
        times = [one for one in after if isinstance(one, Token) and one.type == "TIMES"]
        count = self.times(times[0]) if times else 1
        at = _place(unit)
        inside = self.seq(unit.children[0]) if unit.data == "block" else (self.node(unit),)  # type: ignore[arg-type]
        if unit.data == "block" and not inside:
            raise NotationError("there is nothing in these brackets", self.text, at, expected="a layer")
        if count == 1 and not optional:
            return inside
        return (Block(inside, count, optional, at),)

    def node(self, tree: Tree[Token]) -> Node:
        """A layer or a branch."""
        reader: Callable[[Tree[Token]], Node] = getattr(self, f"_{tree.data}")
        return reader(tree)

    def _residual(self, tree: Tree[Token]) -> Residual:
        head, *parts = tree.children
        chains = [self._filled(part, head) for part in parts]  # type: ignore[arg-type]
        return Residual(chains[0], chains[1] if len(chains) > 1 else None, head.start_pos)  # type: ignore[union-attr]

    def _concatenation(self, tree: Tree[Token]) -> Concatenation:
        head, *parts = tree.children
        return Concatenation(tuple(self._filled(p, head) for p in parts), head.start_pos)  # type: ignore[arg-type, union-attr]

    def _filled(self, tree: Tree[Token], head: Token) -> Chain:
        found = self.seq(tree)
        if not found:
            raise self.wrong(
                "a branch is empty", head, expected="a layer in it", hint="linear, which does nothing"
            )
        return found

    def _input(self, tree: Tree[Token]) -> Layer:
        token = tree.children[0]
        assert isinstance(token, Token)
        said = str(token)[5:]
        sizes = [self.number(number, token) for number in re.findall(r"\d+", said)]
        channels = 3 if _RGB.search(said) else 1 if _GREY.search(said) else 0
        if channels and len(sizes) in (2, 3):
            sizes = [channels, *sizes[:2]] if len(sizes) == 2 else sizes
        left = re.sub(
            r"[\d()\sx,]|\b(rgb|colou?r|gr[ae]y(scale)?|image|picture|pixels?)\b", "", said, flags=re.I
        )
        if left or len(sizes) not in (0, 2, 3) or 0 in sizes:
            raise self.wrong("this is no input", token, expected="INPUT, INPUT 32x32 or INPUT 3x224x224")
        return self.checked(Layer("input", tuple(sizes)), token)

    def _plain(self, tree: Tree[Token]) -> Layer:
        head = tree.children[0]
        word = WORDS[SPOKEN[str(head).casefold()]]
        args = self.args(tree, word.args, str(head))
        layer = Layer(word.name, args=args, **self.parts(tree))
        if word.name in ("FC", "RBF") and len(layer.sizes) == 1 and layer.maps is None:
            layer = _with(layer, maps=layer.sizes[0], sizes=())
        return self.checked(layer, head)  # type: ignore[arg-type]

    def _pooling(self, tree: Tree[Token]) -> Layer:
        head = tree.children[0]
        assert isinstance(head, Token)
        low = str(head).casefold()
        low = "globalavg" if low == "gap" else low
        found = re.fullmatch(r"(global|adaptive)?[-_]?(.*?)[-_]?(pool(?:ing)?)?", low)
        assert found is not None
        place, which, pooled = found.groups()
        parts = self.parts(tree)
        says_pool = pooled or any(isinstance(c, Token) and c.type == "POOLED" for c in tree.children)
        if not place and not says_pool and not parts["sizes"]:
            raise self.wrong(
                f"{which} alone is no layer", head, hint=f"{which}pool, {which}2 or global{which}"
            )
        pooling = self.pooling(which, tree, head)
        return self.checked(Layer(place or "pool", pooling=pooling, **parts), head)

    def _placed(self, tree: Tree[Token]) -> Layer:
        head, *rest = tree.children
        which = next(one for one in rest if isinstance(one, Token) and one.type == "POOLING")
        where = rest.index(which)
        word = WORDS[SPOKEN[str(head).casefold()]]
        args = self.args(Tree("args", rest[:where]), word.args, str(head))
        after: Tree[Token] = Tree("args", rest[where:])
        name = reducer_text.registered(re.sub(r"[-_]?pool(ing)?$", "", str(which).casefold()))
        if name.startswith(("global", "adaptive")):
            raise self.wrong(
                f"{word.name} says already where to pool", which, expected="a reducer such as max"
            )
        pooling = self.pooling(name, after, which)
        parts = self.parts(Tree("marks", rest[where + 1 :]))
        return self.checked(Layer(word.name, args=args, pooling=pooling, **parts), head)  # type: ignore[arg-type]

    def _lenet(self, tree: Tree[Token]) -> Layer:
        head = tree.children[0]
        assert isinstance(head, Token)
        numbers = [one for one in tree.children if isinstance(one, Token) and one.type == "SIZES"]
        read = [self.sizes(one) for one in numbers]
        parts: dict[str, Any] = {"maps": None, "sizes": (), "options": self.options(tree)}
        if len(read) == 2 or (read and len(read[0]) == 1):
            parts["maps"] = read[0][0]
            if len(read[0]) != 1:
                raise self.wrong("maps are one number", numbers[0], expected="such as 6@28x28")
        elif read:
            parts["sizes"] = read[0]
        if len(read) == 2:
            size = read[1] * 2 if len(read[1]) == 1 else read[1]
            parts["options"] = _ordered([*parts["options"], ("size", size)])
        word = WORDS[str(head)[0]]
        return self.checked(Layer(word.name, name=str(head), **parts), head)

    def parts(self, tree: Tree[Token]) -> dict[str, Any]:
        """What may follow any word: sizes, maps, a tie, options."""
        parts: dict[str, Any] = {"sizes": (), "maps": None, "name": None, "options": self.options(tree)}
        for one in tree.children:
            if not isinstance(one, Token):
                continue
            if one.type == "SIZES":
                parts["sizes"] = self.sizes(one)
            elif one.type == "MAPS":
                said = str(one)[1:]
                parts["maps"] = self.number(said, one) if said.isdigit() else said.lower()
            elif one.type == "TIE":
                if parts["name"]:
                    raise self.wrong("a layer has one name", one)
                parts["name"] = str(one)[1:]
        return parts

    def options(self, tree: Tree[Token]) -> tuple[tuple[str, Value], ...]:
        """All options, in their order."""
        found: dict[str, Value] = {}
        for option in tree.children:
            if isinstance(option, Tree) and option.data == "option":
                token = option.children[0]
                assert isinstance(token, Token)
                name, value = self.option(token)
                if name in found:
                    raise self.wrong(f"{name} is said twice", token)
                found[name] = value
        return _ordered(found.items())

    def option(self, token: Token) -> tuple[str, Value]:
        """One option."""
        kind, said = token.type, str(token)
        if kind in ("STRIDE", "KERNEL", "DILATION", "EXTRA"):
            return kind.lower(), self.sizes(token, said[1:], least=kind != "EXTRA")
        if kind in ("GROUPS", "MULTIPLIER"):
            return kind.lower(), self.sizes(token, said[1:])[0]
        if kind == "PADDING":
            entries = [tuple(self.number(n, token) for n in e.split("+")) for e in said[1:].split("x")]
            flat = tuple(entry[0] if len(entry) == 1 else entry for entry in entries)
            return "padding", flat
        if kind == "RULE":
            return "padding", said.lower()
        if kind in ("MODE", "METHOD"):
            return kind.lower(), said.lower()
        if kind == "ASSIGN":
            name, _, value = said.partition("=")
            return name.strip().lower(), value.strip().lower()
        if kind == "TABLE":
            rows = re.findall(r"[01]+", said)
            return "table", tuple(rows) or "I"
        low = said.lower()
        return ("bias", low == "bias") if low.endswith("bias") else (low, True)

    def args(self, tree: Tree[Token], order: tuple[str, ...], word: str) -> tuple[tuple[str, Value], ...]:
        """What is in parentheses, by name; nameless ones in order."""
        found: dict[str, Value] = {}
        several = order == ("levels",)
        for place, (name, value, token) in enumerate(self.arguments(tree)):
            name = name or (order[0] if several else order[place] if place < len(order) else "")
            if name not in order or (name in found and not several):
                expected = ", ".join(order) or "nothing in parentheses"
                raise self.wrong(f"{word} takes no such argument", token, expected=expected)
            before = found.get(name, ())
            found[name] = (*before, value) if several and isinstance(before, tuple) else value
        return tuple((name, found[name]) for name in order if name in found)

    def arguments(self, tree: Tree[Token]) -> Iterable[tuple[str, Value, Token]]:
        """Name or nothing, value, and where."""
        lists = [one for one in tree.children if isinstance(one, Tree) and one.data == "args"]
        for one in lists[0].children if lists else []:
            *key, token = one.children  # type: ignore[union-attr]
            assert isinstance(token, Token)
            yield (str(key[0]).rstrip("= ").lower() if key else ""), self.value(token), token

    def pooling(self, which: str, tree: Tree[Token], head: Token) -> Pooling:
        """A reducer, with its arguments checked by making it."""
        given: list[tuple[str, Scalar]] = []
        for name, value, token in self.arguments(tree):
            if isinstance(value, tuple):
                raise self.wrong("an argument of a pooling is one value", token)
            given.append((name, value))
        try:
            return named(which, given)
        except ArgumentError as error:
            raise self.wrong(str(error), head) from None

    def value(self, token: Token) -> Value:
        """A number, a word, or sizes."""
        said = str(token)
        if re.fullmatch(r"\d+(x\d+)+", said):
            return self.sizes(token)
        words: dict[str, Scalar] = {"true": True, "yes": True, "false": False, "no": False, "none": None}
        if said.lower() in words:
            return words[said.lower()]
        if re.fullmatch(r"[-+]?\d+", said):
            if abs(int(said[:12])) > LARGEST or len(said) > 12:
                raise self.wrong("a number is too large", token, expected=f"at most {LARGEST:,}")
            return int(said)
        if re.fullmatch(r"[-+]?([\d.].*|inf)", said, re.IGNORECASE):
            return float(said)
        return said.lower()

    def times(self, token: Token) -> int | str:
        """How often: a number, or the name of a setting."""
        said = str(token).lstrip("*x ").strip()
        if not said.isdigit():
            return said
        return self.number(said, token)

    def sizes(self, token: Token, said: str | None = None, least: int = 1) -> tuple[int, ...]:
        """Numbers joined by x."""
        numbers = tuple(self.number(number, token) for number in (said or str(token)).split("x"))
        if min(numbers) < int(least) and token.type != "EXTRA":
            raise self.wrong("a size is 0", token, expected="a whole number >= 1")
        return numbers

    def number(self, said: str, token: Token) -> int:
        """A whole number that is not absurd."""
        digits = said.strip()
        if len(digits) > 7 or int(digits) > LARGEST:
            raise self.wrong("a number is too large", token, expected=f"at most {LARGEST:,}", got=digits[:20])
        return int(digits)

    def checked(self, layer: Layer, token: Token) -> Layer:
        """The layer with its place, if its word takes what was said with it."""
        word = WORDS[layer.word]
        shown = str(token)
        layer = _with(layer, at=token.start_pos, length=len(shown))
        for name, _ in layer.options:
            if name not in word.options:
                expected = ", ".join(word.options) or "no options"
                raise self.wrong(f"{shown} takes no {name}", token, expected=expected)
        if layer.sizes and not word.sizes:
            raise self.wrong(f"{shown} takes no number", token, got="x".join(map(str, layer.sizes)))
        if word.name in ("pad", "crop", "resize") and not layer.sizes:
            raise self.wrong(f"{shown} by how much", token, expected=f"such as {word.name}2")
        if layer.maps is not None and not word.maps:
            raise self.wrong(f"{shown} has no maps of its own", token, got=f"-{layer.maps}")
        if layer.maps == 0:
            raise self.wrong(f"{shown} with no maps", token, expected="at least 1")
        if word.tie == "must" and not layer.name:
            raise self.wrong(f"{shown} of what", token, expected=f"a name, such as {word.name}:a")
        if layer.word == "pyramid" and any(not isinstance(v, int | tuple) for v in layer.args[0][1]):  # type: ignore[union-attr]
            raise self.wrong("levels are whole numbers", token, expected="such as pyramid(1,2,4)")
        if layer.name and layer.word not in LENET and layer.word == "input":
            raise self.wrong("the input has no name", token)
        return layer

    def wrong(self, what: str, token: Token, **more: Any) -> NotationError:
        """An error at a token."""
        return NotationError(what, self.text, token.start_pos, len(token), **more)


def _ordered(options: Iterable[tuple[str, Value]]) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(options, key=lambda pair: OPTIONS.index(pair[0])))


def _with(layer: Layer, **changes: Any) -> Layer:
    from dataclasses import replace

    return replace(layer, **changes)


def _place(tree: Tree[Token]) -> int | None:
    """Where a tree begins."""
    node: Any = tree
    while isinstance(node, Tree):
        if not node.children:
            return None
        node = node.children[0]
    return node.start_pos if isinstance(node, Token) else None
