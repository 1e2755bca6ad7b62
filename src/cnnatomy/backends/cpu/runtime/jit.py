"""From LLVM text to a callable: optimise, keep the machine code on disk, link, and look up the address.

Machine code is kept under a name that hashes everything it depends on: the text of the kernel itself, the
processor with its features, and LLVM's version. A stale or a wrong kernel therefore cannot be found, and a
second process only links. A file begins with a digest of that name and of its content. It is read only where
no other user can have written it.
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

from cnnatomy.files.cache_folders import cache_dir
from cnnatomy.files.private import private_folder, read_private

_DIGEST = hashlib.sha256().digest_size
_PIPELINE = "speed 2, no vectorisation, no unrolling"
_NOT_KEPT = (
    "compiled kernels cannot be kept ({}): every process makes them anew; "
    "set CNNATOMY_CACHE to a folder that can be written, by you alone"
)
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
_engines: list[Any] = []  # keeps the machine code alive
_warned: list[str] = []
compiled: list[str] = []
"""The names of the kernels that this process compiled, rather than found on disk."""


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
    key = "\0".join((text, name, features, str(llvm.llvm_version_info), _PIPELINE)).encode()
    try:
        path = private_folder(cache_dir() / "kernels") / f"{hashlib.sha256(key).hexdigest()}.o"
    except (OSError, RuntimeError) as error:  # a read-only home, none, or one that others can write
        _warn(_NOT_KEPT.format(error))
        return machine_code(text)
    try:
        stored = read_private(path)
        if stored[:_DIGEST] == _digest(key, stored[_DIGEST:]):
            return stored[_DIGEST:]
    except FileNotFoundError:
        pass
    except OSError as error:
        _warn(f"a kept kernel is not trusted ({error}): it was compiled anew")
    code = machine_code(text)
    try:
        _keep(path, _digest(key, code) + code)
    except OSError as error:
        _warn(_NOT_KEPT.format(error))
    return code


def _digest(key: bytes, code: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(key).digest() + code).digest()


def _warn(what: str) -> None:
    """Say, once in a process, that the cache is not used as it might be."""
    if not _warned:
        _warned.append(what)
        warnings.warn(what, RuntimeWarning, stacklevel=2)


def _keep(path: Path, content: bytes) -> None:
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
