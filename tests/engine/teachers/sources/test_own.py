"""Teachers of a user: a file that fits is added, any other is refused with one sentence, and no code in it runs."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from kdcore.cli.main import main
from kdcore.errors import ConfigError, KdError, ModelFileError, TeacherUnavailable, UnknownName
from kdcore.networks.registry import build_model, count_macs, count_params
from kdcore.pictures.views import to_float
from kdcore.teachers.card import list_teachers
from kdcore.teachers.load import load_teacher
from kdcore.teachers.sources.own import add_teacher, remove_teacher
from kdcore.teachers.sources.timm import add_timm

SHAPE = (3, 32, 32)
CLASSES = ["oak", "elm", "ash"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write(folder: Path, model: str = "mlp-8", name: str = "leaves", **card: Any) -> Path:
    """A weights file with a short model card beside it."""
    path = folder / f"{name}.safetensors"
    save_file(build_model(model, SHAPE, len(CLASSES), seed=3).state_dict(), path)
    short = {"model": model, "class_names": CLASSES, "image_shape": SHAPE}
    path.with_suffix(".json").write_text(json.dumps({**short, **card}), encoding="utf-8")
    return path


def nothing_was_kept(home: Path) -> bool:
    return not list((home / "models").iterdir()) if (home / "models").exists() else True


@pytest.mark.parametrize("model", ["mlp-8", "convnet-4", "torchvision:squeezenet1_1"])
def test_a_network_with_a_card_is_a_teacher_of_this_machine(home: Path, tmp_path: Path, model: str) -> None:
    path = write(tmp_path, model, calibration=2.0, notes="Leaves of 2026.", dataset="my leaves")
    card = add_teacher(path)
    assert card in list_teachers()
    network = build_model(model, SHAPE, 3, seed=3).eval()
    assert (card.name, card.role, card.accuracy) == ("leaves", "teacher", None)
    assert (card.num_params, card.macs) == (count_params(network), count_macs(network, SHAPE))
    assert (home / "models" / "leaves.safetensors").read_bytes() == path.read_bytes()
    pixels = torch.randint(0, 256, (4, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        wanted = network(to_float(pixels)) * 2
    teacher = load_teacher("leaves")
    assert torch.allclose(teacher.logits(pixels), wanted, atol=0.02 * float(wanted.abs().max()) + 1e-3)  # bf16
    path.unlink()
    load_teacher("leaves")  # from the copy
    remove_teacher("leaves")
    assert nothing_was_kept(home)


def test_weights_saved_by_torchvision_fit_as_they_are(home: Path, tmp_path: Path) -> None:
    from kdcore.machine.torchvision_import import build_classifier

    path = write(tmp_path, "torchvision:squeezenet1_1")
    save_file(build_classifier("squeezenet1_1", num_classes=3).state_dict(), path)
    assert add_teacher(path, "tree-leaves_2").name == "tree-leaves_2"


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".PTH", ".pth.tar", ".npz"])
def test_whatever_may_hold_code_is_refused_and_the_sentence_converts_it(
    home: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(b"\x80\x04N.")
    assert main(["teachers", "add", str(path)]) == 2
    error = capsys.readouterr().err
    assert "safetensors.torch.save_file(model.state_dict(), " in error
    assert error.count("\n") == 1
    assert nothing_was_kept(home)


ODD_NAMES = ("../up", "a/b", "..", "A", "a+b", "a@4", "two words", "-a", "x" * 41, "ä", "a\nb", "a.b")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_that_is_none_is_refused(home: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no name for a teacher"):
        add_teacher(write(tmp_path), name)
    with pytest.raises(KdError):
        add_teacher(write_named(tmp_path, name))
    assert nothing_was_kept(home)


def write_named(folder: Path, name: str) -> Path:
    path = write(folder)
    data = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    path.with_suffix(".json").write_text(json.dumps({**data, "name": name}), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["animals", "creatures-distilled", "resnet50"])
def test_a_name_that_is_taken_is_refused(home: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="--name"):
        add_teacher(write_named(tmp_path, name))
    add_teacher(write(tmp_path))
    with pytest.raises(ConfigError, match="already"):
        add_teacher(write(tmp_path))
    assert len(list((home / "models").iterdir())) == 2


def test_only_what_was_added_is_removed(home: Path, tmp_path: Path) -> None:
    add_teacher(write(tmp_path))
    for name, error in (("animals", ConfigError), ("nobody", UnknownName), ("../leaves", UnknownName)):
        with pytest.raises(error, match="leaves"):
            remove_teacher(name)
    assert load_teacher("leaves")


DEEP: Any = 0
for _step in range(40):
    DEEP = {"a": DEEP}

HOSTILE_CARDS: dict[str, dict[str, Any]] = {
    "another network": {"model": "mlp-9"},
    "no network": {"model": "../mlp-8"},
    "a huge network": {"model": "mlp-4096-4096-4096-4096-4096-4096-4096-4096"},
    "a huge network of a library": {"model": "torchvision:vit_h_14", "image_shape": [3, 518, 518]},
    "an unknown network of a library": {"model": "torchvision:../resnet18"},
    "fewer classes": {"class_names": ["oak", "elm"]},
    "the same class twice": {"class_names": ["oak", "elm", "oak"]},
    "a class that is no text": {"class_names": ["oak", "elm", 3]},
    "a class with a control character": {"class_names": ["oak", "elm", "a\u202eb"]},
    "half a character": {"figures": {"a": "\ud800"}},
    "a long name": {"class_names": ["oak", "elm", "a" * 1000]},
    "superclasses of another number": {"superclasses": ["tree"]},
    "a huge picture": {"image_shape": [3, 100_000, 100_000]},
    "a picture of no size": {"image_shape": [3, 0, 32]},
    "a picture that is no list": {"image_shape": "3x32x32"},
    "five channels": {"image_shape": [5, 32, 32]},
    "a true size": {"image_shape": [3, True, 32]},
    "calibration 0": {"calibration": 0},
    "calibration as text": {"calibration": "1"},
    "accuracy above 1": {"accuracy": 97.5},
    "crop 0": {"crop": 0},
    "resize below the picture": {"resize": 16},
    "a huge resize": {"resize": 10**9},
    "an unknown interpolation": {"interpolation": "nearest"},
    "figures that are a list": {"figures": []},
    "notes without end": {"notes": "a" * 5000},
    "depth": {"recipe": DEEP},
    "another file's hash": {"sha256": "0" * 64},
}


@pytest.mark.parametrize("what", HOSTILE_CARDS)
def test_a_card_that_lies_is_refused_in_one_sentence(home: Path, tmp_path: Path, what: str) -> None:
    path = write(tmp_path, **{key: value for key, value in HOSTILE_CARDS[what].items() if key != "model"})
    data = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    path.with_suffix(".json").write_text(json.dumps({**data, **HOSTILE_CARDS[what]}), encoding="utf-8")
    with pytest.raises(ModelFileError) as refusal:
        add_teacher(path)
    assert len(str(refusal.value)) < 500
    assert nothing_was_kept(home)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"a": NaN}', '{"a": 1e999}', "[" * 100_000, '{"a": ' * 100_000, "\ufeff{}", "1" * 9_999],
)
def test_a_card_that_is_none_is_refused_in_one_sentence(home: Path, tmp_path: Path, text: str) -> None:
    path = write(tmp_path)
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelFileError, match="model card"):
        add_teacher(path)
    path.with_suffix(".json").write_bytes(b'{"a": "' + b"a" * 5_000_000 + b'"}')
    with pytest.raises(ModelFileError, match="larger than 4 MB"):
        add_teacher(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelFileError, match="image_shape"):
        add_teacher(path)
    assert nothing_was_kept(home)


def header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


HOSTILE_WEIGHTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "noise": lambda data: bytes(range(256)) * 9,
    "cut off": lambda data: data[:-100],
    "longer": lambda data: data + b"x",
    "a header without end": lambda data: header(b"{}", 2**63),
    "a header of another kind": lambda data: header(b"[]"),
    "no tensors": lambda data: header(b"{}"),
    "tensors beyond the file": lambda data: header(
        json.dumps({"1.weight": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}}).encode()
    ),
}


@pytest.mark.parametrize("what", HOSTILE_WEIGHTS)
def test_weights_that_lie_are_refused_in_one_sentence(home: Path, tmp_path: Path, what: str) -> None:
    path = write(tmp_path)
    path.write_bytes(HOSTILE_WEIGHTS[what](path.read_bytes()))
    with pytest.raises(ModelFileError):
        add_teacher(path)
    assert nothing_was_kept(home)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_weights_that_give_no_answer_are_refused(home: Path, tmp_path: Path, value: float) -> None:
    path = write(tmp_path)
    tensors = build_model("mlp-8", SHAPE, 3, seed=3).state_dict()
    save_file({name: torch.full_like(tensor, value) for name, tensor in tensors.items()}, path)
    with pytest.raises(ModelFileError, match="finite"):
        add_teacher(path)
    assert nothing_was_kept(home)


def test_a_file_that_is_not_there_or_too_large_is_one_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path, tmp_path / "a.onnx"):
        with pytest.raises(ConfigError):
            add_teacher(path)
    monkeypatch.setattr("kdcore.teachers.sources.own.MAX_FILE_BYTES", 1000)
    with pytest.raises(ModelFileError, match="larger"):
        add_teacher(write(tmp_path))


# --- timm, which is optional: a stand-in has the few functions that are used


class Little(torch.nn.Module):
    """A network as timm builds it, with its preprocessing as an attribute."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(3, classes)
        self.pretrained_cfg = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.5)}

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.fc(pictures.mean((2, 3)))
        return answer


