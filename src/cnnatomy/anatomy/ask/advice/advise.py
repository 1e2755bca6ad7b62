"""Ask every rule, and put what they say in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from torch import nn

from cnnatomy.anatomy.ask.advice import bottlenecks, field_advice, weight_advice, window_advice
from cnnatomy.anatomy.ask.advice.anatomy_facts import Facts
from cnnatomy.anatomy.ask.advice.remark import Advice
from cnnatomy.anatomy.result import Anatomy
from cnnatomy.checks import whole_number
from cnnatomy.errors import ArgumentError

RULES: tuple[Callable[[Facts], Iterator[Advice]], ...] = (
    bottlenecks.stopped,
    window_advice.blind,
    field_advice.unread,
    window_advice.untiled,
    field_advice.small,
    window_advice.idle_taps,
    window_advice.pooled_away,
    window_advice.stretched,
    weight_advice.unused,
    weight_advice.dead_channels,
    weight_advice.unwired,
    bottlenecks.narrow,
    window_advice.skipping,
    window_advice.checkered,
    window_advice.drifting,
    field_advice.saturated,
    window_advice.padded,
    weight_advice.wasted_bias,
    weight_advice.heavy,
    bottlenecks.waiting,
)
"""One function for each kind of remark, in the order in which they are told within a level."""
_TO_THE_END = frozenset(
    {
        field_advice.unread,
        weight_advice.unused,
        weight_advice.dead_channels,
        bottlenecks.narrow,
        window_advice.skipping,
        weight_advice.wasted_bias,
    }
)
"""Those that ask what comes later, which a pass that stopped does not tell."""
_LEVELS = ("error", "warning", "note")


def advise(
    anatomy: Anatomy, object_size: int | None = None, *, model: nn.Module | None = None
) -> list[Advice]:
    """Remark on a network: what is lost, wasted or cannot work on this input, why, and what to do.

    Args:
        anatomy: a network on one input size, as `anatomy` measured it.
        object_size: cells of the input that one unit should see at once, such as the size of what is to be
            found; left out, receptive fields are not called too small.
        model: the network, so that its tables of connections are looked at; they are not in an anatomy.

    Returns:
        Errors first, then warnings, then notes. The same remark on several layers is made once, on the first
        of them; `also` holds the others.

    Raises:
        ArgumentError: the anatomy was read from a file and has no recorded pass.

    Example:
        >>> from torch import nn
        >>> from cnnatomy.anatomy import anatomy
        >>> (remark,) = advise(anatomy(nn.MaxPool2d(3), (1, 7, 7)))[1:]
        >>> remark.what
        'its windows do not tile: the last of 7 cells on each axis is never read'
        >>> remark.remedy.partition("; ")[0]
        'give it an input of 6 or 9, padding (1, 1) or (0, 2), or stride 2'
    """
    if anatomy.graph is None:
        raise ArgumentError(
            "an anatomy read from a file has no recorded pass", hint="anatomy(model, input_size)"
        )
    if object_size is not None:
        whole_number("object_size", object_size, least=1)
    facts = Facts(anatomy, object_size, model)
    found: dict[tuple[str, str, str], Advice] = {}
    for rule in RULES:
        for one in () if anatomy.reason is not None and rule in _TO_THE_END else rule(facts):
            key = one.level, one.what, one.remedy
            if (first := found.get(key)) is None:
                found[key] = one
            elif one.layer not in (first.layer, *first.also):
                found[key] = replace(first, also=(*first.also, one.layer))
    return sorted(found.values(), key=lambda one: _LEVELS.index(one.level))
