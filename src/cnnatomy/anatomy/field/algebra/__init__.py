"""Sets of cells that units see, as arrays: how they are joined, cut, tapped and put side by side."""
