"""The optimizers by name, and what each is told; standard library only, so that help is quick."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cnnatomy import checks
from cnnatomy.data.data_catalog import one_of
from cnnatomy.errors import ArgumentError


@dataclass(frozen=True)
class OptimizerRecord:
    """What an optimizer does, where it comes from, and what it is told unless something else is said."""

    summary: str
    source: str
    lr: float
    weight_decay: float
    """For weights of two and more dimensions; norms and biases have none."""
    knobs: Mapping[str, float]
    """What else it can be told, with the values it has otherwise; switches are True or False."""


def _record(summary: str, source: str, lr: float, weight_decay: float, **knobs: float) -> OptimizerRecord:
    return OptimizerRecord(summary, source, lr, weight_decay, MappingProxyType(knobs))


_ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}

OPTIMIZERS: Mapping[str, OptimizerRecord] = MappingProxyType(
    {
        "sgd": _record(
            "Nesterov momentum with weight decay, as recipes for pictures use it",
            "Goyal et al. (2017), arXiv:1706.02677",
            *(0.05, 5e-4),
            **{"momentum": 0.9, "nesterov": True},
        ),
        "momentum": _record(
            "steps of a decaying sum of gradients (the heavy ball)",
            "Polyak (1964), doi:10.1016/0041-5553(64)90137-5",
            *(0.05, 0.0),
            momentum=0.9,
        ),
        "nesterov": _record(
            "momentum with the gradient of the place that it leads to",
            "Sutskever et al. (2013), ICML; Nesterov (1983)",
            *(0.05, 0.0),
            momentum=0.9,
        ),
        "gd": _record(
            "plain gradient descent: the rate times the gradient, and nothing else",
            "Robbins and Monro (1951), doi:10.1214/aoms/1177729586",
            *(0.1, 0.0),
        ),
        "adam": _record(
            "steps of the mean gradient over the root of its mean square",
            "Kingma and Ba (2015), arXiv:1412.6980",
            *(2e-3, 0.0),
            **_ADAM,
        ),
        "adamw": _record(
            "Adam with weight decay apart from the gradient",
            "Loshchilov and Hutter (2019), arXiv:1711.05101",
            *(2e-3, 0.05),
            **_ADAM,
        ),
        "rmsprop": _record(
            "the gradient over the root of its mean square",
            "Tieleman and Hinton (2012), COURSERA lecture 6.5",
            *(1e-3, 0.0),
            **{"alpha": 0.99, "momentum": 0.0, "eps": 1e-8},
        ),
        "adagrad": _record(
            "the gradient over the root of the sum of its squares",
            "Duchi et al. (2011), JMLR 12",
            *(0.02, 0.0),
            eps=1e-10,
        ),
        "muon": _record(
            "momentum made orthogonal for weights as matrices; AdamW for the rest",
            "Jordan et al. (2024), kellerjordan.github.io/posts/muon",
            *(0.1, 0.05),
            **{"momentum": 0.6, "nesterov": True, "iterations": 3, "rest": 0.03, **_ADAM},
        ),
    }
)
"""Every optimizer by name."""

_RANGES: Mapping[str, tuple[str, float, float]] = MappingProxyType(
    {
        "momentum": ("a number from 0 to below 1", 0, math.nextafter(1, 0)),
        "beta1": ("a number from 0 to below 1", 0, math.nextafter(1, 0)),
        "beta2": ("a number from 0 to below 1", 0, math.nextafter(1, 0)),
        "alpha": ("a number from 0 to below 1", 0, math.nextafter(1, 0)),
        "eps": ("a number >= 0", 0, math.nextafter(math.inf, 0)),
        "rest": ("a number > 0", math.nextafter(0, 1), math.nextafter(math.inf, 0)),
    }
)


def knobs_of(name: str, values: Mapping[str, float | None]) -> dict[str, float]:
    """Give all that an optimizer is told: what was said, and its defaults where nothing or None was.

    Raises:
        ArgumentError: there is no such optimizer, it takes no such knob, or the value can mean nothing.

    Example:
        >>> knobs_of("sgd", {"momentum": 0.8, "nesterov": None})
        {'momentum': 0.8, 'nesterov': True}
        >>> knobs_of("adam", {"momentum": 0.8})
        Traceback (most recent call last):
        cnnatomy.errors.ArgumentError: adam takes no momentum: expected beta1, beta2 or eps
    """
    known = OPTIMIZERS[one_of("optimizer", name, OPTIMIZERS)].knobs
    said = {knob: value for knob, value in values.items() if value is not None}
    for knob, value in said.items():
        if knob not in known:
            names = list(known)
            expected = " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) or "nothing else"
            raise ArgumentError(f"{name} takes no {knob}", expected=expected)
        _demand(knob, value)
    whole = {**known, **said}
    if whole.get("nesterov") and not whole["momentum"]:
        raise ArgumentError("nesterov", expected="a momentum above 0", got="0", hint="nesterov=False")
    return whole


def _demand(knob: str, value: float) -> None:
    if knob == "iterations":
        checks.whole_number(knob, value, least=1, most=99)
    elif knob == "nesterov":
        checks.of_kind(knob, value, bool, "True or False")
    else:
        expected, least, most = _RANGES[knob]
        checks.real(knob, value, expected, lambda n: least <= n <= most)
