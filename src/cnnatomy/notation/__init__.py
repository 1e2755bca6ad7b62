"""Networks as papers write them: `conv3-64 conv3-64 maxpool ... FC-4096 FC-1000 soft-max`."""

from cnnatomy.notation.errors import NotationError
from cnnatomy.notation.parse import parse
from cnnatomy.notation.spec import Block, Concatenation, Layer, Pooling, Residual, Spec

__all__ = ["Block", "Concatenation", "Layer", "NotationError", "Pooling", "Residual", "Spec", "parse"]
