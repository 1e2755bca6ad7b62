"""Where weights come from: fetched once, found where other libraries keep them, a clear word when offline."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import nn

from cnnatomy.models.weights import Preprocessing, WeightsError, find, hub, load_weights

STATE = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}
CONTENT = save(STATE)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves its files; those of `linked` by way of a redirection that tells their size and SHA-256."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.linked: dict[str, str] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.answer(False)

    def do_GET(self) -> None:
        self.answer(True)

    def answer(self, whole: bool) -> None:
        server, path = self.server, self.path
        server.asked.append(f"{self.command} {path}")
        body = server.files.get(path.removeprefix("/store"))
        if body is None:
            self.send_error(404)
            return
        if path in server.linked:
            self.send_response(302)
            self.send_header("Location", f"/store{path}")
            self.send_header("X-Linked-Size", str(len(body)))
            self.send_header("X-Linked-ETag", f'"{server.linked[path]}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if whole:
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(hub, "_HUB_URL", server.url)
        monkeypatch.setattr(hub, "_TORCHVISION_URL", f"{server.url}/models")
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, and no library but torch."""
    monkeypatch.setenv("CNNATOMY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("huggingface_hub", "timm.models", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, None)


def same(weights: Any) -> None:
    assert all(torch.equal(weights.tensors[name], STATE[name]) for name in STATE)


def test_a_repository_is_fetched_once_and_its_checksum_compared(server: Server, tmp_path: Path) -> None:
    file = "/timm/small.a1/resolve/main/model.safetensors"
    server.files[file], server.linked[file] = CONTENT, DIGEST
    config = {"pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.95}}
    server.files["/timm/small.a1/resolve/main/config.json"] = json.dumps(config).encode()
    network = nn.Linear(3, 2)
    report = load_weights(network, "hf:timm/small.a1")
    assert report.source == "hf:timm/small.a1"
    assert report.preprocessing == Preprocessing((0.5,) * 3, (0.5,) * 3, (224, 224), 0.95, "bicubic")
    assert (tmp_path / "cache/weights/hf/timm/small.a1/main/model.safetensors").read_bytes() == CONTENT
    gets = [asked for asked in server.asked if asked.startswith("GET") and "safetensors" in asked]
    same(find("timm:small.a1"))
    assert [a for a in server.asked if a.startswith("GET") and "safetensors" in a] == gets


def test_what_is_not_the_promised_file_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    file = "/a/b/resolve/main/model.safetensors"
    server.files[file], server.linked[file] = CONTENT, "0" * 64
    with pytest.raises(WeightsError, match="not the known file"):
        find("hf:a/b")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_a_revision_and_a_file_may_be_asked_for(server: Server) -> None:
    server.files["/a/b/resolve/v2/sub/other.safetensors"] = CONTENT
    same(find("hf:a/b@v2/sub/other.safetensors"))


def test_the_older_kind_of_file_is_taken_where_there_is_no_newer(server: Server) -> None:
    server.files["/a/b/resolve/main/pytorch_model.bin"] = CONTENT
    same(find("hf:a/b"))


def test_torchvisions_files_are_checked_by_the_digits_in_their_names(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(hub.TORCHVISION, "vgg16", f"vgg16-{DIGEST[:8]}")
    server.files[f"/models/vgg16-{DIGEST[:8]}.pth"] = CONTENT
    for source, name in (("torchvision:vgg16", None), ("torchvision", "vgg16")):
        found = find(source, name)
        same(found)
        assert found.preprocessing == Preprocessing()
    server.files["/models/vgg19-dcbb9e9d.pth"] = CONTENT
    with pytest.raises(WeightsError, match="not the known file"):
        find("torchvision:vgg19")


def test_a_file_that_torchvision_fetched_before_is_used(tmp_path: Path) -> None:
    kept = tmp_path / "torch/hub/checkpoints/resnet50-0676ba61.pth"
    kept.parent.mkdir(parents=True)
    torch.save(STATE, kept)
    same(find("torchvision:resnet50.v1"))
    assert find(kept).preprocessing == Preprocessing(), "known by its name"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", Preprocessing(crop=224 / 232)),
        ("resnet50.v1", Preprocessing()),
        ("googlenet", Preprocessing((0.5,) * 3, (0.5,) * 3)),
        ("vgg16", Preprocessing()),
    ],
)
def test_torchvisions_weights_bring_their_preprocessing(
    name: str, expected: Preprocessing, tmp_path: Path
) -> None:
    torch.save(STATE, tmp_path / f"{hub.TORCHVISION[name]}.pth")
    assert find(tmp_path / f"{hub.TORCHVISION[name]}.pth").preprocessing == expected


def test_offline_the_file_and_its_place_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_TORCHVISION_URL", "http://127.0.0.1:1/models")
    with pytest.raises(WeightsError, match="cannot fetch the weights") as caught:
        find("torchvision:vgg16")
    place = tmp_path / "cache/weights/torchvision/vgg16-397923af.pth"
    assert str(place) in str(caught.value)
    place.parent.mkdir(parents=True, exist_ok=True)
    torch.save(STATE, place)
    same(find("torchvision:vgg16"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "where weights come from: expected a file, .*got ''"),
        ("torchvision:vgg61", "try torchvision:vgg1"),
        ("torchvision", "needs the network's name"),
        ("timm:resnet50", "timm:resnet50.a1_in1k"),
        ("hf:nothing", "OWNER/NAME"),
        ("hf:a/../../b", "OWNER/NAME"),
        ("hf:a/b/../../c", "within the repository"),
        ("hf:a/b@../c", "OWNER/NAME"),
    ],
)
def test_what_is_no_source_is_refused(source: str, said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        find(source)


def test_libraries_that_are_there_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(CONTENT)
    asked: list[tuple[str, str, str]] = []

    def download(repository: str, file: str, revision: str) -> str:
        asked.append((repository, file, revision))
        if file != "model.safetensors":
            raise FileNotFoundError(f"404: no {file}")
        return str(tmp_path / file)

    library = ModuleType("huggingface_hub")
    vars(library)["hf_hub_download"] = download
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    timm = ModuleType("timm.models")
    vars(timm)["get_pretrained_cfg"] = lambda name: SimpleNamespace(hf_hub_id=f"timm/{name}.tag")
    monkeypatch.setitem(sys.modules, "timm.models", timm)
    monkeypatch.setitem(sys.modules, "timm", ModuleType("timm"))
    same(find("timm:resnet50"))
    assert asked[0] == ("timm/resnet50.tag", "model.safetensors", "main")
    with pytest.raises(WeightsError, match="404: no other"):
        find("hf:timm/resnet50.tag/other")


def test_networks_beyond_the_table_are_asked_of_torchvision(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/models/odd-12345678.pth"] = CONTENT
    told = SimpleNamespace(
        mean=[0.4] * 3, std=[0.2] * 3, crop_size=[240], resize_size=[256], interpolation=SimpleNamespace()
    )
    told.interpolation.value = "bicubic"
    url = f"{server.url}/models/odd-{DIGEST[:8]}.pth"
    server.files[f"/models/odd-{DIGEST[:8]}.pth"] = CONTENT
    entry = SimpleNamespace(url=url, transforms=lambda: told)
    library = ModuleType("torchvision.models")
    vars(library)["get_model_weights"] = lambda name: SimpleNamespace(DEFAULT=entry)
    monkeypatch.setitem(sys.modules, "torchvision.models", library)
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    expected = Preprocessing((0.4,) * 3, (0.2,) * 3, (240, 240), 240 / 256, "bicubic")
    assert find("torchvision:odd").preprocessing == expected
