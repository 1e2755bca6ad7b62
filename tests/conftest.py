"""Settings for every test: examples without a deadline, since the machine may be busy."""

from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("default")
