"""A record held to the operator that it speaks of: what is written is what is checked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cnnatomy.errors import CnnatomyError
from cnnatomy.explain.gradient_text import output_name, place
from cnnatomy.explain.plane_layout import ABSENT, FILL, Call, Laid, Values
from cnnatomy.explain.record import Record, gradient, own_of, sent

MOST_LOST = 1e-3
"""The largest share that numbers near the least of their dtype may be taken to lose."""


class Disagreement(CnnatomyError):
    """A record that says something else than its operator does: a bug, or numbers that were changed."""


def verify(record: Record, laid: Laid, grad: Any = None) -> None:
    """Hold a record to its operator, forward and backward, and write into it how far they differ.

    Raises:
        Disagreement: they differ by more than rounding; names the cell.
    """
    _origins(record)
    _sources(record, laid)
    operator = _Operator(laid)
    lost = _outputs(record, laid, operator)
    _derivatives(record, laid, operator, grad, lost)


class _Operator:
    """One run of the operator itself."""

    def __init__(self, laid: Laid) -> None:
        self.laid = laid
        self.inputs = {name: one.detach().clone().requires_grad_() for name, one in laid.call.inputs.items()}
        with torch.enable_grad():
            self.y = laid.call.run(self.inputs)
        self.block = laid.plane.block(self.y)

    @cached_property
    def _nothing(self) -> dict[str, Tensor]:
        return self.pulled(torch.zeros_like(self.block))

    def spoilt(self) -> dict[str, Tensor]:
        """Where a gradient is NaN even if nothing is sent back: 0 times a NaN or an infinity of elsewhere."""
        if bool(self.inputs["x"].isfinite().all()):
            return {name: torch.zeros_like(one, dtype=torch.bool) for name, one in self.inputs.items()}
        return {name: one.isnan() for name, one in self._nothing.items()}

    def pulled(self, grad: Tensor) -> dict[str, Tensor]:
        """The gradients of all inputs, from one of the block's outputs."""
        if not self.block.requires_grad:
            return {name: torch.zeros_like(one) for name, one in self.inputs.items()}
        found = torch.autograd.grad(
            self.block,
            list(self.inputs.values()),
            grad.to(self.block.dtype),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return dict(zip(self.inputs, found, strict=True))


def together(record: Record, laid: Laid, whole: Call, grad: Any) -> None:
    """Hold the steps of an operator together to the whole of it, and write down how far they differ.

    Raises:
        Disagreement: they differ by more than rounding.
    """
    x = whole.inputs["x"].detach().clone().requires_grad_()
    with torch.enable_grad():
        block = laid.plane.block(whole.run({**whole.inputs, "x": x}))
    kind = laid.call.wide
    y = tensor(record["tensors"]["y"]["values"], kind)
    taps = laid.reads.cells.shape[1]
    loose = torch.finfo(laid.call.dtype).eps * (64 + taps) * (1 + record_scale(record))
    _close(record, "y against the operator", y, block.detach().to(kind), loose)
    if not _covered(record):
        return
    given = gradient(laid, grad, block.dtype)
    (wanted,) = torch.autograd.grad(block, x, given, materialize_grads=True, retain_graph=True)
    (nothing,) = torch.autograd.grad(block, x, torch.zeros_like(given), materialize_grads=True)
    summed = _pulled(record, torch.zeros_like(wanted, dtype=kind), laid.plane.of["image"])
    scale = float(wanted.abs().nan_to_num(0, 0, 0).max())
    found = torch.where(nothing.isnan(), summed, wanted.to(kind)).reshape(-1)
    _close(record, "gradients of x against autograd", summed.reshape(-1), found, loose * (1 + scale))


def _covered(record: Record) -> bool:
    """Whether the records of the steps hold every cell that the steps after them read."""
    x = record["tensors"]["x"]
    for part in record.get("parts", ()):
        y = part["record"]["tensors"]["y"]
        spans = zip(x["start"], x["shape"][1:], y["start"], y["shape"], strict=True)
        if not all(made <= first and first + n <= made + m for first, n, made, m in spans):
            return False
        if not _covered(part["record"]):
            return False
    return True


def _pulled(record: Record, total: Tensor, image: int) -> Tensor:
    """The gradient of the first step's x, which all parts add to."""
    if "parts" in record:
        for part in record["parts"]:
            _pulled(part["record"], total, image)
        return total
    x, grad = record["tensors"]["x"], record["tensors"]["grad_x"]
    values = tensor(grad["values"], total.dtype).view(grad["shape"])
    inner = total[image, x["channels"]]
    part = inner
    for axis, (first, size) in enumerate(zip(x["start"], grad["shape"][1:], strict=True), 1):
        part = part.narrow(axis, first, size)
    part += values
    total[image, x["channels"]] = inner
    return total


def tensor(values: Sequence[Any], dtype: torch.dtype = torch.float64) -> Tensor:
    """Numbers of a record, "nan" and "inf" among them."""
    return torch.tensor([float(one) for one in values], dtype=dtype)


def _origins(record: Record) -> None:
    """The taps lie where the axes say; what lies beyond an axis is padding."""
    taps, x = record["taps"], record["tensors"]["x"]
    shape = x["shape"][1:]
    if len(record["axes"]) != 1 or not all(axis["origin"] for axis in record["axes"][0]):
        return
    axes = record["axes"][0]
    sizes = [axis["taps"] for axis in axes]
    for o, (first, stop) in enumerate(itertools.pairwise(taps["ptr"])):
        for k in range(first, stop):
            steps = zip(axes, taps["place"][o], place(taps["tap"][k], sizes), strict=True)
            said = [axis["origin"][at] + tap * axis["step"] for axis, at, tap in steps]
            inside = all(0 <= at < axis["size"] for at, axis in zip(said, axes, strict=True))
            cell = taps["cell"][k]
            at = place(cell % math.prod(shape), shape, x["start"])
            if inside and (cell < 0 or at != said):
                what = f"output {output_name(record, o)} does not read where its axes say"
                raise Disagreement(what, expected=f"cell {said}", got=str(at if cell >= 0 else "padding"))


def _sources(record: Record, laid: Laid) -> None:
    """Every tap has the value of the cell it is said to come from."""
    taps, kind = record["taps"], laid.call.wide
    cells = torch.tensor(taps["cell"], dtype=torch.int64)
    shown = laid.shown()
    for name in ("x", *laid.beside):
        _equal(
            record,
            f"tensors.{name}",
            tensor(record["tensors"][name]["values"], kind),
            shown[name].reshape(-1).to(kind),
        )
        flat = shown[name].reshape(-1).to(kind)
        there = flat[cells.clamp(min=0)] if flat.numel() else flat.new_zeros(cells.shape)
        wanted = there.masked_fill(cells == FILL, 0.0)
        column = "value" if name == "x" else name
        _equal(record, column, tensor(taps[column], kind), wanted)
    weight = laid.law.weights(laid.call.inputs)
    if weight is not None and laid.law.which is not None:
        flat = weight.reshape(-1).to(kind)
        _equal(record, "tensors.weight", tensor(record["tensors"]["weight"]["values"], kind), flat)
        _equal(record, "factor", tensor(taps["factor"], kind), flat[torch.tensor(taps["weight"])])
    elif laid.law.factors is not None:
        wanted = laid.law.factors[laid.reads.cells != ABSENT]
        _equal(record, "factor", tensor(taps["factor"], kind), wanted.to(kind))


def _outputs(record: Record, laid: Laid, operator: _Operator) -> float:
    """The outputs that follow from the written taps are the operator's; what share underflow takes."""
    taps, kind = record["taps"], laid.call.wide
    there = laid.reads.cells != ABSENT
    values, lost = {}, 0.0
    for name in ("x", *laid.beside):
        column = tensor(taps["value" if name == "x" else name], kind)
        values[name] = torch.zeros(there.shape, dtype=kind).masked_scatter(there, column)
    if laid.law.factors is not None:
        factors = torch.zeros(there.shape, dtype=kind).masked_scatter(there, tensor(taps["factor"], kind))
        terms = (factors * values["x"]).masked_fill(~there, 0)
        bias = tensor(record["steps"]["bias"], kind) if "bias" in record["steps"] else 0
        y, scale = terms.sum(1) + bias, terms.abs().sum(1)
        _close(record, "terms", tensor(taps["term"], kind), terms[there], 0.0)
    else:
        y = laid.law.compute(values).detach()
        scale, lost = _scale(laid, values, there, y)
    found = operator.block.detach().to(kind)
    rounding = 0.0 if laid.law.exact else _rounding(laid, there.shape[1]) + lost
    allowed = rounding * torch.maximum(y.abs(), scale.nan_to_num(0, 0, 0))
    _close(record, "y", tensor(record["tensors"]["y"]["values"], kind), y, allowed * 0)
    _close(record, "y against the operator", y, found, allowed)
    return lost


def _scale(laid: Laid, values: Values, there: Tensor, y: Tensor) -> tuple[Tensor, float]:
    """What the rounding of every output (O,) counts in, and what more is lost of each, as a share."""
    if not there.shape[1]:
        return y.abs(), 0.0
    x = values["x"].masked_fill(~there, 0)
    scale, size = x.abs().amax(1), x.abs().nan_to_num(0, 0, 0).max().clamp(min=torch.finfo(x.dtype).tiny)
    once, twice = (laid.law.compute({**values, "x": values["x"] / size * n}).detach() for n in (1, 2))
    if not torch.allclose(twice, 2 * once, rtol=1e3 * torch.finfo(x.dtype).eps, atol=0, equal_nan=True):
        return scale.clamp(min=1), 0.0  # exponentials and logarithms have a scale of their own
    exact = laid.law.compute({name: value.double() for name, value in values.items()}).detach()
    lost = ((exact - y) / y).abs().nan_to_num(0, 0, 0).max()  # powers of small numbers have few digits
    return scale, min(4 * float(lost), MOST_LOST)


def _derivatives(record: Record, laid: Laid, operator: _Operator, grad: Any, lost: float) -> None:
    """The gradients that follow from the written partial derivatives are autograd's."""
    count = math.prod(laid.plane.shape)
    probe = 1 + torch.arange(count, dtype=laid.call.wide) * 0.6180339887 % 1
    given = gradient(laid, grad, laid.call.wide)
    taps = record["taps"]
    scale = tensor(record["tensors"]["x"]["values"], laid.call.wide).nan_to_num(0, 0, 0).abs().max()
    scale = scale.expand(count)
    cells = torch.tensor(taps["cell"], dtype=torch.int64)
    outputs = torch.repeat_interleave(torch.arange(count), torch.tensor(taps["ptr"]).diff())
    for name in ("x", *laid.beside):
        partial = tensor(taps["partial" if name == "x" else f"partial_{name}"], laid.call.wide)
        for what, one in (("partials", probe), ("gradients", given)):
            wanted = operator.pulled(one)[name]
            spoilt = laid.reads.show(operator.spoilt()[name]).reshape(-1)
            part = laid.reads.show(wanted).reshape(-1).to(laid.call.wide)
            products = sent(one[outputs], partial)
            summed = _summed(cells, products, part)
            terms = products.abs() if name == "x" else (one[outputs] * scale[outputs]).abs()
            loose = _summed(cells, terms, part)
            readers = int(torch.bincount(cells[cells >= 0], minlength=1).max())
            rounding = _rounding(laid, laid.reads.cells.shape[1] + readers) + lost
            if laid.law.how == "compute":
                rounding *= max(1.0, float(scale.max()))  # slopes are of differences between the values
            allowed = rounding * torch.maximum(loose, _slack(part))
            vague = _undefined(record, cells, outputs, one) & (part.isnan() | summed.isnan())
            part = torch.where(spoilt | vague, summed, part)
            _close(record, f"{what} of {name} against autograd", summed, part, allowed)
            _nothing_else(laid, wanted)
    _parameters(record, laid, operator, given)
    written = tensor(record["tensors"]["grad_x"]["values"], laid.call.wide)
    partial = tensor(taps["partial"], laid.call.wide)
    products = sent(given[outputs], partial)
    _close(record, "grad_x", written, _summed(cells, products, written), 0.0)
    _covers(record, cells, outputs, products)


def _undefined(record: Record, cells: Tensor, outputs: Tensor, grad: Tensor) -> Tensor:
    """Cells beside a NaN or an infinity, which may be a gradient: a derivative there has no one value."""
    y = tensor(record["tensors"]["y"]["values"])
    odd = ~tensor(record["taps"]["value"]).isfinite()
    beside = (~y.isfinite() | ~grad.isfinite()).index_fill(0, outputs[odd], True)
    read = (cells >= 0) & beside[outputs]
    found = torch.zeros(math.prod(record["tensors"]["x"]["shape"]), dtype=torch.bool)
    return found.index_fill(0, cells[read], True)


def _parameters(record: Record, laid: Laid, operator: _Operator, given: Tensor) -> None:
    """The gradients of weights and learned parameters are autograd's."""
    law, kind = laid.law, laid.call.wide
    pulled = operator.pulled(given)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    if law.weight is not None and law.part is not None and "grad_weight" in record["tensors"]:
        said = tensor(record["tensors"]["grad_weight"]["values"], kind)
        wanted = law.part(pulled[law.weight]).reshape(-1).to(kind)
        spoilt = law.part(operator.spoilt()[law.weight]).reshape(-1)
        found["weight"] = said, torch.where(spoilt, said, wanted)
    for name, one in record.get("learned", {}).items():
        said, wanted = tensor([one["grad"]], kind), own_of(laid, pulled[name]).reshape(1).to(kind)
        spoilt = own_of(laid, operator.spoilt()[name]).reshape(1)
        found[name] = said, torch.where(spoilt, said, wanted)
    for name, (said, wanted) in found.items():
        scale = (given.abs().sum() * record_scale(record)).nan_to_num(0, 0, 0)
        allowed = _rounding(laid, len(given) * laid.reads.cells.shape[1]) * (scale + wanted.abs())
        _close(record, f"gradient of {name} against autograd", said, wanted, allowed)


def record_scale(record: Record) -> float:
    """The largest finite number among what is read and what comes out."""
    every = [*record["tensors"]["x"]["values"], *record["tensors"]["y"]["values"]]
    return max((abs(float(one)) for one in every if math.isfinite(float(one))), default=0.0)


def _covers(record: Record, cells: Tensor, outputs: Tensor, products: Tensor) -> None:
    """What every cell gathers is what the outputs send."""
    cover, read = record["cover"], (cells >= 0).nonzero().squeeze(1)
    order = read[torch.argsort(cells[read], stable=True)]
    same = cover["output"] == outputs[order].tolist()
    counts = torch.bincount(cells[order], minlength=len(cover["ptr"]) - 1)
    if not same or cover["ptr"] != [0, *counts.cumsum(0).tolist()]:
        raise Disagreement("the outputs that read a cell are not those whose taps name it")
    _equal(record, "cover", tensor(cover["product"], products.dtype), products[order])


def _nothing_else(laid: Laid, wanted: Tensor) -> None:
    """No cell outside of what is shown has a gradient."""
    mask = torch.ones_like(wanted).requires_grad_()
    with torch.enable_grad():
        shown = laid.reads.show(mask)
    (seen,) = torch.autograd.grad(shown.sum(), mask)
    outside = (seen == 0) & (wanted != 0) & ~wanted.isnan()
    if bool(outside.any()):
        at = outside.nonzero()[0].tolist()
        raise Disagreement(
            "the operator reads a cell that no tap names", expected="no gradient", got=f"x{at}"
        )


def _rounding(laid: Laid, terms: int) -> float:
    """How far rounding may take sums of so many terms apart, in units of the terms."""
    kinds = (laid.call.dtype, laid.call.wide)
    return max(torch.finfo(kind).eps for kind in kinds) * (16 + terms) * laid.law.looseness


def _slack(part: Tensor) -> Tensor:
    return part.abs().nan_to_num(0, 0, 0).amax().expand(part.shape) if part.numel() else part


def _summed(cells: Tensor, products: Tensor, like: Tensor) -> Tensor:
    read = cells >= 0
    return torch.zeros(like.shape, dtype=products.dtype).index_add(0, cells[read], products[read])


def _equal(record: Record, what: str, said: Tensor, found: Tensor) -> None:
    _close(record, what, said, found, 0.0)


def _close(record: Record, what: str, said: Tensor, found: Tensor, allowed: Tensor | float) -> None:
    """Hold numbers to what they should be, and write the worst difference down.

    Raises:
        Disagreement: one of them is further away than is allowed.
    """
    if said.shape != found.shape:
        raise Disagreement(what, expected=f"{found.numel()} numbers", got=str(said.numel()))
    allowed = torch.as_tensor(allowed).nan_to_num(0, 0, 0)
    same = (said == found) | (said.isnan() & found.isnan())
    apart = torch.where(same, 0, (said - found).abs())
    wrong = (~same & ~(apart <= allowed)).nonzero().reshape(-1)
    worst = float(apart.nan_to_num(math.inf).amax()) if apart.numel() else 0.0
    if len(wrong):
        k = int(wrong[0])
        got, expected = f"{float(said[k])!r}", f"{float(found[k])!r}"
        raise Disagreement(f"{what} disagrees at {k}", expected=expected, got=got)
    most = float(allowed.max()) if allowed.numel() else 0.0
    if "against" in what:
        record["checks"].append({"what": what, "worst": worst, "allowed": most, "ok": True})
