"""Property tests of the geometry run without a deadline: machines that run them are shared."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("geometry", deadline=None)
settings.load_profile("geometry")
