"""The record: one plane of an operator written down, as plain lists that every view only shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cnnatomy import __version__
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.plane_layout import ABSENT, FILL, Laid
from cnnatomy.reducers.contract import Line

SCHEMA = "cnnatomy.explanation/1"
Record = dict[str, Any]


def numbers(values: Tensor) -> list[Any]:
    """A tensor as a flat list of numbers; what JSON has no number for is "nan", "inf" or "-inf".

    Example:
        >>> numbers(torch.tensor([1.5, float("-inf")]))
        [1.5, '-inf']
    """
    flat: list[Any] = values.detach().reshape(-1).tolist()
    if values.is_floating_point() and not bool(values.isfinite().all()):
        return [one if math.isfinite(one) else str(one) for one in flat]
    return flat


def recorded(laid: Laid, grad: Any = None) -> Record:
    """Write a plane down, and the derivatives of its outputs.

    Args:
        laid: the plane.
        grad: the gradient of the operator's output, of the plane or of every output; 1 if left out.

    Raises:
        ArgumentError: the gradient has another shape.
    """
    values = {name: value.requires_grad_() for name, value in laid.values().items()}
    learned = {name: value.clone().requires_grad_() for name, value in _own(laid).items()}
    with torch.enable_grad():
        y = laid.law.compute({**values, **learned})
    line = laid.law.line({name: value.detach() for name, value in values.items()})
    grad_y = gradient(laid, grad, y.dtype)
    partials = _partials(y, values)
    there = laid.reads.cells != ABSENT
    cells = laid.reads.cells[there]
    outputs = torch.arange(len(there))[:, None].expand(there.shape)[there]
    products = sent(grad_y[outputs], partials["x"][there])
    shown = laid.shown()
    tensors = {name: _tensor(value) for name, value in shown.items()}
    tensors["x"] |= {"channels": list(laid.reads.channels), "start": list(laid.reads.start)}
    tensors["y"] = {"shape": list(laid.plane.shape), "values": numbers(y)}
    tensors["y"] |= {"start": list(laid.plane.start), "whole": list(laid.plane.whole)}
    tensors["grad_y"] = {"shape": list(laid.plane.shape), "values": numbers(grad_y)}
    summed = _gathered(cells, products, shown["x"])
    tensors["grad_x"] = {"shape": list(shown["x"].shape), "values": numbers(summed)}
    for name in laid.beside:
        beside = _gathered(cells, sent(grad_y[outputs], partials[name][there]), shown["x"])
        tensors[f"grad_{name}"] = {"shape": list(shown["x"].shape), "values": numbers(beside)}
    record: Record = {
        "schema": SCHEMA,
        "made_with": {"cnnatomy": __version__, "torch": str(torch.__version__)},
        "dtype": _name(laid.call.dtype),
        "computed_in": _name(laid.call.wide),
        "operator": {
            "family": laid.family,
            "call": laid.call.text,
            "name": laid.call.name,
            "params": dict(laid.call.params),
        },
        "formula": {"text": laid.law.formula, "how": laid.law.how, "line": line.text},
        "plane": dict(laid.plane.of),
        "at": [i - first for i, first in zip(laid.plane.at, laid.plane.start, strict=True)],
        "tensors": tensors,
        "axes": [[dict(axis) for axis in grid] for grid in laid.reads.grids],
        "taps": _taps(laid, values, partials, there, line),
        "steps": {name: numbers(_rows(step, len(there))) for name, step in line.steps.items()},
        "cover": _cover(cells, outputs, products, shown["x"].numel()),
        "checks": [],
        "notes": list(laid.notes),
    }
    if line.order is not None:
        record["order"] = _order(_rows(line.order, len(there)), there)
    if learned:
        slopes = _slopes(y, learned, grad_y)
        record["learned"] = {
            name: {"value": numbers(value)[0], "grad": numbers(slopes[name])[0]}
            for name, value in learned.items()
        }
    _weigh(record, laid, values["x"].detach(), grad_y, there)
    if laid.law.draw is not None:
        record["draw"] = {"uniform": numbers(laid.law.draw)}
    if laid.parts is not None:
        whole = summed.view(shown["x"].shape)
        record["parts"] = [{"role": role, "record": part.record} for role, part in laid.parts(whole)]
    return record


def sent(grad: Tensor, partial: Tensor) -> Tensor:
    """What outputs send back through their taps; nothing where the derivative is 0, be the gradient NaN."""
    return (grad * partial).masked_fill(partial == 0, 0)


def gradient(laid: Laid, grad: Any, dtype: torch.dtype) -> Tensor:
    """The gradient of the block's outputs (O,) from what was given."""
    count = math.prod(laid.plane.shape)
    if grad is None or isinstance(grad, int | float):
        return torch.full((count,), 1.0 if grad is None else float(grad), dtype=dtype)
    given = torch.as_tensor(grad, dtype=dtype).detach()
    if tuple(given.shape) == laid.plane.whole:
        flat = given.reshape(-1)
        return flat if laid.plane.shape == laid.plane.whole else flat[laid.plane.numbers]
    try:
        found = laid.plane.block(given)
        if found.numel() == count:
            return found
    except (IndexError, RuntimeError):
        pass
    expected = f"a number, the plane's {laid.plane.whole} or the shape of the whole output"
    raise ArgumentError("the gradient does not fit", expected=expected, got=f"shape {tuple(given.shape)}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _tensor(value: Tensor) -> dict[str, Any]:
    return {"shape": list(value.shape), "values": numbers(value)}


def _own(laid: Laid) -> dict[str, Tensor]:
    """What the law learns, as one number each for the channel at hand."""
    return {name: own_of(laid, value).to(laid.call.wide) for name, value in laid.law.learned.items()}


def own_of(laid: Laid, parameter: Tensor) -> Tensor:
    """A parameter's value, or its gradient, for the channel at hand: the only one, or that of the channel."""
    flat = parameter.reshape(-1)
    return flat[laid.reads.channels[0] if len(flat) > 1 else 0]


def _partials(y: Tensor, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """d y[o] / d tap of every tap: one backward pass, since every window has taps of its own."""
    if not y.requires_grad:
        return {name: torch.zeros_like(value) for name, value in values.items()}
    found = torch.autograd.grad(
        y.sum(), list(values.values()), allow_unused=True, materialize_grads=True, retain_graph=True
    )
    return dict(zip(values, found, strict=True))


def _slopes(y: Tensor, learned: Mapping[str, Tensor], grad_y: Tensor) -> dict[str, Tensor]:
    found = torch.autograd.grad(y, list(learned.values()), grad_y, allow_unused=True, materialize_grads=True)
    return dict(zip(learned, found, strict=True))


def _gathered(cells: Tensor, products: Tensor, like: Tensor) -> Tensor:
    """The sum of the products of every cell; those of padding are nobody's."""
    read = cells >= 0
    total = torch.zeros(like.numel(), dtype=products.dtype)
    return total.index_add(0, cells[read], products[read])


def _rows(values: Tensor, outputs: int) -> Tensor:
    """(1, 1, O, ..) or (O, ..) as (O, ..), where one row may stand for all."""
    found = values[0, 0] if values.dim() > 2 else values
    return found.expand(outputs, *found.shape[1:])


def _taps(
    laid: Laid, values: Mapping[str, Tensor], partials: Mapping[str, Tensor], there: Tensor, line: Line
) -> Record:
    reads, law = laid.reads, laid.law
    taps: Record = {
        "ptr": [0, *there.sum(1).cumsum(0).tolist()],
        "grid": reads.grid.tolist(),
        "place": reads.place.tolist(),
        "cell": reads.cells[there].tolist(),
        "tap": reads.number[there].tolist(),
        "value": numbers(values["x"][there]),
        "partial": numbers(partials["x"][there]),
        "flag": _flags(laid, values, there),
    }
    for name in laid.beside:
        taps[name] = numbers(values[name][there])
        taps[f"partial_{name}"] = numbers(partials[name][there])
    if law.factors is not None:
        taps["factor"] = numbers(law.factors[there])
        taps["term"] = numbers((law.factors * values["x"].detach())[there])
    if law.which is not None:
        taps["weight"] = law.which[there].tolist()
    for name, column in line.taps.items():
        taps[name] = numbers(_rows(column, len(there))[there])
    return taps


def _flags(laid: Laid, values: Mapping[str, Tensor], there: Tensor) -> list[str]:
    """What a reader must see of a tap: the winner, its ties, NaN; and whether it is filled in or copied."""
    x, cells = values["x"].detach(), laid.reads.cells
    kind, place = torch.zeros(x.shape, dtype=torch.int64), torch.zeros(x.shape, dtype=torch.int64)
    place[cells == FILL] = 1
    if laid.reads.copied is not None:
        place[laid.reads.copied] = 2
    kind[x.isnan()] = 1
    if laid.law.winner is not None:
        winner = laid.law.winner({name: value.detach() for name, value in values.items()})
        at = winner.clamp(min=0)[:, None]
        kind[(x == x.gather(1, at)) & (winner >= 0)[:, None]] = 2
        rows = (winner >= 0).nonzero().squeeze(1)
        kind[rows, winner[rows]] = 3
    kinds, places = ("", "nan", "tie", "winner"), ("", "fill", "copied")
    words = [f"{first} {then}".strip() for first in kinds for then in places]
    return [words[one] for one in (kind * len(places) + place)[there].tolist()]


def _cover(cells: Tensor, outputs: Tensor, products: Tensor, count: int) -> Record:
    """The same taps, by the cell that is read: which outputs send it what."""
    read = (cells >= 0).nonzero().squeeze(1)
    order = read[torch.argsort(cells[read], stable=True)]
    counts = torch.bincount(cells[order], minlength=count)
    return {
        "ptr": [0, *counts.cumsum(0).tolist()],
        "output": outputs[order].tolist(),
        "product": numbers(products[order]),
    }


def _order(order: Tensor, there: Tensor) -> Sequence[Sequence[int]]:
    """For every output the taps that its line names, as their places among its own taps."""
    place = there.cumsum(1) - 1
    found = []
    for row, own, inside in zip(order.tolist(), place.tolist(), there.tolist(), strict=True):
        found.append([own[tap] for tap in row if tap >= 0 and inside[tap]])
    return found


def _weigh(record: Record, laid: Laid, x: Tensor, grad_y: Tensor, there: Tensor) -> None:
    """Add the weights and the bias with their gradients, where there are any."""
    law, tensors, weight = laid.law, record["tensors"], laid.law.weights(laid.call.inputs)
    if weight is not None and law.which is not None:
        pulled = torch.zeros(weight.numel(), dtype=x.dtype)
        pulled.index_add_(0, law.which[there], (grad_y[:, None] * x)[there])
        tensors["weight"] = _tensor(weight)
        tensors["grad_weight"] = {"shape": list(weight.shape), "values": numbers(pulled)}
    if law.bias is not None:
        record["steps"]["bias"] = numbers(law.bias.expand(len(grad_y)))
