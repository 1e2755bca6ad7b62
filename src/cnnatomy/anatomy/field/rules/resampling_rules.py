"""Interpolation, and sampling at places that are computed."""

from __future__ import annotations

from cnnatomy.anatomy.field.algebra.field_table import Table, union_of
from cnnatomy.anatomy.field.algebra.taps import resampled
from cnnatomy.anatomy.field.rules.rule_registry import See, rule
from cnnatomy.anatomy.field.rules.window_rules import tapped
from cnnatomy.anatomy.record.graph import Call
from cnnatomy.geometry.axis_resampling import Resampling

_METHODS = {
    **{f"upsample_nearest{rank}d": ("nearest", "asymmetric", False) for rank in "123"},
    **{f"_upsample_nearest_exact{rank}d": ("nearest", "half_pixel", False) for rank in "123"},
    "upsample_linear1d": ("linear", "half_pixel", False),
    "upsample_bilinear2d": ("linear", "half_pixel", False),
    "upsample_trilinear3d": ("linear", "half_pixel", False),
    "upsample_bicubic2d": ("cubic", "half_pixel", False),
    "_upsample_bilinear2d_aa": ("linear", "half_pixel", True),
    "_upsample_bicubic2d_aa": ("cubic", "half_pixel", True),
    "_upsample_lanczos2d_aa": ("lanczos3", "half_pixel", True),
}


@rule(*_METHODS)
def interpolate(call: Call, see: See) -> Table:
    """Every output reads the cells that weigh something where it lies."""
    table, out = see(call.read[0]), call.outputs[0].shape
    method, coordinates, antialias = _METHODS[call.operator._opname]
    if call.takes("align_corners") and call.argument("align_corners"):
        coordinates = "corners"
    scales = [call.argument(name) for name in call.signature.places if name.startswith("scales")]
    given = call.takes("scale_factors") and call.argument("scale_factors")
    scales = list(given) if given else scales
    scale = tuple(scales) if scales and all(scales) else None
    how = Resampling(method, coordinates, antialias, scale=scale)
    sizes = list(zip(table.shape[2:], out[2:], strict=True))
    return tapped(table, [resampled(how, n, size, axis) for axis, (n, size) in enumerate(sizes)])


@rule("grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "_grid_sampler_2d_cpu_fallback")
def grid_sample(call: Call, see: See) -> Table:
    """Every output reads its place, and cells that are not known."""
    x, grid = (see(value) for value in call.read[:2])
    out, rank = call.outputs[0].shape, len(x.shape)
    cells = x.mark_unsure(call.operator._opname, range(2, rank))
    place = grid.reduce([-1]).permute((0, rank - 1, *range(1, rank - 1)))
    return union_of([cells, place], out)
