"""Kernels of separable linear maps, such as resizing."""
