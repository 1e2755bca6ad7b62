"""Kernels that move values without arithmetic: padding and unpooling."""
