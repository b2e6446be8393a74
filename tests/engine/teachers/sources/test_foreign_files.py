"""Weights and cards as other tools write them: with their normalisation, their prefixes and their byte-order marks."""

from __future__ import annotations

import json
from glob import glob
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kdcore.errors import ConfigError, ModelFileError
from kdcore.machine.torchvision_import import build_classifier, classifier_weights, transforms
from kdcore.networks.registry import build_model
from kdcore.teachers.card import ModelCard, Normalisation, own_model_folder
from kdcore.teachers.load import load_teacher
from kdcore.teachers.sources.own import add_teacher

SHAPE = (3, 32, 32)
CLASSES = ["fern", "moss", "reed"]
MEAN, STD = [0.5, 0.25, 0.75], [0.25, 0.5, 0.125]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write(folder: Path, tensors: dict[str, Tensor], model: str = "convnet-4", **card: Any) -> Path:
    path = folder / "plants.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    data = {"model": model, "class_names": CLASSES, "image_shape": SHAPE, **card}
    path.with_suffix(".json").write_text(json.dumps(data), encoding="utf-8")
    return path


def pictures(channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (6, channels, 32, 32), dtype=torch.uint8, generator=generator)


def state(model: str = "convnet-4") -> dict[str, Tensor]:
    return build_model(model, SHAPE, 3, seed=1).state_dict()


def agree(logits: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(logits, wanted, atol=0.03 * float(wanted.abs().max()))  # in bf16 where the processor has it


@pytest.mark.parametrize(
    "card", [{"mean": MEAN, "std": STD}, {"normalisation": {"mean": MEAN, "std": STD}}], ids=["beside", "inside"]
)
def test_the_mean_and_std_of_a_card_scale_the_pixels(tmp_path: Path, card: dict[str, Any]) -> None:
    """The reference scales the pixels by the definition, and gives them to the network itself."""
    added = add_teacher(write(tmp_path, state(), **card))
    assert added.normalisation == Normalisation(tuple(MEAN), tuple(STD))
    network = build_model("convnet-4", SHAPE, 3, seed=1).eval()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    with torch.inference_mode():
        wanted = network((pictures() / 255 - mean) / std)
        unscaled = network(pictures() / 127.5 - 1)
    assert agree(load_teacher("plants").logits(pictures()), wanted)
    assert not agree(unscaled, wanted)
    assert ModelCard.read(own_model_folder() / "plants.json") == added


def test_a_network_of_torchvision_scales_as_torchvision_does(tmp_path: Path) -> None:
    """Once with the preset that the library has for it, and once with a card's own numbers instead."""
    preset = classifier_weights("squeezenet1_1", "DEFAULT").transforms()
    torch.manual_seed(3)
    network = build_classifier("squeezenet1_1", num_classes=3).eval()
    path = write(tmp_path, network.state_dict(), "torchvision:squeezenet1_1")
    for name, card, mean, std in (
        ("preset", {}, preset.mean, preset.std),
        ("numbers", {"mean": MEAN, "std": STD}, MEAN, STD),
    ):
        add_teacher(write(tmp_path, load_file(path), "torchvision:squeezenet1_1", **card), name)
        with torch.inference_mode():
            wanted = network(transforms.normalize(pictures() / 255, mean, std))
        assert agree(load_teacher(name).logits(pictures()), wanted)


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"mean": MEAN}, "only one"),
        ({"mean": MEAN, "std": STD, "normalisation": {"mean": MEAN, "std": STD}}, "twice"),
        ({"mean": [0.5], "std": [0.5]}, "3 channels"),
        ({"mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4]}, "pixel values of 0 to 1"),
        ({"mean": MEAN, "std": [0.5, 0.0, 0.5]}, "std"),
        ({"mean": MEAN, "std": [0.5, True, 0.5]}, "std"),
        ({"normalisation": {"mean": MEAN, "sdt": STD}}, '"std"'),
        ({"class_name": CLASSES}, '"class_names"'),
        ({"Interpolation": "bicubic"}, '"interpolation"'),
        ({"a\u202eb": 1}, "u202e"),
        ({"class_names": ["fern", "caf\u00e9", "cafe\u0301"]}, "differ"),
    ],
)
def test_what_a_card_says_is_used_or_refused(tmp_path: Path, card: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelFileError, match=words) as refusal:
        add_teacher(write(tmp_path, state(), **card))
    assert str(refusal.value).count("\n") == 0


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "model.net."])
def test_a_prefix_that_all_names_share_makes_no_difference(tmp_path: Path, prefix: str) -> None:
    add_teacher(write(tmp_path, state()), "plain")
    add_teacher(write(tmp_path, {prefix + name: value for name, value in state().items()}), "prefixed")
    assert torch.equal(load_teacher("plain").logits(pictures()), load_teacher("prefixed").logits(pictures()))


