"""What a network looks for: which pixels a score depends on, and which patches a unit likes most.

Every function takes any module that maps pictures (N, C, H, W) to scores (N, K), or a `Run`, names layers by
their paths, and returns plain data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnatomy.lazy import loader

if TYPE_CHECKING:
    from cnnatomy.explain.looks.attribution import grad_cam, integrated_gradients, occlusion, saliency
    from cnnatomy.explain.looks.cropping import Patch, patches
    from cnnatomy.explain.looks.embedding_map import laid_out
    from cnnatomy.explain.looks.layer_maps import Filters, feature_maps, first_filters
    from cnnatomy.explain.looks.look_page import look
    from cnnatomy.explain.looks.maximising import Maximised, maximise
    from cnnatomy.explain.looks.moved_maps import equivariance
    from cnnatomy.explain.looks.sensitivity import Curve, curve, shift_curve

_HOMES = {
    **dict.fromkeys(("grad_cam", "integrated_gradients", "occlusion", "saliency"), "attribution"),
    **dict.fromkeys(("Patch", "patches"), "cropping"),
    "laid_out": "embedding_map",
    "equivariance": "moved_maps",
    **dict.fromkeys(("Filters", "feature_maps", "first_filters"), "layer_maps"),
    "look": "look_page",
    **dict.fromkeys(("Maximised", "maximise"), "maximising"),
    **dict.fromkeys(("Curve", "curve", "shift_curve"), "sensitivity"),
}

__all__ = [
    "Curve",
    "Filters",
    "Maximised",
    "Patch",
    "curve",
    "equivariance",
    "feature_maps",
    "first_filters",
    "grad_cam",
    "integrated_gradients",
    "laid_out",
    "look",
    "maximise",
    "occlusion",
    "patches",
    "saliency",
    "shift_curve",
]

if not TYPE_CHECKING:  # a type checker sees the imports above, and reports names that are not there
    __getattr__ = loader(__name__, _HOMES)
