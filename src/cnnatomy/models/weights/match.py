"""Which of the given tensors belongs to which of the network's: by name, by the rules of names, by order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from torch import Tensor

from cnnatomy.models.weights.library_names import AUXILIARY, COUNTER, canonical, unwrapped

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Match:
    """What belongs together, and what is left over.

    `pairs` leads from our names to theirs. Of what is left, `missing` (ours), `unexpected` (theirs) and
    `unfit` (pairs of other shapes or kinds of numbers) are faults; `unused` (theirs) and `kept` (ours) not.
    """

    way: str
    pairs: Mapping[str, str]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    unfit: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def faults(self) -> int:
        """How much stands against it."""
        return len(self.missing) + len(self.unexpected) + len(self.unfit)


def match(ours: Tensors, theirs: Tensors, head: str | None = None) -> Match:
    """Match two state dicts: the first way without a fault, or that with the fewest.

    Args:
        ours: of the network, in the order in which it registers them.
        theirs: what was given.
        head: the path of our layer that is to keep its own weights.
    """
    rest = unwrapped(theirs, ours)
    found = [_settle("by name", dict(zip(ours, ours, strict=True)), rest, ours, theirs, head)]
    if found[-1].faults:
        mine, own = canonical(ours)
        given, dialect = canonical(rest)
        said = " and ".join(filter(None, (own, dialect)))
        renamed = {name: rest[given[name]] for name in given}
        found.append(_settle(f"by the names of {said}", mine, renamed, ours, theirs, head))
    if all(one.faults for one in found) and (pairs := in_order(ours, theirs, head)):
        left = (name for name in theirs if name not in pairs.values())
        mine = {name: name for name in ours}
        renamed = pairs | {f"\0{name}": name for name in left}
        found.append(_settle("by order and shape", mine, renamed, ours, theirs, head))
    return min(found, key=lambda one: one.faults)


def _settle(
    way: str,
    mine: Mapping[str, str],
    given: Mapping[str, str],
    ours: Tensors,
    theirs: Tensors,
    head: str | None,
) -> Match:
    """Sort everything into what belongs together and what is left, where both sides have common names."""
    paired = {mine[name]: given[name] for name in mine if name in given}
    fresh = {name for name in ours if head is not None and _within(name, head)}
    pairs = {a: b for a, b in paired.items() if a not in fresh and fits(ours[a], theirs[b])}
    unfit = tuple((a, b) for a, b in paired.items() if a not in fresh and a not in pairs)
    lone = [name for name in ours if name not in paired]
    used = set(paired.values())
    others = [b for b in given.values() if b not in used]
    spare = [b for b in others if _spare(b)]
    if not fresh & set(paired) and _is_head(set(others) - set(spare), theirs, (ours[a] for a in fresh)):
        spare = others
    optional = [a for a in lone if a.endswith(COUNTER)]
    return Match(
        way,
        pairs,
        missing=tuple(a for a in lone if a not in fresh and a not in optional),
        unexpected=tuple(b for b in others if b not in spare),
        unfit=unfit,
        unused=(*(paired[a] for a in paired if a in fresh), *spare),
        kept=(*(a for a in ours if a in fresh), *(a for a in optional if a not in fresh)),
    )


def fits(ours: Tensor, theirs: Tensor) -> bool:
    """Whether values can be taken over: as many numbers of a like kind, in the same shape.

    A dense layer may be given as a convolution over its whole map, or the other way round: the numbers are
    the same, in the same order.
    """
    kinds = ours.is_floating_point(), ours.is_complex()
    if (theirs.is_floating_point(), theirs.is_complex()) != kinds or theirs.is_quantized:
        return False
    dense = {ours.dim(), theirs.dim()} == {2, 4} and ours.shape[0] == theirs.shape[0]
    return ours.shape == theirs.shape or (dense and ours.numel() == theirs.numel())


def in_order(ours: Tensors, theirs: Tensors, head: str | None) -> dict[str, str] | None:
    """Pair layer by layer, if both sides have layers of the same tensors and shapes in the same order.

    Names in the order of the alphabet say nothing about the order of the layers (safetensors files have
    them so), and are not paired.
    """
    given = [name for name in theirs if not _spare(name)]
    if given == sorted(given) and len(given) > 1:
        return None
    mine, their = _layers(n for n in ours if not n.endswith(COUNTER)), _layers(given)
    if len(mine) != len(their):
        return None
    pairs: dict[str, str] = {}
    for (path, leaves), (other, others) in zip(mine, their, strict=True):
        here = {_join(path, leaf): _join(other, leaf) for leaf in leaves}
        fresh = head is not None and (path == head)
        if leaves != others or not (fresh or all(fits(ours[a], theirs[b]) for a, b in here.items())):
            return None
        pairs |= here
    return pairs


def _layers(names: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The layers in order, each with the names of its tensors."""
    return [
        (path, tuple(name.rpartition(".")[2] for name in members))
        for path, members in groupby(names, key=lambda name: name.rpartition(".")[0])
    ]


def _is_head(names: Iterable[str], theirs: Tensors, fresh: Iterable[Tensor]) -> bool:
    """Whether these are one layer that reads what our fresh head reads, and so their head by another name."""
    names = list(names)
    reads = {tuple(theirs[name].shape[1:]) for name in names if theirs[name].dim() > 1}
    alone = len({name.rpartition(".")[0] for name in names}) == 1
    return alone and len(reads) == 1 and reads == {tuple(t.shape[1:]) for t in fresh if t.dim() > 1}


def _spare(name: str) -> bool:
    return name.endswith(COUNTER) or AUXILIARY.match(name) is not None


def _within(name: str, path: str) -> bool:
    return name.startswith(f"{path}.") if path else "." not in name


def _join(path: str, leaf: str) -> str:
    return f"{path}.{leaf}" if path else leaf
