"""Convolutions, matrix products and attention, forward and backward: what multiplies and accumulates."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnatomy.anatomy.costs.work import Work, product, rule, tensor, times
from cnnatomy.anatomy.record.graph import CONVOLUTIONS, Call, Value
from cnnatomy.geometry import Window

BACKWARD = ("aten.convolution_backward", "aten.convolution_backward_overrideable")


@rule(*CONVOLUTIONS)
def convolution(call: Call, connections: int | None = None) -> Work:
    """Every output sums its taps, those in the padding among them; transposed, every input feeds its taps.

    `connections`: the pairs of an input and an output map that a connection table leaves.
    """
    x, weight, out = tensor(call, "input"), tensor(call, "weight"), call.outputs[0]
    macs, formula = _taps(x, weight, out, call.argument("transposed"), connections)
    biased = isinstance(call.argument("bias"), Value)
    return Work(macs, out.numel if biased else 0, formula)


def _taps(x: Value, weight: Value, out: Value, transposed: bool, connections: int | None) -> tuple[int, str]:
    source, what = (x, "inputs") if transposed else (out, "outputs")
    if connections is None:
        return product(source.numel, times(source.shape), what, weight.shape[1:], "taps")
    places = (source.shape[0], *source.shape[2:])
    text = f"{times(places)} {what} of a map × {connections} connections"
    total = math.prod(places) * connections * math.prod(weight.shape[2:])
    return total, f"{text} × {'·'.join(map(str, weight.shape[2:]))} taps = {total:,}"


@rule(*BACKWARD)
def convolution_backward(call: Call, connections: int | None = None) -> Work:
    """The gradient of the input and that of the weight each take as many as the forward pass."""
    grad, x, weight = tensor(call, "grad_output"), tensor(call, "input"), tensor(call, "weight")
    macs, formula = _taps(x, weight, grad, call.argument("transposed"), connections)
    of = [
        name
        for name, wanted in zip(("input", "weight"), call.argument("output_mask"), strict=False)
        if wanted
    ]
    adds = grad.numel if call.argument("output_mask")[2] else 0
    return Work(macs * len(of), adds, f"gradients of {' and '.join(of) or 'the bias'}: {len(of)} × {formula}")


def inside(call: Call) -> int:
    """Multiply-accumulates of a convolution without the taps that fall into its padding.

    Peers and `convolution` count these taps, since dense kernels multiply them. The pairs of an output and a
    tap in the input are a product over axes.

    Example:
        >>> import torch
        >>> from cnnatomy.anatomy.record.tracing import trace
        >>> graph = trace(torch.nn.Conv2d(1, 1, 3, padding=1), (torch.empty(1, 1, 4, 5),))
        >>> inside(graph.calls[0])  # (4·3 - 2) (5·3 - 2)
        130
    """
    x, weight, out = tensor(call, "input"), tensor(call, "weight"), call.outputs[0]
    transposed, rank = call.argument("transposed"), len(weight.shape) - 2
    scattered, gathered = (out, x) if transposed else (x, out)
    channels = x.shape[1] if transposed else out.shape[1]
    found = math.prod((x.shape[0], channels, weight.shape[1]))
    settings = [_per_axis(call.argument(name), rank) for name in ("stride", "padding", "dilation")]
    for axis, (stride, padding, dilation) in enumerate(zip(*settings, strict=True)):
        window = Window(weight.shape[2 + axis], stride, (padding, padding), dilation)
        counts = window.table(scattered.shape[2 + axis]).count
        found *= sum(counts[: gathered.shape[2 + axis]])
    return found


def _per_axis(given: Sequence[int], rank: int) -> Sequence[int]:
    return list(given) * rank if len(given) == 1 else given


@rule(
    "aten.mm",
    "aten.bmm",
    "aten.mv",
    "aten.dot",
    "aten.vdot",
    "aten.matmul",
    "aten._int_mm",
    "aten._scaled_mm",
)
def matrix(call: Call) -> Work:
    """Every output sums one product for each cell of the axis that is contracted."""
    a, out = call.inputs[0], call.outputs[0]
    return _outputs(out, a.shape[-1], 0)


@rule("aten.addmm", "aten.addmv", "aten.baddbmm", "aten.addbmm", "aten._addmm_activation")
def matrix_plus(call: Call) -> Work:
    """The same, added to something."""
    a, out = call.inputs[1], call.outputs[0]
    terms = a.shape[0] * a.shape[-1] if call.name == "aten.addbmm" else a.shape[-1]
    return _outputs(out, terms, out.numel)


@rule("aten.linear")
def linear(call: Call) -> Work:
    """Where it is not taken apart into a product and a sum."""
    out, biased = call.outputs[0], isinstance(call.argument("bias"), Value)
    return _outputs(out, tensor(call, "input").shape[-1], out.numel if biased else 0)


def _outputs(out: Value, terms: int, adds: int) -> Work:
    macs, formula = product(out.numel, times(out.shape), "outputs", terms, "terms")
    return Work(macs, adds, formula)


@rule("aten.affine_grid_generator")
def grid(call: Call) -> Work:
    """Every coordinate is a row of the map's matrix times a point."""
    return _outputs(call.outputs[0], call.inputs[0].shape[-1], 0)


