"""Reading weights: safetensors and torch files, folders of them, dictionaries. Nothing in them is run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from cnnatomy import checks
from cnnatomy.errors import ArgumentError
from cnnatomy.models.weights.errors import WeightsError
from cnnatomy.models.weights.preprocessing import Preprocessing, from_timm, from_transformers

NESTED = ("state_dict", "model_state_dict", "model_state", "model", "weights", "net", "module")
"""Where checkpoints keep the weights among other things, in the order in which they are looked for."""
_ZIP = b"PK\x03\x04"
_PICKLE = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


@dataclass(frozen=True)
class Weights:
    """Named tensors as their file holds them, with where they came from and what pictures they expect."""

    tensors: Mapping[str, Tensor]
    source: str
    preprocessing: Preprocessing | None = None
    notes: tuple[str, ...] = field(default=())


def read(path: str | Path) -> Weights:
    """Read a file of weights, or the one in a folder laid out as on Hugging Face's hub.

    What a file is, its first bytes say, not its name. A `config.json` of timm or `preprocessor_config.json`
    of transformers beside it gives the preprocessing.

    Raises:
        WeightsError: there is no such file, it is damaged or cut short, it is of another kind, or it holds
            more than tensors and plain values.
        ArgumentError: this is no path.
    """
    path = checks.path(path, "a file of weights")
    if path.is_dir():
        path = _in_folder(path)
    if not path.is_file():
        expected = "a file of weights, or a folder with model.safetensors or pytorch_model.bin"
        raise WeightsError(f"{path} does not exist", expected=expected)
    if path.name.endswith(".index.json"):
        weights = _read_shards(path)
    else:
        weights = of_dict(_read_file(path), str(path))
    return replace(weights, preprocessing=_beside(path.parent))


def of_dict(content: Any, source: str = "the dictionary") -> Weights:
    """Find the named tensors in a dictionary: it is a state dict itself, or a checkpoint that holds one.

    Raises:
        WeightsError: it is neither.

    Example:
        >>> of_dict({"epoch": 3, "state_dict": {"fc.weight": torch.zeros(2, 2)}}).notes
        ("read from its entry 'state_dict'",)
    """
    if _is_state(content):
        return Weights(dict(content), source)
    if isinstance(content, Mapping):
        for name in NESTED:
            if _is_state(content.get(name)):
                return Weights(dict(content[name]), source, notes=(f"read from its entry {name!r}",))
        got = (
            f"a dictionary of {', '.join(map(repr, list(content)[:6]))}" if content else "an empty dictionary"
        )
    else:
        got = f"a {type(content).__name__}"
    expected = f"tensors by name, alone or under one of {', '.join(NESTED)}"
    raise WeightsError(f"{source} holds no state dict", expected=expected, got=got)


def _is_state(content: Any) -> bool:
    """Whether this is tensors by name."""
    if not isinstance(content, Mapping) or not content:
        return False
    return all(isinstance(n, str) and isinstance(t, Tensor) for n, t in content.items())


def _in_folder(folder: Path) -> Path:
    for name in _NAMES:
        if (folder / name).is_file():
            return folder / name
    found = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".pth", ".pt", ".bin"))
    if len(found) != 1:
        got = ", ".join(p.name for p in found[:6]) or "none"
        raise WeightsError(f"{folder} does not say which weights to read", expected="one file", got=got)
    return found[0]


def _read_file(path: Path) -> Any:
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:9] == b"{":  # eight bytes of length, then JSON
        return _read_safetensors(path)
    if head.startswith((_ZIP, *_PICKLE)):
        # Files of before torch 1.6 are no zip archives, and cannot be mapped into memory.
        return _read_torch(path, mapped=head.startswith(_ZIP) and path.suffix != ".safetensors")
    got = "an empty file" if not head else f"one that begins with {head[:8]!r}"
    raise WeightsError(f"{path} holds no weights", expected="a whole safetensors or torch file", got=got)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{path} is damaged or cut short", expected="a whole safetensors file", got=_line(error)
        ) from error


def _read_torch(path: Path, mapped: bool) -> Any:
    try:
        with path.open("rb") as file:  # of a path, torch would look at the ending of its name first
            return torch.load(path if mapped else file, weights_only=True, map_location="cpu", mmap=mapped)
    except Exception as error:  # damaged bytes end the reader in any way there is
        if "weights_only" in str(error) or "Unsupported" in str(error):
            what = f"{path} holds more than tensors: Python objects that would have to be run to be read"
            hint = "asking its maker for torch.save(model.state_dict(), path) or for safetensors"
            found = re.search(r"GLOBAL ([\w.]+)", str(error))
            got = found[1] if found else None
            raise WeightsError(what, expected="a state dict", got=got, hint=hint) from error
        raise WeightsError(
            f"{path} is damaged or cut short", expected="a whole torch file", got=_line(error)
        ) from error


def _read_shards(index: Path) -> Weights:
    """Read the files that an index names, each of which lies beside it."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index} is damaged", expected="an index with a weight_map") from error
    tensors: dict[str, Tensor] = {}
    for name in names:
        if Path(name).name != name:
            raise WeightsError(f"{index} leads outside its folder", expected="file names", got=repr(name))
        tensors |= read(index.parent / name).tensors
    return Weights(tensors, str(index))


def _beside(folder: Path) -> Preprocessing | None:
    """The preprocessing that files beside the weights give, if they do."""
    for name, reader in (("preprocessor_config.json", from_transformers), ("config.json", from_timm)):
        try:
            listing = json.loads((folder / name).read_text(encoding="utf-8"))
            if name == "preprocessor_config.json" or "pretrained_cfg" in listing:
                return reader(listing)
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, KeyError, AttributeError, ArgumentError) as error:
            what = f"{folder / name} does not say how to prepare pictures"
            raise WeightsError(what, got=_line(error), hint="mending or removing it") from error
    return None


def _line(error: Exception) -> str:
    """The first line of what went wrong, short."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
