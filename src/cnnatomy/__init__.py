"""cnnatomy: the workbench for convolutional networks on PyTorch."""

__version__ = "0.1.0.dev0"
