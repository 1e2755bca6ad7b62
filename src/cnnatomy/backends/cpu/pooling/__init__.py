"""Kernels of poolings, forward and backward, and the plans that choose among them."""
