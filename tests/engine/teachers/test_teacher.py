"""Model cards, bundled files, preparation of pictures, calibration."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdcore.datasets import load_dataset
from kdcore.errors import ModelFileError, UnknownName
from kdcore.machine.tensor_files import file_sha256, save_tensors
from kdcore.pictures.decode import open_picture
from kdcore.pictures.prepare import prepare_picture
from kdcore.teachers.building.figures import fit_calibration
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


def test_calibration_finds_the_factor_that_was_put_in() -> None:
    """The labels are drawn from softmax(z), so the best factor on z / 3 is 3."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (p.cumsum(1) > rng.random((20_000, 1))).argmax(1)
    factor = fit_calibration(torch.from_numpy(logits / 3).float(), torch.from_numpy(labels))
    assert factor == pytest.approx(3.0, rel=0.04)


def test_preparation_takes_the_middle_square() -> None:
    picture = Image.new("RGB", (300, 100), "red")
    picture.paste("blue", (100, 0, 200, 100))
    pixels = prepare_picture(picture, (3, 32, 32))
    assert pixels.shape == (1, 3, 32, 32)
    assert pixels.dtype == torch.uint8
    assert (pixels[0, 2] > 250).all()
    assert (pixels[0, 0, :, 1:-1] < 5).all()


def test_dark_strokes_on_paper_become_bright_on_dark() -> None:
    paper = Image.new("RGB", (80, 80), "white")
    paper.paste("black", (30, 10, 50, 70))
    dark = Image.new("RGB", (80, 80), "black")
    dark.paste("white", (30, 10, 50, 70))
    assert torch.equal(prepare_picture(paper, (1, 8, 8)), prepare_picture(dark, (1, 8, 8)))


def test_a_picture_survives_its_way_through_a_file() -> None:
    """A digit of 8x8 pixels that is saved as PNG and read again is unchanged."""
    digit = load_dataset("digits").test.images[0, 0]
    buffer = io.BytesIO()
    Image.fromarray(digit.numpy()).save(buffer, "PNG")
    again = prepare_picture(Image.open(buffer), (1, 8, 8))
    assert torch.equal(again[0, 0], digit)
