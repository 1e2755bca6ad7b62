"""Which layer of one network stands for which of another."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher

from cnnatomy.anatomy.figures import Layer

Match = tuple[Layer | None, Layer | None]
Likeness = Callable[[Layer], Hashable]


def matched(before: Sequence[Layer], after: Sequence[Layer]) -> list[Match]:
    """Pairs of layers, None where one has no counterpart.

    First those of the same path and type; of the rest, the longest common subsequence by type, shapes and
    parameters, then by type and children, so that a renamed, moved or widened layer finds its counterpart;
    last those of the same path alone. The order is that of the first network, and an added layer follows
    its neighbour of the second.
    """
    partner: dict[str, Layer] = {}
    left, right = list(before), list(after)
    for pairs in (_by(_place), _in_order(_twin), _in_order(_kind), _by(_path)):
        partner |= {a.path: b for a, b in pairs(left, right)}
        taken = {b.path for b in partner.values()}
        left = [layer for layer in left if layer.path not in partner]
        right = [layer for layer in right if layer.path not in taken]
    return list(_merged(before, after, partner))


def _merged(before: Sequence[Layer], after: Sequence[Layer], partner: dict[str, Layer]) -> Iterator[Match]:
    taken = {layer.path for layer in partner.values()}
    added: dict[str | None, list[Layer]] = {}
    neighbour = None
    for layer in after:
        if layer.path in taken:
            neighbour = layer.path
        else:
            added.setdefault(neighbour, []).append(layer)
    yield from ((None, layer) for layer in added.get(None, []))
    for layer in before:
        other = partner.get(layer.path)
        yield layer, other
        if other is not None:
            yield from ((None, new) for new in added.get(other.path, []))


Pairing = Callable[[Sequence[Layer], Sequence[Layer]], list[tuple[Layer, Layer]]]


def _by(key: Likeness) -> Pairing:
    def pairs(left: Sequence[Layer], right: Sequence[Layer]) -> list[tuple[Layer, Layer]]:
        known = {key(layer): layer for layer in right}
        return [(layer, known[key(layer)]) for layer in left if key(layer) in known]

    return pairs


def _in_order(key: Likeness) -> Pairing:
    def pairs(left: Sequence[Layer], right: Sequence[Layer]) -> list[tuple[Layer, Layer]]:
        blocks = SequenceMatcher(
            None, [*map(key, left)], [*map(key, right)], autojunk=False
        ).get_matching_blocks()
        return [(left[block.a + i], right[block.b + i]) for block in blocks for i in range(block.size)]

    return pairs


def _path(layer: Layer) -> Hashable:
    return layer.path


def _place(layer: Layer) -> Hashable:
    return layer.path, layer.type


def _twin(layer: Layer) -> Hashable:
    return layer.type, layer.output_shapes, layer.parameters, layer.leaf


def _kind(layer: Layer) -> Hashable:
    return layer.type, layer.leaf
