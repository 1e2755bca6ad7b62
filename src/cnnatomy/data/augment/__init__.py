"""Random variation of pictures while a network trains, by the batch and where the batch is.

    varied = recipe("flip+shift(0.1)+reflect")(images, indices, seed=0, epoch=3)

`terms` and `parsing` need the standard library only: a text is checked without loading torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnatomy.data.augment.augmentation_text import check, parse
from cnnatomy.data.augment.terms import RECIPES, TERMS, describe
from cnnatomy.lazy import loader

if TYPE_CHECKING:
    from cnnatomy.data.augment.augmentation import Augment, recipe

__all__ = ["RECIPES", "TERMS", "Augment", "check", "describe", "parse", "recipe"]

if not TYPE_CHECKING:  # a type checker sees the imports above, and reports names that are not there
    __getattr__ = loader(__name__, {"Augment": "augmentation", "recipe": "augmentation"})
