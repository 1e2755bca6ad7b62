"""Weights of torchvision, timm, Hugging Face or one's own, for any network."""

from __future__ import annotations

from cnnatomy.models.weights.errors import WeightsError
from cnnatomy.models.weights.head import find_head
from cnnatomy.models.weights.hub import find
from cnnatomy.models.weights.load import Report, load_into, load_weights
from cnnatomy.models.weights.preprocessing import Preprocessing
from cnnatomy.models.weights.weight_files import Weights, of_dict, read

__all__ = [
    "Preprocessing",
    "Report",
    "Weights",
    "WeightsError",
    "find",
    "find_head",
    "load_into",
    "load_weights",
    "of_dict",
    "read",
]
