"""Files of weights: every kind is read, and hostile or damaged ones are refused without being run."""

from __future__ import annotations

import contextlib
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from cnnatomy.models.weights import Preprocessing, WeightsError, load_weights, of_dict, read

STATE = {"fc.weight": torch.arange(6.0).view(2, 3), "fc.bias": torch.ones(2)}


def write(path: Path, kind: str, state: dict[str, Tensor] = STATE) -> Path:
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "torch")
    return path


def same(given: Any) -> None:
    assert given.keys() == STATE.keys()
    assert all(torch.equal(given[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("kind", ["safetensors", "torch", "legacy torch"])
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "weights"])
def test_what_a_file_is_its_bytes_say_and_not_its_name(kind: str, name: str, tmp_path: Path) -> None:
    same(read(write(tmp_path / name, kind)).tensors)


@pytest.mark.parametrize("kind", ["safetensors", "torch", "legacy torch"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9, 0.99])
def test_files_that_are_cut_short_are_refused(kind: str, share: float, tmp_path: Path) -> None:
    path = write(tmp_path / "weights", kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(WeightsError, match="whole"):
        read(path)


class Trap:
    """An object whose unpickling runs code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_never_run(how: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "ran", tmp_path / "weights.pth"
    content = {"fc.weight": torch.zeros(2), "trap": Trap(mark)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(WeightsError):
        read(path)
    assert not mark.exists()


def test_a_whole_network_in_a_file_is_refused_with_what_to_ask_for(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3), tmp_path / "network.pt")
    said = r"more than tensors.*got torch\.nn\.modules\.linear\.Linear; try asking its maker for torch\.save"
    with pytest.raises(WeightsError, match=said):
        read(tmp_path / "network.pt")


@pytest.mark.parametrize(
    "content", [b"", b"x", b"hello, world", b"\x89HDF\r\n\x1a\n" + bytes(64), b"\x80\x02."]
)
def test_files_of_other_kinds_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(content)
    with pytest.raises(WeightsError):
        read(tmp_path / "weights.h5")


def test_a_zip_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "weights.pth", "w") as archive:
        archive.writestr("data/readme.txt", "nothing")
    with pytest.raises(WeightsError, match="whole torch file"):
        read(tmp_path / "weights.pth")


@given(st.data())
def test_damaged_bytes_give_an_error_or_tensors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(["safetensors", "torch", "legacy torch"]))
    path = write(tmp_path_factory.mktemp("weights") / "weights", kind)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(WeightsError):
        assert all(isinstance(tensor, Tensor) for tensor in read(path).tensors.values())


@pytest.mark.parametrize(
    "bad", [{}, [], {"a": 1}, {"state_dict": {"a": 1}}, {1: torch.ones(1)}, "text", None]
)
def test_what_is_no_state_dict_is_refused(bad: Any) -> None:
    with pytest.raises(WeightsError, match="no state dict"):
        of_dict(bad)


def test_a_checkpoint_is_opened_and_it_is_said(tmp_path: Path) -> None:
    torch.save({"epoch": 7, "model_state_dict": STATE, "optimizer": {"lr": 0.1}}, tmp_path / "last.pt")
    found = read(tmp_path / "last.pt")
    same(found.tensors)
    assert found.notes == ("read from its entry 'model_state_dict'",)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.pth does not exist"):
        load_weights(nn.Linear(2, 2), tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="hf:timm/resnet50"):
        load_weights(nn.Linear(2, 2), "timm/resnet50")


@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_a_folder_of_shards_is_put_together(kind: str, tmp_path: Path) -> None:
    stem = "model.safetensors" if kind == "safetensors" else "pytorch_model.bin"
    names = {"fc.weight": f"part-1-{stem}", "fc.bias": f"part-2-{stem}"}
    for name, file in names.items():
        write(tmp_path / file, kind, {name: STATE[name]})
    (tmp_path / f"{stem}.index.json").write_text(json.dumps({"weight_map": names}))
    same(read(tmp_path).tensors)


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "a/b"])
def test_an_index_that_leads_outside_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"fc.bias": name}}))
    with pytest.raises(WeightsError, match="outside its folder"):
        read(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": [1]}', '{"other": {}}'])
def test_a_damaged_index_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(WeightsError, match="damaged"):
        read(tmp_path)


def test_a_folder_with_several_files_does_not_say_which(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", "safetensors")
    same(read(tmp_path).tensors)
    write(tmp_path / "b.safetensors", "safetensors")
    with pytest.raises(WeightsError, match=r"got a\.safetensors, b\.safetensors"):
        read(tmp_path)


def test_files_beside_the_weights_say_how_to_prepare_pictures(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", "safetensors")
    network = nn.ModuleDict({"fc": nn.Linear(3, 2)})
    assert load_weights(network, path).preprocessing is None
    assert not hasattr(network, "preprocessing")
    timm = {"mean": [0.5] * 3, "std": [0.25] * 3, "input_size": [3, 160, 176], "crop_pct": 0.95}
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": timm | {"interpolation": "bicubic"}}))
    report = load_weights(network, path)
    expected = Preprocessing((0.5,) * 3, (0.25,) * 3, (160, 176), 0.95, "bicubic")
    assert report.preprocessing == expected
    assert vars(network)["preprocessing"] == expected
    told = {"image_mean": [0.1] * 3, "image_std": [1] * 3, "size": {"shortest_edge": 256}, "resample": 2}
    told |= {"do_center_crop": True, "crop_size": {"height": 224, "width": 224}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    assert read(tmp_path).preprocessing == Preprocessing(
        (0.1,) * 3, (1.0,) * 3, (224, 224), 0.875, "bilinear"
    )


@pytest.mark.parametrize("text", ["{", '{"image_std": [0, 0, 0]}', '{"size": "large"}', "[]"])
def test_a_preprocessing_that_says_nothing_is_refused(text: str, tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", "safetensors")
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(WeightsError, match="prepare pictures"):
        read(tmp_path)
