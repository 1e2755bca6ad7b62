"""`explain`: lay an operator out, write it down, and hold what is written to the operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from cnnatomy.errors import ArgumentError
from cnnatomy.explain import network_layer
from cnnatomy.explain.binding import bind
from cnnatomy.explain.binding.binding_common import Bound
from cnnatomy.explain.explanation import Explanation
from cnnatomy.explain.families.pooling_family import At
from cnnatomy.explain.plane_layout import Call, Laid
from cnnatomy.explain.record import Record, recorded
from cnnatomy.explain.record_checks import together, verify


def explain(
    what: Any,
    x: Any,
    at: int | Sequence[int] | None = None,
    grad: Any = None,
    *,
    layer: str | None = None,
    channel: int | None = None,
    **options: Any,
) -> Explanation:
    """Every number of one plane of an operator: what each output reads, how it comes of that, and back.

    For every output o and every tap i that it reads, the record holds the cell, the value x_i and the partial
    derivative dy[o]/dx_i; the gradient of a cell is the sum of grad[o] dy[o]/dx_i over the outputs that read
    it. The numbers come of the operator's definition, in its own dtype; before they are returned they are
    held to the operator itself and to autograd.

    Args:
        what: a module of torch or of this package, or one of the package's functions on tensors, such as
            `cnnatomy.pool`.
        x: its input, (N, C, *spatial), (C, *spatial) or (*spatial): a tensor, or lists of numbers.
        at: the output to begin with: its place on its plane, before it the channel, before that the image.
            One plane is explained; the first output of the first if left out.
        grad: the gradient of the operator's output: a tensor of that shape or of the plane's, or one number
            for all; 1 if left out.
        layer: of a network, the path of the layer that is explained, at what it is given on x; `at` is then
            the middle of its map if left out. The record also says what the unit sees of x.
        channel: of the output, where `at` does not say it.
        options: further arguments of the operator, such as `logits=` of importance pooling, `seed=` of one
            that draws, or those of a function.

    Raises:
        ArgumentError: there is no explanation of this, or it does not take these arguments.
        Disagreement: the numbers are not the operator's: a bug.

    Example:
        >>> import torch, cnnatomy
        >>> print(explain(torch.nn.AvgPool1d(2), [1.0, 2.0, 6.0, 0.0]).line(1))
        (6 + 0)/2 = 3
    """
    return draft(what, x, at, grad, layer=layer, channel=channel, **options).checked()


@dataclass(frozen=True)
class Draft:
    """A plane written down by the operator's definition, and not yet held to the operator itself.

    Args:
        record: what is written.
        laid: the plane.
        grad: the gradient of its outputs.
        whole: the operator as it was asked for, where the plane is only the last of its steps.
    """

    record: Record
    laid: Laid
    grad: Any = None
    whole: Call | None = None

    def checked(self) -> Explanation:
        """The explanation, held to its operator.

        Raises:
            Disagreement: the numbers are not the operator's: a bug.
        """
        verify(self.record, self.laid, self.grad)
        if self.whole is not None and self.laid.parts is not None:
            together(self.record, self.laid, self.whole, self.grad)
        return Explanation(self.record)


def draft(
    what: Any,
    x: Any,
    at: int | Sequence[int] | None = None,
    grad: Any = None,
    *,
    layer: str | None = None,
    channel: int | None = None,
    **options: Any,
) -> Draft:
    """What `explain` writes down, before it is held to the operator, whose kernel may have to be compiled.

    Raises:
        ArgumentError: there is no explanation of this, or it does not take these arguments.
    """
    if layer is not None:
        return _layer(what, x, at, channel, grad, layer, options)
    bound = bind(what, x, options)
    return _drafted(bound, placed(at, bound.axes, channel), grad)


def _drafted(bound: Bound, at: At, grad: Any) -> Draft:
    laid = bound.family.laid(at)
    return Draft(recorded(laid, grad), laid, grad, bound.whole)


def _layer(
    net: Any,
    x: Any,
    at: int | Sequence[int] | None,
    channel: int | None,
    grad: Any,
    layer: str,
    options: dict[str, Any],
) -> Draft:
    """One layer of a network."""
    if not isinstance(net, nn.Module):
        got = type(net).__name__
        raise ArgumentError("only a network has layers", expected="an nn.Module", got=got, hint="no layer=")
    picture = network_layer.batch_of(net, x)
    found = network_layer.met(net, picture, layer)
    module = network_layer.evaluated(found.module)
    bound = bind(module, found.x, {**found.options, **options})
    place = placed(at, bound.axes, channel)
    if place[2] is None:
        whole = bound.family.laid(place).plane.whole
        place = (*place[:2], network_layer.middle(whole, len(whole)))
    made = _drafted(bound, place, grad)
    unit = (place[0], place[1], *(place[2] or ()))
    made.record["network"] = network_layer.seen(net, picture, found.path, unit)
    return made


def checked(laid: Laid, grad: Any = None) -> Explanation:
    """The explanation of a plane, held to its operator."""
    return Draft(recorded(laid, grad), laid, grad).checked()


def placed(at: int | Sequence[int] | None, axes: int, channel: int | None = None) -> At:
    """The image, the channel and the place on the plane.

    Raises:
        ArgumentError: there are too few numbers, or too many.

    Example:
        >>> placed((3, 1, 2), 2), placed((1, 2), 2, 3), placed(None, 2)
        ((0, 3, (1, 2)), (0, 3, (1, 2)), (0, 0, None))
    """
    several = isinstance(at, Sequence) and not isinstance(at, str)
    place: list[Any] = [] if at is None else list(at) if several else [at]  # type: ignore[arg-type]
    every = place if channel is None else [*place, channel]
    if any(isinstance(i, bool) or not isinstance(i, int) or i < 0 for i in every):
        raise ArgumentError("there is no such output", expected="whole numbers >= 0", got=str(every))
    if at is not None and not axes <= len(place) <= axes + 2:
        expected = f"{axes} numbers, or the channel before them, or the image and the channel"
        raise ArgumentError("at does not fit the output", expected=expected, got=str(at))
    if len(place) > axes and channel is not None:
        raise ArgumentError(
            "the channel is given twice", expected="in at, or as channel", got=f"{at}, {channel}"
        )
    if at is None:
        return 0, channel or 0, None
    image, own = [0, channel or 0, *place[: len(place) - axes]][-2:]
    return image, own, tuple(place[len(place) - axes :])
