"""Where weights come from: a path, what torchvision or timm publish, a repository on Hugging Face's hub.

What was fetched is kept in cnnatomy's cache, so that it is fetched once; files that torchvision or
huggingface_hub fetched before are found where they keep them.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from cnnatomy import checks
from cnnatomy.errors import DataError
from cnnatomy.files.cache_folders import cache_dir
from cnnatomy.files.download import OfflineError, describe, fetch
from cnnatomy.files.transfer_progress import silent
from cnnatomy.models.weights.errors import WeightsError
from cnnatomy.models.weights.preprocessing import Preprocessing
from cnnatomy.models.weights.weight_files import Weights, read

TORCHVISION = {
    "alexnet": "alexnet-owt-7be5be79",
    "vgg11": "vgg11-8a719046",
    "vgg11_bn": "vgg11_bn-6002323d",
    "vgg13": "vgg13-19584684",
    "vgg13_bn": "vgg13_bn-abd245e5",
    "vgg16": "vgg16-397923af",
    "vgg16_bn": "vgg16_bn-6c64b313",
    "vgg19": "vgg19-dcbb9e9d",
    "vgg19_bn": "vgg19_bn-c79401a0",
    "resnet18": "resnet18-f37072fd",
    "resnet34": "resnet34-b627a593",
    "resnet50": "resnet50-11ad3fa6",
    "resnet50.v1": "resnet50-0676ba61",
    "resnet101": "resnet101-cd907fc2",
    "resnet101.v1": "resnet101-63fe2227",
    "resnet152": "resnet152-f82ba261",
    "resnet152.v1": "resnet152-394f9c45",
    "googlenet": "googlenet-1378be20",
    "densenet121": "densenet121-a639ec97",
    "densenet161": "densenet161-8d451a50",
    "densenet169": "densenet169-b2777c0a",
    "densenet201": "densenet201-c1103571",
}
"""The files that torchvision publishes, each named after the first eight digits of its SHA-256.

Where there are two the newer has the bare name and the older `.v1`, as IMAGENET1K_V2 and V1 in torchvision.
"""
_CALLED = {"alexnet-owt": "alexnet", "googlenet-bn": "googlenet"}
"""Networks of the catalog that torchvision has under another name."""
_TORCHVISION_URL = "https://download.pytorch.org/models"
_HUB_URL = "https://huggingface.co"
_SECOND = Preprocessing(crop=224 / 232)
"""torchvision's second weights were tested on pictures of 232."""
_FROM_TENSORFLOW = Preprocessing((0.5,) * 3, (0.5,) * 3)
"""GoogLeNet's were made for inputs from -1 to 1; torchvision's network brings ImageNet's scale to that."""
_CONFIGS = ("config.json", "preprocessor_config.json")
_CANDIDATES = ("model.safetensors", "pytorch_model.bin")
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_REVISION = re.compile(r"(\w[\w.-]*)?")


def find(source: str | Path, name: str | None = None) -> Weights:
    """Read weights from where `source` says, fetching them if need be.

    `"torchvision"` and `"timm"` alone stand for that library's weights of the network called `name`.

    Raises:
        WeightsError: there is no such source, it cannot be reached, or it cannot be read.
        ArgumentError: this is no source, or no name.
    """
    expected = "a file, a dictionary of tensors, or torchvision:NAME, timm:NAME or hf:OWNER/NAME"
    text = str(checks.of_kind("where weights come from", source, (str, Path), expected))
    if not text.strip():
        raise WeightsError("where weights come from", expected=expected, got=repr(source))
    if name is not None:
        checks.of_kind("the name of a network", name, str, "a string")
    if text in ("torchvision", "timm"):
        if not name:
            raise WeightsError(f"weights={text!r} needs the network's name", hint=f'"{text}:vgg16"')
        name = name.removeprefix(f"{text}:").partition("(")[0]  # as networks of these libraries are named
        text = f"{text}:{_CALLED.get(name, name)}"
    kind, colon, rest = text.partition(":")
    if isinstance(source, Path) or not colon or kind not in _READERS:
        return _from_path(Path(source).expanduser(), text)
    return _READERS[kind](rest)


def _from_path(path: Path, text: str) -> Weights:
    """Read a file; one that torchvision publishes is known by its name."""
    known = next((name for name, stem in TORCHVISION.items() if stem == path.stem), None)
    if known is not None:
        return replace(read(path), preprocessing=_prepared(known))
    if not path.exists() and not path.suffix and text.count("/") == 1:
        raise WeightsError(f"{text} is no file", hint=f'"hf:{text}" for a repository of that name')
    return read(path)


