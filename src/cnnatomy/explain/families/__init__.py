"""One file for each family of operators: how it is laid out."""
