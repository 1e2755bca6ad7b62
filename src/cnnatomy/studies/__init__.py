"""Comparisons: several configurations over the same seeds and pictures, and how sure a difference is."""

from cnnatomy.studies.study import Study, compare

__all__ = ["Study", "compare"]
