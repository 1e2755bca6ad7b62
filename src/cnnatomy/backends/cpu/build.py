"""From LLVM text to a callable: optimise, keep the machine code on disk, link, and look up the address.

Machine code is kept under a name that hashes everything it depends on: the text of the kernel itself, the
processor with its features, and LLVM's version. A stale or a wrong kernel therefore cannot be found, and a
second process only links.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import tempfile
import threading
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

_PIPELINE = "speed 2, no vectorisation, no unrolling"
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_engines: list[Any] = []  # keeps the machine code alive
_warned: list[Exception] = []
compiled: list[str] = []
"""The names of the kernels that this process compiled, rather than found on disk."""


def cache_folder() -> Path:
    """Where machine code is kept: `CNNATOMY_CACHE`, else the user's cache folder."""
    if own := os.environ.get("CNNATOMY_CACHE"):
        return Path(own).expanduser() / "kernels"
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    return Path(base).expanduser() / "cnnatomy" / "kernels"


@lru_cache
def target() -> tuple[Any, str, str]:
    """The machine to compile for, its name and its features."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=name, features=features, opt=3, reloc="pic", codemodel="default"
    )
    return machine, name, features


@lru_cache
def converts_half() -> bool:
    """True if the processor itself converts float16, for which LLVM would otherwise call a library."""
    x86 = llvm.get_process_triple().startswith(("x86", "i686", "amd64"))
    return not x86 or bool(llvm.get_host_cpu_features().get("f16c"))


def looks_up() -> bool:
    """True if a vector of eight numbers can choose from another, and no wider one is better than that."""
    return vector_bytes() == 32


@lru_cache
def vector_bytes() -> int:
    """How many bytes one vector register holds."""
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16


def machine_code(text: str) -> bytes:
    """Optimise the kernel and emit an object file."""
    machine = target()[0]
    module = llvm.parse_assembly(text)
    compiled.append(module.name)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_vectorization = tuning.slp_vectorization = False  # kernels are written in vectors already
    tuning.loop_unrolling = False  # and unrolled where it pays
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))


def cached(text: str) -> bytes:
    """The object file of a kernel, from disk if it has been compiled before."""
    _, name, features = target()
    key = "\0".join((text, name, features, str(llvm.llvm_version_info), _PIPELINE))
    name = f"{hashlib.sha256(key.encode()).hexdigest()}.o"
    try:
        path = cache_folder() / name
        stored = path.read_bytes()
        digest, code = stored[:32], stored[32:]
        if hashlib.sha256(code).digest() == digest:
            return code
    except (OSError, RuntimeError):  # not there, or no home to look in
        pass
    code = machine_code(text)
    try:
        _keep(cache_folder() / name, hashlib.sha256(code).digest() + code)
    except (OSError, RuntimeError) as error:  # a read-only home, or none
        _warn(error)
    return code


def _warn(error: Exception) -> None:
    """Say, once in a process, that nothing is kept."""
    if not _warned:
        _warned.append(error)
        warnings.warn(
            f"compiled kernels cannot be kept ({error}): every process makes them anew; "
            "set CNNATOMY_CACHE to a folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as beside:
        try:
            beside.write(content)
            beside.close()
            os.replace(beside.name, path)
        except OSError:
            os.unlink(beside.name)
            raise


@dataclass(frozen=True)
class Kernel:
    """Machine code: `run(plan, pointers.., lo, hi)`, and the address of `shared(job)`, for teams."""

    run: Any
    shared: int


@lru_cache(maxsize=1024)
def kernel(name: str, text: str, pointers: int) -> Kernel:
    """Link a kernel; it runs without the interpreter's lock."""
    with _lock:
        code = cached(text)
        empty = llvm.parse_assembly("")
        empty.triple = target()[0].triple
        engine = llvm.create_mcjit_compiler(empty, target()[0])
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        _engines.append(engine)
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (1 + pointers), ctypes.c_int64, ctypes.c_int64)
    run = kind(engine.get_function_address(name))
    return Kernel(run, int(engine.get_function_address(f"{name}_shared")))
