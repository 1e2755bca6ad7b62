"""The operators of this package, whose regions, reducers and resamplings stand in the pass as text."""

from __future__ import annotations

import math

from cnnatomy.anatomy.costs.window_costs import banded
from cnnatomy.anatomy.costs.work import Work, elementwise, rule
from cnnatomy.anatomy.record.graph import Call
from cnnatomy.geometry.axis_resampling import Resampling
from cnnatomy.reducers import Reducer
from cnnatomy.regions import Region


@rule("cnnatomy.pool", "cnnatomy.pool_backward")
def pooled(call: Call) -> Work:
    """cnnatomy's pooling: every tap of every region, by the reducer's arithmetic; back, for each gradient."""
    region, reducer = Region.parse(call.argument("region")), Reducer.parse(call.argument("reducer"))
    backward = call.name.endswith("backward")
    inside = tuple(call.argument("size")) if backward else call.inputs[0].shape[2:]
    given = call.inputs[0]
    taps = math.prod(given.shape[:2])
    for axis in region.axes(inside):
        taps *= axis.outputs * axis.taps if axis.window else sum(axis.table.count)
    if reducer.work is None:
        return Work(0, None, f"{taps:,} taps of {reducer.name}, whose operations depend on the data")
    if backward:
        return elementwise(taps * len(call.outputs), "taps", "s + g * w")
    return elementwise(taps, "taps", reducer.work)


@rule("cnnatomy.resample")
def resampled(call: Call) -> Work:
    """cnnatomy's resampling, axis by axis."""
    how, x, out = Resampling.parse(call.argument("how")), call.inputs[0], call.outputs[0]
    pair = (out.shape, x.shape) if call.argument("transposed") else (x.shape, out.shape)
    return banded(how, *pair)
