"""Arithmetic element by element: activations, norms, reductions.

The count of an operator is that of the operators, comparisons and functions in its formula. What has no
formula here and computes each output from one element of each input counts one per output.
"""

from __future__ import annotations

from cnnatomy.anatomy.costs.work import RULES, Rule, Work, elementwise, option, tensor
from cnnatomy.anatomy.record.graph import Call

OUTPUTS = {
    "sigmoid": "1 / (1 + exp(-x))",
    "silu": "x / (1 + exp(-x))",
    "log_sigmoid_forward": "-log(1 + exp(-x))",
    "softplus": "log(1 + exp(x))",
    "mish": "x * tanh(log(1 + exp(x)))",
    "gelu": "x * c * (1 + erf(x * r))",
    "elu": "max(x, 0) + a * min(exp(x) - 1, 0)",
    "leaky_relu": "max(x, a * x)",
    "_prelu_kernel": "max(x, a * x)",
    "hardtanh": "min(max(x, a), b)",
    "clamp": "min(max(x, a), b)",
    "relu6": "min(max(x, 0), 6)",
    "hardsigmoid": "min(max(x + 3, 0), 6) / 6",
    "hardswish": "x * min(max(x + 3, 0), 6) / 6",
    "addcmul": "x + a * b",
    "addcdiv": "x + a / b",
    "lerp": "x + w * (y - x)",
    "floor_divide": "floor(x / y)",
    "polar": "r * cos(a); r * sin(a)",
    "rsqrt": "1 / sqrt(x)",
    "native_dropout": "x * mask * scale",
    "threshold_backward": "g * (x > t)",
    "sigmoid_backward": "g * y * (1 - y)",
    "tanh_backward": "g * (1 - y * y)",
    "silu_backward": "s = 1 / (1 + exp(-x)); g * s * (1 + x * (1 - s))",
    "gelu_backward": "g * (c * (1 + erf(x * r)) + x * exp(-x * x * c) * k)",
    "hardtanh_backward": "g * (x > a) * (x < b)",
    "hardswish_backward": "g * (x / 3 + c)",
    "native_dropout_backward": "g * mask * scale",
    "glu": "a / (1 + exp(-b))",
    "rrelu_with_noise": "x * n",
    "log_sigmoid_backward": "g / (1 + exp(x))",
    "softplus_backward": "g / (1 + exp(-x))",
    "elu_backward": "g * a * exp(x)",
    "leaky_relu_backward": "g * a",
    "rrelu_with_noise_backward": "g * n",
    "hardsigmoid_backward": "g / 6",
    "glu_backward": "s = 1 / (1 + exp(-b)); g * s * a * (1 - s)",
    "_prelu_kernel_backward": "g * a; s + g * x",
}
"""Per element of the first output."""

_STATISTICS = "s + x; d = x - m; v + d * d"
_AFFINE = "d * r * w + b"
INPUTS = {
    "sum": "s + x",
    "mean": "s + x",
    "prod": "s * x",
    "bincount": "s + x",
    "cumsum": "s + x",
    "cumprod": "s * x",
    **dict.fromkeys(("max", "min", "amax", "amin", "aminmax", "argmax", "argmin", "any", "all"), "max(m, x)"),
    **dict.fromkeys(("cummax", "cummin"), "max(m, x)"),
    **dict.fromkeys(("var", "var_mean", "std", "std_mean"), _STATISTICS),
    "norm": "s + x * x",
    "linalg_vector_norm": "s + x * x",
    "logsumexp": "max(m, x); s + exp(x - m)",
    **dict.fromkeys(("_softmax", "_safe_softmax"), "max(m, x); exp(x - m); s + e; e / s"),
    "_log_softmax": "max(m, x); s + exp(x - m); x - m - n",
    "_softmax_backward_data": "s + g * y; y * (g - s)",
    "_log_softmax_backward_data": "s + g; g - exp(y) * s",
    "native_layer_norm": f"{_STATISTICS}; {_AFFINE}",
    "native_group_norm": f"{_STATISTICS}; {_AFFINE}",
    "_fused_rms_norm": "s + x * x; x * r * w",
    "_weight_norm_interface": "s + v * v; v * g / sqrt(s)",
    "_weight_norm_interface_backward": "s + d * v; t + v * v; g / n * (d - v * s / t)",
    **dict.fromkeys(
        ("native_layer_norm_backward", "native_group_norm_backward", "native_batch_norm_backward"),
        "s + g; t + g * x; w * r * (g - s - x * t)",
    ),
    "nll_loss_forward": "s + x",
    "mse_loss": "s + (x - y) ** 2",
    "embedding_dense_backward": "s + g",
    "unfold_backward": "s + g",
    **{f"upsample_nearest{rank}d_backward": "s + g" for rank in (1, 2, 3)},
    "logcumsumexp": "max(m, x); s + exp(x - m)",
}
"""Per element of the first input."""

_NORMS = ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")
_MORE = ("_native_batch_norm_legit_functional", "cudnn_batch_norm", "miopen_batch_norm", "batch_norm")


def _outputs(arithmetic: str) -> Rule:
    return lambda call: elementwise(call.outputs[0].numel, "outputs", arithmetic)


def _inputs(arithmetic: str) -> Rule:
    return lambda call: elementwise(call.inputs[0].numel, "inputs", arithmetic)


def batch_norm(call: Call) -> Work:
    """A scale and a shift for every channel where the statistics are given; else they are found as well."""
    known = option(call, "running_mean") is not None
    training = bool(option(call, "training", not known))
    given = "x * a + b" if not training else f"{_STATISTICS}; {_AFFINE}"
    return elementwise(call.inputs[0].numel, "inputs", given)


def one(call: Call) -> Work:
    """Any other operator that works element by element."""
    return elementwise(call.outputs[0].numel, "outputs", "f(x)")


def distances(call: Call) -> Work:
    """Every pair of rows, every feature."""
    pairs, features = call.outputs[0].numel, tensor(call, "x1").shape[-1]
    return elementwise(pairs * features, "differences", "s + (x - y) ** 2")


RULES.update({f"aten.{name}": _outputs(text) for name, text in OUTPUTS.items()})
RULES.update({f"aten.{name}": _inputs(text) for name, text in INPUTS.items()})
RULES.update({f"aten.{name}": batch_norm for name in (*_NORMS, *_MORE)})
RULES["aten._cdist_forward"] = distances
