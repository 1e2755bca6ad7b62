"""Operators of channels and features: normalisation, subsampling, distances, dense layers, activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cnnatomy.explain.families import linear_family
from cnnatomy.explain.families.pooling_family import At, Pooling
from cnnatomy.explain.plane_layout import Call, Laid, Law, Plane, Reads, Values, cropped, leading, plane
from cnnatomy.reducers.contract import Line


@dataclass(frozen=True)
class Normalizing:
    """Local response normalisation: y[c] = x[c] / (k + a sum_j x[j]^2)^beta over neighbouring channels."""

    call: Call
    size: int
    alpha: float
    beta: float
    k: float

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        x = self.call.inputs["x"]
        image, channel, place = at
        inner = tuple(x.shape[2:])
        of = leading((image, channel), (len(x), x.shape[1]))
        first = channel - self.size // 2
        channels = range(max(first, 0), min(first + self.size, x.shape[1]))
        start = (0,) * len(inner) if place is None else place
        which = plane(of, inner, start, len(channels), lambda y: y[image, channel])
        cells = which.numbers[:, None] + torch.arange(len(channels)) * math.prod(inner)
        own = channel - channels.start

        def compute(values: Values) -> Tensor:
            taps = values["x"]
            total = taps.square().sum(1) * self.alpha + self.k
            return taps[:, own] / total.pow(self.beta)

        def line(values: Values) -> Line:
            text = f"{{own}}/({self.k:g} + {self.alpha:g}·(<{{x}}^2; + >))^{self.beta:g}"
            return Line(text, {}, {"own": values["x"][:, own]})

        law = Law("x[c] / (k + a sum_j x[j]^2)^beta", "compute", compute, line)
        return _aligned("normalize", self.call, which, channels, cells, law)


@dataclass(frozen=True)
class Subsampling:
    """Trainable subsampling: y = weight[c] sum_i x_i + bias[c], by the sum that a pooling makes."""

    pooling: Pooling

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        laid = self.pooling.laid(at)
        inputs, channel = self.pooling.call.inputs, laid.plane.of["channel"]
        wide = self.pooling.call.wide
        known = {name: inputs[name].detach()[channel].to(wide) for name in ("weight", "bias")}

        def compute(values: Values) -> Tensor:
            weight, bias = (values.get(name, known[name]) for name in ("weight", "bias"))
            return laid.law.compute({"x": values["x"]}) * weight + bias

        def line(values: Values) -> Line:
            steps = {name: value.expand(len(values["x"])) for name, value in known.items()}
            return Line("{weight}·(<{x}; + >) + {bias}", {}, steps)

        learned = {name: inputs[name].detach() for name in ("weight", "bias")}
        law = Law("weight[c] sum_i x_i + bias[c]", "sum", compute, line, learned=learned)
        return replace(laid, family="subsample", law=law)


@dataclass(frozen=True)
class Measuring:
    """Radial basis functions: y[k] = sum_j (x[j] - codes[k, j])^2."""

    call: Call
    codes: Tensor

    def laid(self, at: At) -> Laid:
        """The unit that is asked for."""
        code = self.codes[leading(at[:2], (len(self.call.inputs["x"]), len(self.codes)))["channel"]]
        code = code.to(self.call.wide)

        def compute(values: Values) -> Tensor:
            return (values["x"] - code).square().sum(1)

        line = Line("<({x} - {code})^2; + >", {"code": code.expand(1, -1)})
        law = Law("sum_j (x[j] - code[k, j])^2", "compute", compute, lambda _: line)
        return _dense("measure", self.call, at, law)


@dataclass(frozen=True)
class Dense:
    """A dense layer: y[k] = bias[k] + sum_j weight[k, j] x[j]."""

    call: Call

    def laid(self, at: At) -> Laid:
        """The unit that is asked for."""
        inputs, wide = self.call.inputs, self.call.wide
        weight = inputs["weight"].detach()
        unit = leading(at[:2], (len(inputs["x"]), len(weight)))["channel"]
        cells = torch.arange(weight.shape[1])[None]
        bias = inputs["bias"].detach().to(wide)[unit][None] if "bias" in inputs else None
        law = linear_family.summing(
            "bias[k] + sum_j weight[k, j] x[j]",
            cells,
            weight[unit].to(wide)[None],
            bias,
            weight="weight",
            part=lambda whole: whole[unit],
            which=cells,
        )
        return _dense("dense", self.call, at, law)


@dataclass(frozen=True)
class Applying:
    """A function of every number by itself."""

    call: Call
    function: Callable[[Tensor], Tensor]

    def laid(self, at: At) -> Laid:
        """The plane that an output is on."""
        x = self.call.inputs["x"]
        image, channel, place = at
        inner = tuple(x.shape[2:])
        of = leading((image, channel), (len(x), x.shape[1]))
        which = plane(
            of, inner, (0,) * len(inner) if place is None else place, 1, lambda y: y[image, channel]
        )
        cells = which.numbers[:, None]
        line = Line(f"{self.call.name}(<{{x}}; >)")
        law = Law(
            f"{self.call.name}(x)", "compute", lambda values: self.function(values["x"])[:, 0], lambda _: line
        )
        return _aligned("apply", self.call, which, range(channel, channel + 1), cells, law)


def _aligned(family: str, call: Call, which: Plane, channels: range, cells: Tensor, law: Law) -> Laid:
    """An operator whose outputs lie where its inputs do."""

    inner = which.whole
    image = which.of["image"]
    facts = linear_family.moved([(n, n, f"{n} = {n}") for n in inner], family)
    zeros = torch.zeros(len(cells), dtype=torch.int64)
    number = torch.arange(cells.shape[1]).expand(cells.shape)
    places = linear_family.places(inner, which.numbers)

    def show(whole: Tensor) -> Tensor:
        return whole[image, channels.start : channels.stop]

    reads = Reads(channels, show, cells, number, [facts], zeros, places)
    return Laid(family, call, which, cropped(reads, inner), law)


def _dense(family: str, call: Call, at: At, law: Law) -> Laid:
    """One unit that reads a whole vector (N, D)."""
    x = call.inputs["x"]
    image, unit, _ = at
    which = plane({"image": image, "channel": unit}, (1,), (0,), x.shape[1], lambda y: y[image, unit])
    cells = torch.arange(x.shape[1])[None]
    facts = linear_family.moved([(x.shape[1], 1, f"{x.shape[1]} features, one unit")], family)
    zeros = torch.zeros(1, dtype=torch.int64)
    reads = Reads((0,), lambda w: w[image][None], cells, cells, [facts], zeros, zeros[:, None], start=(0,))
    return Laid(family, call, which, reads, law)
