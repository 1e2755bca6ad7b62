"""From what a text says to what it means: repeats written out, numbers settled, all that is implied said.

The result is notation again, its explicit form: `str(explicit(spec))` builds the same network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from cnnatomy.notation.errors import NotationError
from cnnatomy.notation.implied import activated
from cnnatomy.notation.network_spec import Block, Chain, Concatenation, Layer, Node, Pooling, Residual, Spec
from cnnatomy.notation.reducer_names import instead
from cnnatomy.notation.vocabulary import KINDS

LAYER_BYTES = 12 * 2**10
"""What a layer's module takes beside its weights, as measured on residual networks of 1,000 blocks."""
MOST_LAYERS = 2**30 // LAYER_BYTES
"""Layers of a network, written out: their modules take 1 GiB."""
MOST_ROUNDS = MOST_LAYERS
"""Rounds of all repeats together, those included that leave everything out."""

SETTINGS = ("maps", "units", "kernel", "classes", "pool")
"""What may follow `with`, besides the capitals that repeats name."""
CLASSES = "classes"


def explicit(spec: Spec, *, classes: int | None = None, pool: Pooling | None = None) -> Spec:
    """Write out what a text implies.

    Args:
        spec: what was read.
        classes: how many classes there are: the last layer gets as many maps or units.
        pool: a reducer to take the place of every pooling's, whose windows stay.

    Raises:
        NotationError: a number is left open, a setting is missing or unknown, there are too many layers, or
            no pooling whose reducer `pool` could take the place of.

    Example:
        >>> from cnnatomy.notation import parse
        >>> print(explicit(parse("[conv3-8 bn]*2 maxpool FC soft-max"), classes=10))
        conv3-8 nobias bn relu conv3-8 nobias bn relu maxpool FC-10 linear soft-max
    """
    body = _Expansion(spec).body()
    count = dict(spec.settings).get(CLASSES, (None,))[0] if classes is None else classes
    body = _with_classes(_softmax_layer(body), count, given=classes is not None)
    open_ones = [one for one in layers(body) if one.maps == CLASSES]
    if open_ones:
        what = "the number of classes is open"
        raise NotationError(what, spec.source, open_ones[0].at, open_ones[0].length, hint="classes=10")
    if pool is not None:
        if not any(map(_gives_way, layers(body))):
            expected = "a pooling of windows or to a grid; global ones stay"
            hint = instead(str(Layer("global", pooling=pool)))
            raise NotationError("there is no pooling to replace", expected=expected, hint=hint)
        body = tuple(_pooled(node, pool) for node in body)
    return Spec(activated(body), (), spec.source)


def layers(nodes: Iterable[Node]) -> Iterator[Layer]:
    """Every layer, those of branches and blocks included."""
    for node in nodes:
        if isinstance(node, Layer):
            yield node
        elif isinstance(node, Block):
            yield from layers(node.body)
        elif isinstance(node, Residual):
            yield from layers((*node.body, *(node.shortcut or ())))
        else:
            for branch in node.branches:
                yield from layers(branch)


