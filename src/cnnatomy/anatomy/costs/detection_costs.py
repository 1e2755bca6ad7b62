"""The operators that torchvision's detectors run on boxes."""

from __future__ import annotations

from cnnatomy.anatomy.costs.work import Work, elementwise, rule
from cnnatomy.anatomy.record.graph import Call


@rule("torchvision.nms")
def suppressed(call: Call) -> Work:
    """Boxes are compared with those that are kept."""
    return Work(0, None, f"{call.inputs[0].shape[0]:,} boxes, whose comparisons depend on the data")


@rule("torchvision.roi_align", "torchvision.ps_roi_align")
def aligned(call: Call) -> Work:
    """A mean of points, each between four cells; how many points there are may depend on the box."""
    cells, points = call.outputs[0].numel, call.argument("sampling_ratio")
    if points <= 0:
        return Work(0, None, f"{cells:,} bins, whose points depend on the boxes")
    return elementwise(cells * points**2 * 4, "taps", "s + w * x")


@rule("torchvision.roi_pool", "torchvision.ps_roi_pool")
def pooled(call: Call) -> Work:
    """The cells of every bin are compared or added."""
    return Work(0, None, f"{call.outputs[0].numel:,} bins, whose cells depend on the boxes")