@rule("torchvision.deform_conv2d")
def deformable(call: Call) -> Work:
    """A convolution whose taps are interpolated, four cells and eight operations each."""
    x, weight, out = call.inputs[0], call.inputs[1], call.outputs[0]
    macs, formula = product(out.numel, times(out.shape), "outputs", weight.shape[1:], "taps")
    points = out.numel // out.shape[1] * math.prod(weight.shape[2:])
    return Work(macs, 8 * points * x.shape[1], formula)


@rule("aten.conv_tbc")
def time_first(call: Call) -> Work:
    """A convolution of (T, N, C) with a weight (taps, C, O)."""
    out, weight = call.outputs[0], tensor(call, "weight")
    macs, formula = product(out.numel, times(out.shape), "outputs", weight.shape[:2], "taps")
    return Work(macs, out.numel, formula)


@rule("aten._trilinear")
def trilinear(call: Call) -> Work:
    """sum of i1 i2 i3, broadcast after new axes are put in: a product of two, accumulated with the third."""
    factors = []
    for place in ("1", "2", "3"):
        shape = list(tensor(call, f"i{place}").shape)
        for axis in sorted(call.argument(f"expand{place}")):
            shape.insert(axis, 1)
        factors.append(shape)
    every = [max(sizes) for sizes in zip(*factors, strict=True)]
    macs, formula = product(math.prod(every), times(every), "terms", 1, "product")
    return Work(macs, macs, formula)


_ATTENTION = ("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention")
_FUSED = [f"aten._scaled_dot_product_{kind}" for kind in (*_ATTENTION, "fused_attention_overrideable")]


@rule("aten.scaled_dot_product_attention", "aten._scaled_dot_product_attention_math", *_FUSED)
def attention(call: Call) -> Work:
    """softmax(Q Kᵀ / √d) V, masked scores among them; the softmax is five operations per score."""
    scores, terms, width = _scores(call)
    macs = scores * (terms + width)
    return Work(macs, 5 * scores, f"{scores:,} scores × ({terms} terms + {width} values) = {macs:,}")


@rule(*(f"{name}_backward" for name in _FUSED))
def attention_backward(call: Call) -> Work:
    """Five products: the scores again, and the gradients of the softmax, Q, K and V."""
    scores, terms, width = _scores(call)
    macs = scores * (3 * terms + 2 * width)
    return Work(macs, 10 * scores, f"{scores:,} scores × (3 × {terms} + 2 × {width}) = {macs:,}")


def _scores(call: Call) -> tuple[int, int, int]:
    q, k, v = (tensor(call, name) for name in ("query", "key", "value"))
    return math.prod(q.shape[:-1]) * k.shape[-2], q.shape[-1], v.shape[-1]


_RNN = ("aten.mkldnn_rnn_layer", "aten._cudnn_rnn", "aten.miopen_rnn")


@rule(*_RNN)
def recurrent(call: Call) -> Work:
    """Every step of every sequence meets every weight matrix once; what the gates add is not told."""
    x, *rest = call.inputs
    steps = x.shape[0] * x.shape[1]
    weights = [value for value in rest if len(value.shape) == 2]
    macs, formula = product(steps, f"{steps}", "steps", sum(w.numel for w in weights), "weights")
    return Work(macs, None, formula)
