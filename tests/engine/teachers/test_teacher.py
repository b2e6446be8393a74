"""Model cards, bundled files, preparation of pictures, calibration."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from kdcore.errors import ModelFileError, UnknownName
from kdcore.machine.tensor_files import file_sha256, save_tensors
from kdcore.pictures.decode import open_picture
from kdcore.teachers.load import load_teacher
from kdcore.teachers.predict import predict
from kdcore.teachers.teacher import load_model, load_single

BUNDLED = Path(__file__).parents[3] / "assets" / "models"


def test_every_photo_gets_107_soft_labels(data_dir: Path) -> None:
    teacher = load_teacher("animals")
    photos = sorted((data_dir / "photos").glob("*.jpg"))
    assert len(photos) == 27
    for photo in photos:
        result = predict(teacher, open_picture(photo.read_bytes(), photo.name), 1.0)
        assert len(result["soft_labels"]) == 107
        assert sum(result["soft_labels"]) == pytest.approx(1.0)
        assert sum(result["superclasses"].values()) == pytest.approx(1.0)


def test_an_unknown_teacher_names_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="digits"):
        load_teacher("imagenet")
    with pytest.raises(UnknownName):  # a student is no teacher
        load_teacher("creatures-baseline")
    assert load_single("creatures-baseline").card.role == "baseline"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for suffix in (".json", ".safetensors"):
        shutil.copy(BUNDLED / f"digits{suffix}", tmp_path)
    return tmp_path / "digits.safetensors"


def test_a_changed_file_is_refused(copy: Path) -> None:
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    with pytest.raises(ModelFileError, match="SHA-256"):
        load_model(copy)


def test_a_pickle_in_safetensors_clothing_is_refused(copy: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, copy)
    card = json.loads(copy.with_suffix(".json").read_text())
    card["sha256"] = file_sha256(copy)
    copy.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelFileError, match="could not be read"):
        load_model(copy)


def test_weights_of_another_shape_are_refused(copy: Path) -> None:
    card = json.loads(copy.with_suffix(".json").read_text())
    card["sha256"] = save_tensors(copy, {"weight": torch.zeros(3)})
    copy.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelFileError, match="does not fit"):
        load_model(copy)


def test_a_damaged_card_is_refused(copy: Path) -> None:
    copy.with_suffix(".json").write_text('{"name": "digits"')
    with pytest.raises(ModelFileError, match="card"):
        load_model(copy)