def test_parts_that_were_compiled_make_no_difference(tmp_path: Path) -> None:
    parts = {name.replace("0.", "0._orig_mod.", 1): value for name, value in state().items()}
    assert set(parts) != set(state())
    add_teacher(write(tmp_path, state()), "plain")
    add_teacher(write(tmp_path, parts), "compiled")
    assert torch.equal(load_teacher("plain").logits(pictures()), load_teacher("compiled").logits(pictures()))


def test_counters_of_batch_norm_may_be_missing_and_nothing_else(tmp_path: Path) -> None:
    without = {name: value for name, value in state().items() if "num_batches_tracked" not in name}
    assert len(without) < len(state())
    add_teacher(write(tmp_path, state()), "plain")
    add_teacher(write(tmp_path, without), "old")
    assert torch.equal(load_teacher("plain").logits(pictures()), load_teacher("old").logits(pictures()))
    lost = next(name for name in without if name.endswith("running_mean"))
    with pytest.raises(ModelFileError, match=f"lacks {lost}"):
        add_teacher(write(tmp_path, {f"module.{name}": value for name, value in without.items() if name != lost}))
    with pytest.raises(ModelFileError, match="unknown extra"):
        add_teacher(write(tmp_path, {**without, "extra": torch.zeros(1)}))


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.float8_e5m2])
def test_real_numbers_of_any_precision_are_taken(tmp_path: Path, kind: torch.dtype) -> None:
    given = {name: value.to(kind) if value.is_floating_point() else value for name, value in state().items()}
    add_teacher(write(tmp_path, given))
    network = build_model("convnet-4", SHAPE, 3).eval()
    network.load_state_dict({name: value.float() for name, value in given.items()})
    with torch.inference_mode():
        assert agree(load_teacher("plants").logits(pictures()), network(pictures() / 127.5 - 1))


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.complex64])
def test_weights_that_are_no_real_numbers_are_refused(tmp_path: Path, kind: torch.dtype) -> None:
    given = {name: (100 * value).to(kind) for name, value in state().items()}
    with pytest.raises(ModelFileError, match="floating-point"):
        add_teacher(write(tmp_path, given))


def test_numbers_beyond_float32_are_refused(tmp_path: Path) -> None:
    given = {name: value.double() for name, value in state().items()}
    given[next(iter(given))] *= 1e300
    with pytest.raises(ModelFileError, match="infinite"):
        add_teacher(write(tmp_path, given))


def test_averaged_weights_are_taken_with_the_count_beside_them(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(build_model("convnet-4", SHAPE, 3, seed=1))
    assert "n_averaged" in averaged.state_dict()
    add_teacher(write(tmp_path, averaged.state_dict()))
    add_teacher(write(tmp_path, state()), "plain")
    assert torch.equal(load_teacher("plants").logits(pictures()), load_teacher("plain").logits(pictures()))


def test_classifiers_that_only_help_in_training_may_be_missing(tmp_path: Path) -> None:
    """torchvision drops them from GoogLeNet when it loads its published weights."""
    given = build_model("torchvision:googlenet", SHAPE, 3, seed=4).state_dict()
    lean = {name: value for name, value in given.items() if not name.startswith("aux")}
    assert len(lean) < len(given)
    add_teacher(write(tmp_path, given, "torchvision:googlenet"), "whole")
    add_teacher(write(tmp_path, lean, "torchvision:googlenet"), "lean")
    assert torch.equal(load_teacher("lean").logits(pictures()), load_teacher("whole").logits(pictures()))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_card_is_read_however_its_editor_wrote_it(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, state(), notes="Größe")
    card = path.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()), ensure_ascii=False), encoding=encoding)
    assert add_teacher(path).notes == "Größe"
    kept = own_model_folder() / "plants.json"
    kept.write_text(kept.read_text(encoding="utf-8"), encoding=encoding)  # edited by hand afterwards
    assert load_teacher("plants").card.notes == "Größe"


def test_a_network_in_parts_is_refused_with_the_line_that_joins_them(tmp_path: Path) -> None:
    path = write(tmp_path, state())
    tensors = list(load_file(path).items())
    for number, part in enumerate((tensors[:3], tensors[3:]), 1):
        save_file(dict(part), tmp_path / f"fern-{number:05d}-of-00002.safetensors")
    index = tmp_path / "fern.safetensors.index.json"
    index.write_text("{}")
    named = (index, tmp_path / "fern-00001-of-00002.safetensors", tmp_path / "fern.safetensors")
    for one in named:
        with pytest.raises(ConfigError, match="saved in parts") as refusal:
            add_teacher(one)
    line = str(refusal.value).split("add that: ")[1].rstrip(".").replace('"fern', f'"{tmp_path}/fern')
    exec(line, {"save_file": save_file, "load_file": load_file, "glob": glob})
    path.with_suffix(".json").rename(tmp_path / "fern.json")
    assert add_teacher(tmp_path / "fern.safetensors").name == "fern"
