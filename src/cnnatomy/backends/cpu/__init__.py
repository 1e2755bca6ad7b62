"""CPU kernels, written as vector code by tracing a reducer's scalar functions, and compiled on first use."""