@dataclass
class _Expansion:
    """One text being written out."""

    spec: Spec
    used: set[str] = field(default_factory=set)
    turns: dict[str, int] = field(default_factory=dict)
    """How many entries of a list were taken outside of repeats of its length."""
    rounds: int = 0
    written: int = 0

    def body(self) -> Chain:
        """Everything, with no block left."""
        made = self.chain(self.spec.body, ())
        for name in self.settings:
            if name not in self.used and name != CLASSES:
                known = sorted(
                    {*SETTINGS, *(str(b.times) for b in _blocks(self.spec.body) if isinstance(b.times, str))}
                )
                raise self.wrong(f"nothing takes the setting {name}", None, expected=", ".join(known))
        return made

    @property
    def settings(self) -> Mapping[str, tuple[int, ...]]:
        return dict(self.spec.settings)

    def chain(self, nodes: Chain, stack: tuple[tuple[int, int], ...]) -> Chain:
        """Nodes in repeats, of which `stack` has the round and the number of rounds, the outermost first."""
        return tuple(made for node in nodes for made in self.node(node, stack))

    def node(self, node: Node, stack: tuple[tuple[int, int], ...]) -> Iterator[Node]:
        """One node written out."""
        if isinstance(node, Block):
            yield from self.block(node, stack)
        elif isinstance(node, Residual):
            shortcut = None if node.shortcut is None else self.chain(node.shortcut, stack)
            yield replace(node, body=self.chain(node.body, stack), shortcut=shortcut)
        elif isinstance(node, Concatenation):
            yield replace(node, branches=tuple(self.chain(branch, stack) for branch in node.branches))
        else:
            self.written += 1
            if self.written > MOST_LAYERS:
                raise self.wrong("there are too many layers", node.at, expected=f"at most {MOST_LAYERS:,}")
            yield self.layer(node, stack)

    def block(self, block: Block, stack: tuple[tuple[int, int], ...]) -> Iterator[Node]:
        """Every round of a block."""
        times = block.times
        if isinstance(times, str):
            if times not in self.settings:
                raise self.wrong(f"how often is {times}", block.at, hint=f"... with {times}=2")
            times = self.pick(times, stack, block.at)
        if block.optional and "pool" in self.settings and not self.pick("pool", stack, block.at):
            times = 0
        for turn in range(times):
            self.rounds += 1
            if self.rounds > MOST_ROUNDS:
                raise self.wrong("there are too many repeats", block.at, expected=f"at most {MOST_ROUNDS:,}")
            yield from self.chain(
                block.body, (*stack, (turn, times)) if isinstance(block.times, str) or times > 1 else stack
            )

    def layer(self, layer: Layer, stack: tuple[tuple[int, int], ...]) -> Layer:
        """A layer with what the settings say of it."""
        if layer.word in ("conv", "C"):
            if layer.maps is None:
                layer = replace(layer, maps=self.open(layer, "maps", stack))
            if (
                layer.word == "conv"
                and not layer.sizes
                and layer.option("kernel") is None
                and "kernel" in self.settings
            ):
                layer = replace(layer, sizes=(self.pick("kernel", stack, layer.at),))
            if (
                layer.word == "C"
                and not {"kernel", "size"} & set(dict(layer.options))
                and "kernel" in self.settings
            ):
                kernel = ("kernel", (self.pick("kernel", stack, layer.at),))
                layer = replace(layer, options=(kernel, *layer.options))
        elif layer.word in ("FC", "F") and layer.maps is None:
            last = layer is _last_dense(self.spec.body)
            units: int | str = CLASSES if last and layer.word == "FC" else self.open(layer, "units", stack)
            layer = replace(layer, maps=units)
        elif layer.word in ("sepconv", "pwconv", "convT", "subpixel", "resizeconv") and layer.maps is None:
            layer = replace(layer, maps=self.open(layer, "maps", stack))
        elif layer.word == "RBF" and layer.maps is None:
            layer = replace(layer, maps=CLASSES)
        return layer

    def open(self, layer: Layer, name: str, stack: tuple[tuple[int, int], ...]) -> int:
        """A number that the layer leaves open."""
        if name not in self.settings:
            said = (
                f"{layer.word}3-64 or ... with maps=64"
                if name == "maps"
                else f"{layer.word}-512 or ... with units=512"
            )
            raise self.wrong(f"how many {name} has {layer.name or layer.word}", layer.at, hint=said)
        count = self.pick(name, stack, layer.at)
        if not count:
            raise self.wrong(f"{name} is 0", layer.at, expected="at least 1")
        return count

    def pick(self, name: str, stack: tuple[tuple[int, int], ...], at: int | None) -> int:
        """A setting's value here: of a list, that of the outermost repeat of its length, else the next."""
        self.used.add(name)
        values = self.settings[name]
        if len(values) == 1:
            return values[0]
        for turn, times in stack:
            if times == len(values):
                return values[turn]
        turn = self.turns.get(name, 0)
        if stack or turn >= len(values):
            repeats = f"{len(values)} rounds" if stack else f"at most {len(values)} layers that ask"
            rounds = " of ".join(str(times) for _, times in stack) or None
            raise self.wrong(f"{name} has {len(values)} values", at, expected=repeats, got=rounds)
        self.turns[name] = turn + 1
        return values[turn]

    def wrong(
        self,
        what: str,
        at: int | None,
        *,
        expected: str | None = None,
        got: str | None = None,
        hint: str | None = None,
    ) -> NotationError:
        """An error at a place."""
        return NotationError(what, self.spec.source, at, expected=expected, got=got, hint=hint)


