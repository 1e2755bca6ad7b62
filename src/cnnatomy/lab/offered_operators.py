"""The operators of the numbers page: the fields of each, and what it is called with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cnnatomy.nn as ours
from cnnatomy import filters
from cnnatomy.errors import ArgumentError
from cnnatomy.explain.binding.feature_binding import ACTIVATIONS
from cnnatomy.geometry import RULES
from cnnatomy.lab.limits import SIDE, SIZE, WINDOW
from cnnatomy.lab.settings_form import Field, Form
from cnnatomy.ops import convolve, convolve_transposed, pad, pool, resample, unpool, unpool_mean
from cnnatomy.reducers import REGISTRY, Reducer
from cnnatomy.regions import Adaptive, Fractional, Pyramid, Region, Sliding, Whole

MODES = (
    "zeros",
    "edge",
    "reflect",
    "symmetric",
    "wrap",
    "linear_ramp",
    "mean",
    "maximum",
    "minimum",
    "median",
)
REGIONS: Mapping[str, tuple[type[Region], Mapping[str, str]]] = {
    "sliding": (Sliding, {}),
    "adaptive": (Adaptive, {"output_size": "2"}),
    "fractional": (Fractional, {"scale_factor": "0.7"}),
    "pyramid": (Pyramid, {"levels": "1,2"}),
    "whole": (Whole, {}),
}
"""Where a pooling can read on the page, with what a kind of region has no default for."""
HIDDEN = ("learned",)
"""What has no meaning for one plane of numbers."""


class Asked(NamedTuple):
    """An operator, its input (1, C, *spatial), its arguments, and how many axes its output has."""

    what: Any
    x: Tensor
    options: Mapping[str, Any]
    axes: int | None = None


Numbers = Callable[[str, str, tuple[int, ...]], Tensor]
"""The numbers of a field, or drawn ones of a shape if nothing is written."""


class Operator(NamedTuple):
    """One operator of the page.

    Args:
        fields: its settings, which may depend on what was said before.
        asked: the call, from the settings, x and what reads further numbers.
    """

    fields: Callable[[Mapping[str, str]], Sequence[Field]]
    asked: Callable[[Form, Tensor, Numbers], Asked]


def _window(kernel: str = "2", stride: str = "") -> list[Field]:
    return [
        Field("kernel", "kernel", kernel, hint="3 or 2x3"),
        Field("stride", "stride", stride, hint="left empty: the kernel" if not stride else "1 or 2x1"),
    ]


def _padding(mode: str, modes: Sequence[str]) -> list[Field]:
    return [
        Field("padding", "padding", "0", hint=f"1, or 0,1, or {', '.join(RULES)}"),
        Field("mode", "padding mode", mode, "choice", modes),
        Field("dilation", "dilation", "1", hint="1 or 2x1"),
    ]


# ---- poolings


def _of_kind(kind: type, prefix: str, given: Mapping[str, str] | None = None) -> list[Field]:
    """A field for each parameter of a reducer or region."""
    found = []
    for one in dataclasses.fields(kind):
        if one.name in HIDDEN:
            continue
        default = (given or {}).get(
            one.name, "" if one.default in (None, dataclasses.MISSING) else one.default
        )
        if isinstance(default, bool):
            found.append(
                Field(prefix + one.name, one.name.replace("_", " "), "on" if default else "", "switch")
            )
        else:
            found.append(Field(prefix + one.name, one.name.replace("_", " "), str(default)))
    return found


def _pool_fields(said: Mapping[str, str]) -> list[Field]:
    reducer = said.get("reducer", "max")
    region = said.get("region", "sliding")
    found = [Field("reducer", "reducer", "max", "choice", sorted(REGISTRY), changes=True)]
    found += _of_kind(REGISTRY[reducer], "by.") if reducer in REGISTRY else []
    found.append(Field("region", "region", "sliding", "choice", tuple(REGIONS), changes=True))
    if region == "sliding":
        found += [*_window(), *_padding("clip", ("clip", *MODES))]
        found.append(Field("ceil_mode", "ceil mode", kind="switch"))
    elif region in REGIONS:
        found += _of_kind(REGIONS[region][0], "over.", REGIONS[region][1])
    for name in REGISTRY[reducer]().companions if reducer in REGISTRY else ():
        found.append(Field(name, name, kind="rows", hint="left empty: drawn"))
    return found


def _made(kind: Any, form: Form, prefix: str) -> Any:
    said = {
        one.name: form.literal(prefix + one.name)
        for one in dataclasses.fields(kind)
        if one.name not in HIDDEN
    }
    try:
        return kind(**said)
    except TypeError as error:
        raise ArgumentError(f"{kind.__name__} cannot be made", got=str(error).splitlines()[0]) from None


def reducer_of(form: Form) -> Reducer:
    """The reducer that is asked for."""
    found: Reducer = _made(REGISTRY[form.choice("reducer")], form, "by.")
    return found


def _region(form: Form) -> Region:
    name = form.choice("region")
    if name == "sliding":
        return sliding(form)
    for one in (field for field in form.fields if field.name.startswith("over.")):
        _hold(one.label, form.literal(one.name))
    found: Region = _made(REGIONS[name][0], form, "over.")
    return found


def _hold(label: str, value: Any) -> None:
    """Refuse sizes that are too large to be worked on."""
    numbers = value if isinstance(value, tuple) else (value,)
    if any(isinstance(one, int | float) and not abs(one) <= SIDE for one in numbers) and label != "seed":
        raise ArgumentError(label, expected=f"at most {SIDE}", got=str(value))


def sliding(form: Form) -> Sliding:
    """The windows that are asked for."""
    kernel = form.sizes("kernel", WINDOW)
    if kernel is None:
        raise ArgumentError("kernel", expected="a size such as 2 or 2x3")
    stride, dilation = form.sizes("stride", WINDOW), form.sizes("dilation", WINDOW) or 1
    return Sliding(kernel, stride, form.padding("padding", WINDOW), dilation, form.switch("ceil_mode"))


def _pool(form: Form, x: Tensor, numbers: Numbers) -> Asked:
    reducer, region = reducer_of(form), _region(form)
    options: dict[str, Any] = {"region": region, "reducer": reducer, "training": True, "rank": x.dim() - 1}
    options["seed"] = form.whole("seed", 0, 10**9)
    if isinstance(region, Sliding):
        options["padding_mode"] = form.choice("mode")
    options |= {name: numbers(name, form.text(name), tuple(x.shape))[None] for name in reducer.companions}
    return Asked(pool, x[None], options, len(region.outputs(tuple(x.shape[1:]))))


# ---- convolutions


def _weights(said: Mapping[str, str]) -> list[Field]:
    found = [Field("weight", "weights", kind="rows", hint="left empty: drawn, as large as the kernel")]
    return (
        found if said.get("weight", "").strip() else [*found, Field("kernel", "kernel", "3", hint="3 or 2x3")]
    )


def _kernel(form: Form, x: Tensor, numbers: Numbers) -> Tensor:
    """The weights (planes, kernel y, kernel x)."""
    written, rank = form.text("weight"), x.dim() - 1
    size = 1 if written else form.sizes("kernel", WINDOW) or 3
    each = size if isinstance(size, tuple) else (size,) * rank
    return numbers("weight", written, (len(x), *each))


def _convolve_fields(said: Mapping[str, str]) -> list[Field]:
    stride = Field("stride", "stride", "1", hint="1 or 2x1")
    return [*_weights(said), Field("bias", "bias", "0"), stride, *_padding("zeros", MODES)]


def _convolve(form: Form, x: Tensor, numbers: Numbers) -> Asked:
    weight = _kernel(form, x, numbers)
    bias = torch.tensor([form.number("bias", -1e6, 1e6)], dtype=x.dtype)
    options = {
        "weight": weight[None],
        "bias": bias if bias.any() else None,
        "stride": form.sizes("stride", WINDOW) or 1,
        "padding": form.padding("padding", WINDOW),
        "dilation": form.sizes("dilation", WINDOW) or 1,
        "padding_mode": form.choice("mode"),
    }
    return Asked(convolve, x[None], options)


def _transposed_fields(said: Mapping[str, str]) -> list[Field]:
    return [
        *_weights(said),
        Field("stride", "stride", "2", hint="1 or 2x1"),
        Field("padding", "padding", "0"),
        Field("more", "output padding", "0"),
        Field("dilation", "dilation", "1", hint="1 or 2x1"),
    ]


def _transposed(form: Form, x: Tensor, numbers: Numbers) -> Asked:
    options = {
        "weight": _kernel(form, x, numbers)[:, None],
        "stride": form.sizes("stride", WINDOW) or 1,
        "padding": form.whole("padding", 0, WINDOW),
        "output_padding": form.whole("more", 0, WINDOW),
        "dilation": form.sizes("dilation", WINDOW) or 1,
    }
    return Asked(convolve_transposed, x[None], options)


def _filter_fields(said: Mapping[str, str]) -> list[Field]:
    stride = Field("stride", "stride", "1", hint="1 or 2x1")
    return [
        Field("filter", "filter", "sobel", "choice", sorted(filters.NAMES)),
        stride,
        *_padding("zeros", MODES),
    ]


def filtered(form: Form, x: Tensor) -> Tensor:
    """The kernel of the named filter, in the dtype of x."""
    return filters.named(form.choice("filter"), rank=x.dim() - 1).to(x.dtype)


def _filter(form: Form, x: Tensor, numbers: Numbers) -> Asked:
    kernel = filtered(form, x[:1])
    options = {
        "weight": kernel[None, None],
        "stride": form.sizes("stride", WINDOW) or 1,
        "padding": form.padding("padding", WINDOW),
        "dilation": form.sizes("dilation", WINDOW) or 1,
        "padding_mode": form.choice("mode"),
    }
    return Asked(convolve, x[None, :1], options)


# ---- sizes


def _pad_fields(said: Mapping[str, str]) -> list[Field]:
    mode = Field("mode", "padding mode", "reflect", "choice", ("constant", *MODES[1:]))
    return [Field("padding", "padding", "1", hint="1, or 0,1"), mode]


def _pad(form: Form, x: Tensor, numbers: Numbers) -> Asked:
    widths = form.padding("padding", WINDOW)
    if isinstance(widths, str):
        raise ArgumentError("padding", expected="1, or 0,1", got=repr(widths))
    pair = widths[0] if isinstance(widths, tuple) else (widths, widths)
    return Asked(pad, x[None], {"widths": (pair,) * (x.dim() - 1), "mode": form.choice("mode")})


_METHODS = ("linear", "nearest", "nails", "cubic", "lanczos2", "lanczos3", "area", "gaussian")


def _resample_fields(said: Mapping[str, str]) -> list[Field]:
    return [
        Field("method", "method", "linear", "choice", _METHODS),
        Field("scale", "scale", "2", hint="empty with a size"),
        Field("to", "size", hint="3 or 4x6, in place of a scale"),
        Field("coordinates", "coordinates", "half_pixel", "choice", ("half_pixel", "corners", "asymmetric")),
        Field("antialias", "antialias", kind="switch"),
    ]


def _resample(form: Form, x: Tensor, numbers: Numbers) -> Asked:
    size = form.sizes("to", SIZE)
    options: dict[str, Any] = {"method": form.choice("method"), "antialias": form.switch("antialias")}
    options |= {"rank": x.dim() - 1}
    options |= {"output_size": size} if size is not None else {"scale_factor": form.number("scale", 0.05, 8)}
    if form.choice("coordinates") != "half_pixel":
        options["coordinates"] = form["coordinates"]
    return Asked(resample, x[None], options)


def _unpool_fields(said: Mapping[str, str]) -> list[Field]:
    return [Field("how", "how", "by maxima", "choice", ("by maxima", "evenly")), *_window()]


def _unpool(form: Form, x: Tensor, numbers: Numbers) -> Asked:
    kernel, stride = form.sizes("kernel", WINDOW) or 2, form.sizes("stride", WINDOW)
    if form.choice("how") == "evenly":
        return Asked(unpool_mean, x[None], {"region": Sliding(kernel, stride), "rank": x.dim() - 1})
    maxima = (F.max_pool1d, F.max_pool2d)[x.dim() - 2]
    best, indices = maxima(x[None], kernel, stride, return_indices=True)
    return Asked(unpool, best, {"indices": indices, "output_size": tuple(x.shape[1:]), "rank": x.dim() - 1})


# ---- features

_FUNCTIONS = tuple(name for name in ACTIVATIONS if hasattr(nn, name) and name != "Identity")


def _activation_fields(said: Mapping[str, str]) -> list[Field]:
    return [Field("function", "function", "ReLU", "choice", _FUNCTIONS)]


def _activation(form: Form, x: Tensor, numbers: Numbers) -> Asked:
    return Asked(getattr(nn, form.choice("function"))(), x[None], {})


def _subsample_fields(said: Mapping[str, str]) -> list[Field]:
    return [Field("kernel", "kernel", "2"), Field("w", "coefficient", "0.25"), Field("bias", "bias", "0")]


def _subsample(form: Form, x: Tensor, numbers: Numbers) -> Asked:
    module = ours.Subsample2d(len(x), form.whole("kernel", 1, WINDOW)).to(x.dtype)
    with torch.no_grad():
        module.weight.fill_(form.number("w", -1e6, 1e6))
        module.bias.fill_(form.number("bias", -1e6, 1e6))
    return Asked(module, x[None], {})


def _norm_fields(said: Mapping[str, str]) -> list[Field]:
    names = (("n", "channels", "3"), ("alpha", "alpha", "1"), ("beta", "beta", "0.75"), ("k", "k", "2"))
    return [Field(name, label, default) for name, label, default in names]


def _norm(form: Form, x: Tensor, numbers: Numbers) -> Asked:
    alpha, beta, k = (form.number(name, 0, 1e6) for name in ("alpha", "beta", "k"))
    return Asked(nn.LocalResponseNorm(form.whole("n", 1, WINDOW), alpha, beta, k), x[None], {})


OPERATORS: Mapping[str, Operator] = {
    "pool": Operator(_pool_fields, _pool),
    "convolve": Operator(_convolve_fields, _convolve),
    "transposed convolution": Operator(_transposed_fields, _transposed),
    "filter": Operator(_filter_fields, _filter),
    "pad": Operator(_pad_fields, _pad),
    "resize": Operator(_resample_fields, _resample),
    "unpool": Operator(_unpool_fields, _unpool),
    "activation": Operator(_activation_fields, _activation),
    "trainable subsampling": Operator(_subsample_fields, _subsample),
    "response norm": Operator(_norm_fields, _norm),
}
"""By the name on the page."""