def _from_torchvision(name: str) -> Weights:
    if name in TORCHVISION:
        file = f"{TORCHVISION[name]}.pth"
        path = _torchvision_file(f"{_TORCHVISION_URL}/{file}", file)
        return replace(read(path), source=f"torchvision:{name}", preprocessing=_prepared(name))
    try:
        entry = import_module("torchvision.models").get_model_weights(name.partition(".")[0]).DEFAULT
        transforms = entry.transforms()
    except Exception as error:  # a torchvision that does not go with torch ends its import in many ways
        near = difflib.get_close_matches(name, TORCHVISION, n=1)
        expected = f"one of {', '.join(TORCHVISION)}, or any that an installed torchvision knows"
        hint = f"torchvision:{near[0]}" if near else None
        raise WeightsError(f"torchvision has no weights {name!r}", expected=expected, hint=hint) from error
    (side,), (resized,) = transforms.crop_size, transforms.resize_size
    prepared = Preprocessing(
        tuple(transforms.mean),
        tuple(transforms.std),
        (side, side),
        side / resized,
        transforms.interpolation.value,
    )
    path = _torchvision_file(entry.url, entry.url.rpartition("/")[2])
    return replace(read(path), source=f"torchvision:{name}", preprocessing=prepared)


def _torchvision_file(url: str, file: str) -> Path:
    kept = Path(torch.hub.get_dir()) / "checkpoints" / file
    return kept if kept.is_file() else _fetched(url, f"torchvision/{file}")


def _prepared(name: str) -> Preprocessing:
    if name == "googlenet":
        return _FROM_TENSORFLOW
    return _SECOND if f"{name}.v1" in TORCHVISION else Preprocessing()


def _from_timm(name: str) -> Weights:
    """`NAME.TAG` is a repository of timm's on the hub; which tag a bare NAME stands for, timm knows."""
    if "." not in name:
        try:
            name = import_module("timm.models").get_pretrained_cfg(name).hf_hub_id.partition("/")[2]
        except Exception as error:  # it imports torchvision, see above
            hint = "timm:NAME.TAG, such as timm:resnet50.a1_in1k"
            raise WeightsError(
                f"which weights of {name!r} are meant, only timm knows", expected="timm installed", hint=hint
            ) from error
    return replace(_from_hub(f"timm/{name}"), source=f"timm:{name}")


def _from_hub(repository: str) -> Weights:
    """`OWNER/NAME`, `OWNER/NAME@REVISION`, and either with `/FILE` after it."""
    parts = repository.split("/", 2)
    owner, (name, _, revision) = parts[0], (parts[1] if len(parts) > 1 else "").partition("@")
    if not _REPOSITORY.fullmatch(f"{owner}/{name}") or not _REVISION.fullmatch(revision):
        raise WeightsError("this is no repository", expected="hf:OWNER/NAME", got=f"hf:{repository}")
    wanted = (parts[2],) if len(parts) > 2 else _CANDIDATES
    if any(".." in file.split("/") for file in wanted):
        raise WeightsError("a file within the repository was expected", got=repr(parts[2]))
    path = _hub_file(f"{owner}/{name}", revision or "main", wanted)
    return replace(read(path), source=f"hf:{repository}")


def _hub_file(repository: str, revision: str, wanted: tuple[str, ...]) -> Path:
    """Bring the first of the wanted files that is there, and what says how to prepare pictures."""
    try:
        hub: Any = import_module("huggingface_hub")
    except ImportError:
        hub = None

    def bring(file: str) -> Path:
        if hub is None:
            url = f"{_HUB_URL}/{repository}/resolve/{revision}/{file}"
            return _fetched(url, f"hf/{repository}/{revision}/{file}")
        try:
            return Path(hub.hf_hub_download(repository, file, revision=revision))
        except Exception as error:  # its many errors say why in their text
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            hint = "fetching it elsewhere, and giving its path"
            raise WeightsError(f"cannot fetch {file} of {repository}: {first}", hint=hint) from error

    found, failure = None, None
    for file in wanted:
        try:
            found = bring(file)
            break
        except WeightsError as error:
            failure = failure or error
    if found is None:
        assert failure is not None
        raise failure
    for file in _CONFIGS:
        try:
            bring(file)
        except WeightsError:
            continue  # a repository has the one, the other or none
    return found


def _fetched(url: str, path: str) -> Path:
    """The file of an address, from the cache or fetched into it."""
    folder = cache_dir() / "weights"
    if (folder / path).is_file():
        return folder / path
    digest = re.search(r"-([0-9a-f]{8})\.\w+$", path)
    try:
        return fetch(describe(url, path, digest[1] if digest else ""), folder, silent)
    except OfflineError as error:
        hint = f"fetching {url} elsewhere and putting it at {folder / path}, or giving its path"
        raise WeightsError(f"cannot fetch the weights: {error}", hint=hint) from error
    except DataError as error:
        raise WeightsError(str(error)) from error


_READERS = {"torchvision": _from_torchvision, "timm": _from_timm, "hf": _from_hub}