def _blocks(nodes: Iterable[Node]) -> Iterator[Block]:
    for node in nodes:
        if isinstance(node, Block):
            yield node
            yield from _blocks(node.body)
        elif isinstance(node, Residual):
            yield from _blocks((*node.body, *(node.shortcut or ())))
        elif isinstance(node, Concatenation):
            for branch in node.branches:
                yield from _blocks(branch)


def _last_dense(nodes: Chain) -> Layer | None:
    """The layer that tells the classes: the last one with weights, if it is dense and not repeated."""
    for node in reversed(nodes):
        if not isinstance(node, Layer):
            return None
        if node.word in KINDS["dense"]:
            return node
        if node.word not in ("soft-max", "logsoftmax", "dropout", "linear"):
            return None
    return None


def _softmax_layer(body: Chain) -> Chain:
    """Softmax as a layer of its own, where no layer before it gives scores: FC-classes comes first."""
    if not body or not _is(body[-1], "soft-max"):
        return body
    before = body[-2] if len(body) > 1 else None
    scored = isinstance(before, Layer) and (
        before.word
        in KINDS["dense"]
        | KINDS["convolution"]
        | {"global", "linear", "convT", "subpixel", "resizeconv", "flatten"}
    )
    return body if scored else (*body[:-1], Layer("FC", maps=CLASSES, at=body[-1].at), body[-1])


def _is(node: Node, *words: str) -> bool:
    return isinstance(node, Layer) and node.word in words


def _with_classes(body: Chain, count: int | None, *, given: bool) -> Chain:
    """Fill in the number of classes: where it is open, and where it was asked for in the last layer."""
    if count is None:
        return body
    made = [_filled(node, count) for node in body]
    place = len(made) - 1
    vector = False
    skipped = KINDS["norm"] | KINDS["activation"] | {"soft-max", "logsoftmax", "dropout", "flatten", "global"}
    while place >= 0 and _is(made[place], *skipped):
        vector |= _is(made[place], "global")
        place -= 1
    last = made[place] if place >= 0 else None
    if (
        given
        and isinstance(last, Layer)
        and (
            last.word in KINDS["dense"]
            or (vector and last.word in KINDS["convolution"] and last.maps is not None)
        )
    ):
        made[place] = replace(last, maps=count)
    return tuple(made)


def _filled(node: Node, count: int) -> Node:
    if isinstance(node, Layer):
        return replace(node, maps=count) if node.maps == CLASSES else node
    if isinstance(node, Residual):
        shortcut = None if node.shortcut is None else tuple(_filled(one, count) for one in node.shortcut)
        return replace(node, body=tuple(_filled(one, count) for one in node.body), shortcut=shortcut)
    assert isinstance(node, Concatenation)
    return replace(node, branches=tuple(tuple(_filled(o, count) for o in b) for b in node.branches))


def _gives_way(layer: Layer) -> bool:
    """Whether another pooling may stand here: where there are windows, which stay, or a grid."""
    return (layer.pooling is not None and layer.word != "global") or layer.word in ("S", "subsample")


def _pooled(node: Node, pool: Pooling) -> Node:
    if isinstance(node, Layer):
        return replace(node, pooling=pool) if _gives_way(node) else node
    if isinstance(node, Residual):
        shortcut = None if node.shortcut is None else tuple(_pooled(one, pool) for one in node.shortcut)
        return replace(node, body=tuple(_pooled(one, pool) for one in node.body), shortcut=shortcut)
    assert isinstance(node, Concatenation)
    return replace(node, branches=tuple(tuple(_pooled(o, pool) for o in b) for b in node.branches))
