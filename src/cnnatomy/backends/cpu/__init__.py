"""CPU kernels, written as vector code by tracing a reducer's scalar functions, and compiled on first use.

- `codegen`: LLVM text from Python expressions;
- `runtime`: compile, keep, share among threads;
- `pooling`, `resampling`, `moving`: the families of kernels.
"""
