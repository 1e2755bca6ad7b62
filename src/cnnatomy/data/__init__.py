"""Pictures for networks: folders, archives, idx files and named sets, brought to the size of a network.

    dataset = cnnatomy.data.load("digits", size=(32, 32), channels=1)

`load` is the door; `catalog` lists the named sets without importing torch; `augment` varies pictures while
a network trains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnatomy.lazy import loader

if TYPE_CHECKING:
    from cnnatomy.data.augment import RECIPES, Augment
    from cnnatomy.data.data_catalog import SOURCES, Source
    from cnnatomy.data.fit_policies import POLICIES
    from cnnatomy.data.fit_summary import FitReport
    from cnnatomy.data.loading import load, read_pictures
    from cnnatomy.data.pictures import Dataset, Pictures, Progress, Skipped

__all__ = [
    "POLICIES",
    "RECIPES",
    "SOURCES",
    "Augment",
    "Dataset",
    "FitReport",
    "Pictures",
    "Progress",
    "Skipped",
    "Source",
    "load",
    "read_pictures",
]

_HOMES = {
    "POLICIES": "fit_policies",
    "RECIPES": "augment",
    "SOURCES": "data_catalog",
    "Augment": "augment",
    "Dataset": "pictures",
    "FitReport": "fit_summary",
    "Pictures": "pictures",
    "Progress": "pictures",
    "Skipped": "pictures",
    "Source": "data_catalog",
    "load": "loading",
    "read_pictures": "loading",
}

if not TYPE_CHECKING:  # a type checker sees the imports above, and reports names that are not there
    __getattr__ = loader(__name__, _HOMES)