class StandIn:
    """Stands in for the module timm and records how pretrained weights were requested."""

    __version__ = "0"

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.trained, self.online, self.hub_id = Little(5), True, "timm/little"

    def is_model(self, name: str) -> bool:
        return name == "little.v1"

    def list_models(self, pattern: str) -> list[str]:
        return ["little.v1"]

    def get_pretrained_cfg(self, name: str) -> SimpleNamespace:
        facts = {"input_size": (3, 64, 64), "crop_pct": 0.875, "interpolation": "bicubic", "num_classes": 5}
        return SimpleNamespace(hf_hub_id=self.hub_id, **facts)

    def create_model(self, name: str, pretrained: bool, num_classes: int = 5, **options: Any) -> Little:
        if not pretrained:
            return Little(num_classes)
        self.requests.append(options["pretrained_cfg_overlay"])
        if not self.online:
            raise OSError("cannot find the requested files.\nmore")
        return self.trained


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "timm", stand_in)
    return stand_in


def test_a_network_of_timm_comes_as_safetensors_only(home: Path, timm: StandIn) -> None:
    card = add_timm("little.v1")
    (request,) = timm.requests
    assert request["hf_hub_filename"] == "model.safetensors"
    assert not request["url"]
    assert not request["file"]
    assert (card.name, card.model, card.resize, card.interpolation) == ("little-v1", "timm:little.v1", 73, "bicubic")
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))
    mean, std = (torch.tensor(timm.trained.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        wanted = timm.trained((pixels / 255 - mean) / std)
    assert torch.allclose(load_teacher("little-v1").logits(pixels), wanted, atol=0.02)


def test_what_timm_cannot_give_is_one_sentence(home: Path, timm: StandIn) -> None:
    with pytest.raises(UnknownName, match=r"little\.v1"):
        add_timm("nobody")
    with pytest.raises(ConfigError, match="no name"):
        add_timm("little.v1", "../x")
    timm.online = False
    with pytest.raises(TeacherUnavailable, match=r"cannot find the requested files\.$"):
        add_timm("little.v1")
    timm.hub_id = ""
    with pytest.raises(ConfigError, match="safetensors"):
        add_timm("little.v1")
    assert nothing_was_kept(home)
