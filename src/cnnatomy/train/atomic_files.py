"""Files that are whole or absent: written beside, flushed to the disk, then put in place."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from cnnatomy import checks
from cnnatomy.errors import CheckpointError
from cnnatomy.files.printable import json_text
from cnnatomy.train.stored_values import damage_in

_END = ".tmp"


def remove_unfinished(folder: Path) -> None:
    """Remove what writers left in a folder that were killed."""
    for path in folder.glob(f".*{_END}"):
        path.unlink(missing_ok=True)


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write that is put at `path` in the end: a failure or a crash leaves the old one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}{_END}")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        if error.errno and not error.filename:  # a full disk says it of no file
            error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that a crash leaves the old file or the new one, never a part."""
    with whole(path) as file:
        file.write(content)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file that people can read."""
    write_whole(path, (json_text(value) + "\n").encode("utf-8", "backslashreplace"))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write named tensors and JSON facts as one safetensors file that carries a digest of both."""
    plain: dict[str, Tensor] = {}
    places: set[int] = set()
    for name in sorted(tensors):  # one order, so that equal runs give equal files
        tensor = tensors[name].detach().cpu().contiguous()
        tied = tensor.data_ptr() in places  # weights that two layers share are written twice
        plain[name] = tensor.clone() if tied else tensor
        places.add(plain[name].data_ptr())
    said = json.dumps(facts, sort_keys=True)
    metadata = {"facts": said, "sha256": _digest(plain, said)}
    content = memoryview(safetensors.torch.save(plain, metadata=metadata))
    header, numbers = _ordered_header(content)
    with whole(path) as file:
        file.write(header)
        file.write(numbers)


def _ordered_header(content: memoryview) -> tuple[bytes, memoryview]:
    """The header of a safetensors file in one order, which the library leaves to chance, and the rest.

    Format: the header's length in 8 bytes, the header as JSON padded with blanks, the numbers.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8:end]))
    facts = dict(sorted(header.pop("__metadata__").items()))
    tensors = dict(sorted(header.items(), key=lambda item: (item[1]["data_offsets"], item[0])))
    said = json.dumps({"__metadata__": facts} | tensors, separators=(",", ":")).encode()
    said += b" " * (-len(said) % 8)
    return len(said).to_bytes(8, "little") + said, content[end:]


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote; nothing in the file is ever executed.

    Raises:
        CheckpointError: the file is missing, cut short, altered, or of another kind.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise CheckpointError(f"{path} is no regular file", expected="a safetensors file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged", expected="a safetensors file", got=str(error)) from error
    if not {"facts", "sha256"} <= set(metadata):
        raise CheckpointError(f"{path} was not written by cnnatomy", expected="a cnnatomy run's file")
    with damage_in(path):
        if _digest(tensors, metadata["facts"]) != metadata["sha256"]:
            expected = "content that matches its digest"
            raise CheckpointError(f"{path} is damaged", expected=expected, got="other")
        return tensors, dict(checks.of_kind("what it says", json.loads(metadata["facts"]), dict, "a table"))


def _digest(tensors: Mapping[str, Tensor], said: str) -> str:
    digest = hashlib.sha256(said.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
