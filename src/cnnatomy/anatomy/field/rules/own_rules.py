"""The operators of this package, whose regions and resamplings stand in the pass as text."""

from __future__ import annotations

from cnnatomy.anatomy.field.algebra.field_table import Table, union_of
from cnnatomy.anatomy.field.algebra.taps import Taps, adaptive, readers, resampled, sliding, table, transposed
from cnnatomy.anatomy.field.rules.rule_registry import See, rule
from cnnatomy.anatomy.field.rules.window_rules import tapped
from cnnatomy.anatomy.record.graph import Call
from cnnatomy.geometry.axis_resampling import Resampling
from cnnatomy.regions import Adaptive, Region, Whole
from cnnatomy.regions.region import Axis


@rule("cnnatomy.pool")
def pool(call: Call, see: See) -> list[Table]:
    """Every output reads its region, of all inputs; a single region that is the whole axis at once."""
    values, region = call.read, Region.parse(call.argument("region"))
    first = values[0].shape
    found = union_of([see(v) for v in values if v.shape == first], first)
    whole: list[int] = []
    taps: list[Taps | None] = []
    for dim, axis in enumerate(region.axes(first[2:]), 2):
        at_once = isinstance(region, Adaptive | Whole) and axis.outputs == 1
        whole += [dim] if at_once else []
        taps.append(None if at_once else taps_of(axis, region))
    found = found.reduce(whole) if whole else found
    for dim, one in enumerate(taps, 2):
        found = found if one is None else found.tap(dim, one)
    return [
        found.expand(v.shape) if len(v.shape) == len(first) else found.mark_unsure("pool")
        for v in call.outputs
    ]


def taps_of(axis: Axis, region: Region) -> Taps:
    """The taps of a region's axis."""
    if axis.window is not None:
        return sliding(axis.window, axis.size)
    if isinstance(region, Adaptive):
        return adaptive(axis.size, axis.outputs)
    return table(axis.table, type(region).__name__)


@rule("cnnatomy.pool_backward")
def spread(call: Call, see: See) -> list[Table]:
    """The transpose: every cell reads the outputs whose region holds it, and what they pooled."""
    region, size = Region.parse(call.argument("region")), tuple(call.argument("size"))
    grad = see(call.read[0])
    axes = region.axes(size)
    taps = [
        transposed(axis.window, axis.outputs, axis.size)
        if axis.window is not None
        else readers(axis.table, type(region).__name__)
        for axis in axes
    ]
    found = tapped(grad, taps)
    others = [see(value) for value in call.read[1:]]
    if any(other.terms for other in others):
        found = union_of([found, *(other.mark_unsure("pool_backward") for other in others)], found.shape)
    return [found.expand(value.shape) for value in call.outputs]


@rule("cnnatomy.pool_indices")
def indices(call: Call, see: See) -> Table:
    """Every winner's place is of the region that it won."""
    return see(call.read[0])


@rule("cnnatomy.resample")
def resample(call: Call, see: See) -> Table:
    """Every output reads the cells that weigh something where it lies."""
    given = see(call.read[0])
    how, back = Resampling.parse(call.argument("how")), call.argument("transposed")
    sizes = zip(given.shape[2:], call.argument("size"), strict=True)
    pairs = [(out, n) if back else (n, out) for n, out in sizes]
    return tapped(given, [resampled(how, n, out, axis, back) for axis, (n, out) in enumerate(pairs)])
