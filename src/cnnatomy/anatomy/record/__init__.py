"""One forward pass as data: a weightless copy of the model, run on meta tensors, every call written down."""
