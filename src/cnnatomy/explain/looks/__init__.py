"""What a network looks for: which pixels a score depends on, and which patches a unit likes most.

Every function takes any module that maps pictures (N, C, H, W) to scores (N, K), or a `Run`, names layers by
their paths, and returns plain data.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnatomy.explain.looks.attribution import grad_cam, integrated_gradients, occlusion, saliency
    from cnnatomy.explain.looks.cropping import Patch, patches

_HOMES = {
    **dict.fromkeys(("grad_cam", "integrated_gradients", "occlusion", "saliency"), "attribution"),
    **dict.fromkeys(("Patch", "patches"), "cropping"),
}

__all__ = ["Patch", "grad_cam", "integrated_gradients", "occlusion", "patches", "saliency"]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
