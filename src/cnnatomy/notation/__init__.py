"""Networks as papers write them: `conv3-64 conv3-64 maxpool ... FC-4096 FC-1000 soft-max`."""

from cnnatomy.notation.errors import NotationError
from cnnatomy.notation.network_spec import Block, Concatenation, Layer, Pooling, Residual, Spec
from cnnatomy.notation.parse import parse

__all__ = ["Block", "Concatenation", "Layer", "NotationError", "Pooling", "Residual", "Spec", "parse"]
