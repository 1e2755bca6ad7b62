"""Which input sizes a network divides cleanly, and what it loses of the others."""

from cnnatomy.anatomy.ask.fitting.fit import fit
from cnnatomy.anatomy.ask.fitting.fits import Fit, Fits, Loss

__all__ = ["Fit", "Fits", "Loss", "fit"]
