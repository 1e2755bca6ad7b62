"""What one run of one operator costs: multiply-accumulates, floating-point operations, bytes.

- A MAC is one multiply-accumulate of a convolution, a matrix product or attention. Taps in the padding count,
  as dense kernels multiply them (`inside` counts without); a transposed convolution counts each input's taps.
- FLOPs are two for each MAC, one for each bias added, and for other arithmetic on floating-point numbers one
  for each operator, comparison or function (exp, tanh, ...) in the formulas of `pointwise` and `windows`.
  Batch normalization with given statistics is a scale and a shift.
- Bytes are those of the tensors read and written, a broadcast element once; views move nothing, and lookups
  read what they return.

An operator without a rule has no count: MACs and FLOPs are None, and no total is summed over it.
"""

from __future__ import annotations

from collections.abc import Mapping

import cnnatomy.anatomy.costs.detection_costs
import cnnatomy.anatomy.costs.window_costs  # noqa: F401 (rules are entered when these are loaded)
from cnnatomy.anatomy.costs.pointwise_costs import one
from cnnatomy.anatomy.costs.product_costs import BACKWARD, convolution, convolution_backward, inside
from cnnatomy.anatomy.costs.traffic import CREATES, MOVES, moved
from cnnatomy.anatomy.costs.work import RULES, Work
from cnnatomy.anatomy.figures import Cost
from cnnatomy.anatomy.record.graph import Call, Graph, Value

__all__ = ["connected", "cost", "inside"]

_NOTHING: Mapping[int, int] = {}


def cost(call: Call, connections: Mapping[int, int] = _NOTHING) -> Cost:
    """What a call costs.

    Args:
        call: from a recorded pass.
        connections: see `connected`.

    Example:
        >>> import torch
        >>> from cnnatomy.anatomy.record.tracing import trace
        >>> graph = trace(torch.nn.Conv2d(3, 64, 7, 2, 3), (torch.empty(1, 3, 224, 224),))
        >>> found = cost(graph.calls[0])
        >>> found.macs, found.flops, found.formula
        (118013952, 236830720, '64·112·112 outputs × 3·7·7 taps = 118,013,952')
    """
    read, written = moved(call)
    macs, other, formula = work(call, connections)
    flops = None if macs is None or other is None else 2 * macs + other
    return Cost(macs, flops, read, written, formula)


def work(call: Call, connections: Mapping[int, int] = _NOTHING) -> Work:
    """The arithmetic of a call, by the rule of its operator."""
    name = call.name
    plain = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    if plain in MOVES or plain in CREATES:
        return Work()
    if call.convolves or name in BACKWARD:
        weight = call.argument("weight")
        known = connections.get(weight.storage) if isinstance(weight, Value) else None
        return (convolution if call.convolves else convolution_backward)(call, known)
    if call.signature.own:
        import cnnatomy.anatomy.costs.own_costs  # noqa: F401 (it enters its rules; other networks need no reducers)
    rule = RULES.get(plain)
    if rule is None and (call.is_view or not call.outputs):
        return Work()
    if rule is None and call.signature.pointwise:
        rule = one
    if rule is None:
        return Work(None, None, f"no rule for {name}")
    found = rule(call)
    return found if found.macs != 0 or _floating(call) else Work()


def _floating(call: Call) -> bool:
    """Whether it is arithmetic of floating-point numbers, and not of indices and masks."""
    return any(value.dtype.is_floating_point or value.dtype.is_complex for value in call.outputs) or any(
        value.dtype.is_floating_point or value.dtype.is_complex for value in call.inputs
    )


def connected(graph: Graph) -> dict[int, int]:
    """Convolution weights that are scattered into zeros, by storage: the connections that they have.

    So the layers of `cnnatomy.nn` with a connection table make their dense weight; the connections that are
    absent are no parameters, and nothing need be multiplied for them.
    """
    zeros: set[int] = set()
    found: dict[int, int] = {}
    for call in graph.calls:
        if call.name in ("aten.new_zeros", "aten.zeros"):
            zeros.add(call.outputs[0].storage)
        elif call.name == "aten.index_copy" and call.inputs[0].storage in zeros:
            found[call.outputs[0].storage] = call.inputs[-1].shape[0]
    return found
