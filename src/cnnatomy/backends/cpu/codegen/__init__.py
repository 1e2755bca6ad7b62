"""Vector code from Python expressions: the emitter, its vectors and their elementary functions."""
