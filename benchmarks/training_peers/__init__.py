"""`cnnatomy train` beside its peers on small folders of colour pictures: see `__main__`."""
