"""Training as a call: `train` takes any pictures and any network, and gives a `Run`."""

from cnnatomy.runs.call import train
from cnnatomy.runs.run import Run

__all__ = ["Run", "train"]
