"""Training as a call: `fit` takes any network and any pictures, and gives a `Run`."""

from cnnatomy.runs.call import fit
from cnnatomy.runs.run import Run

__all__ = ["Run", "fit"]
