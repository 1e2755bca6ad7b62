"""Activations that papers imply, and the biases that a normalisation takes up, said out loud.

| written | meant |
|---|---|
| a convolution or dense layer | an activation follows it: ReLU, or LeNet-5's tanh after C, S and F |
| a normalisation right behind it | the activation follows that, and the convolution has no bias |
| an activation, or `linear` | is the activation |
| the end of a residual's branch | the activation follows the sum |
| the last layer, or one before soft-max | has none |
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cnnatomy.notation.network_spec import Chain, Concatenation, Layer, Node, Residual
from cnnatomy.notation.vocabulary import KINDS, LENET, OPTIONS, WORDS

NONE = "linear"


def activated(body: Chain) -> Chain:
    """A network without blocks, with every activation written; of its own result it changes nothing."""
    walk = _Walk()
    walk.through(body)
    if walk.pending and not (isinstance(body[-1], Layer) and body[-1].word == NONE):
        walk.settle(NONE)
    return tuple(walk.made)


@dataclass
class _Walk:
    """One chain from front to back, with the activation that is still to come."""

    made: list[Node] = field(default_factory=list)
    pending: str = ""
    name: str | None = None
    """A tie whose output is that of the activation still to come."""

    def through(self, nodes: Chain) -> None:
        """All nodes."""
        for node in nodes:
            if isinstance(node, Layer):
                self.layer(node)
            elif isinstance(node, Residual):
                self.settle()
                self.residual(node)
            elif isinstance(node, Concatenation):
                self.settle()
                self.made.append(replace(node, branches=tuple(_whole(branch) for branch in node.branches)))

    def layer(self, layer: Layer) -> None:
        """One layer."""
        if layer.word in KINDS["norm"]:
            self.drop_bias(layer)
            self.made.append(layer)
            return
        if layer.word in KINDS["activation"]:
            self.unnamed()
        elif layer.word in ("soft-max", "logsoftmax") and self.pending:
            self.settle(NONE)
        else:
            self.settle()
        self.pending = WORDS[layer.word].activation
        if self.pending and layer.name and layer.word not in LENET:
            self.name, layer = layer.name, replace(layer, name=None)
        self.made.append(layer)

    def residual(self, node: Residual) -> None:
        """Branches whose last activation follows the sum."""
        body, after = _part(node.body)
        shortcut, also = (None, "") if node.shortcut is None else _part(node.shortcut)
        self.made.append(replace(node, body=body, shortcut=shortcut))
        self.pending = after or also

    def settle(self, what: str = "") -> None:
        """Write the activation that is to come, or another."""
        if self.pending:
            at = getattr(self.made[-1], "at", None)
            self.made.append(Layer(what or self.pending, name=self.name, at=at))
        self.pending, self.name = "", None

    def unnamed(self) -> None:
        """Give a tie back to its layer: an activation that is written stands apart from it."""
        last = self.made[-1] if self.made else None
        if self.name and isinstance(last, Layer):
            self.made[-1] = replace(last, name=self.name)
        self.pending, self.name = "", None

    def drop_bias(self, norm: Layer) -> None:
        """Batch normalisation shifts by itself: the convolution right before it has no bias unless told."""
        before = self.made[-1] if self.made else None
        if norm.word != "bn" or not isinstance(before, Layer) or "bias" not in WORDS[before.word].options:
            return
        if before.option("bias") is None and before.word not in KINDS["dense"]:
            options = sorted([*before.options, ("bias", False)], key=lambda pair: OPTIONS.index(pair[0]))
            self.made[-1] = replace(before, options=tuple(options))


def _whole(branch: Chain) -> Chain:
    walk = _Walk()
    walk.through(branch)
    walk.settle()
    return tuple(walk.made)


def _part(branch: Chain) -> tuple[Chain, str]:
    """A branch that ends without its last activation, and that activation."""
    walk = _Walk()
    walk.through(branch)
    after = walk.pending
    walk.settle(NONE)
    return tuple(walk.made), after
