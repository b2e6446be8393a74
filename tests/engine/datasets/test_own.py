"""A user's own datasets: added, forgotten, and damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kdcore.datasets import add_dataset, dataset_info, dataset_status, list_datasets, load_dataset, remove_dataset
from kdcore.errors import ConfigError, DatasetUnavailable, UnknownName
from kdcore.settings.config import make_run_config
from kdcore.settings.defaults import defaults_for
from tests.engine.datasets.painted_pictures import COLOURS, paint


def test_a_folder_of_class_folders_becomes_a_dataset(home: Path, tmp_path: Path) -> None:
    for colour in COLOURS:
        paint(tmp_path / "My Colours" / colour, colour, 30)
    (tmp_path / "My Colours" / "red" / "broken.jpg").write_bytes(b"\xff\xd8 not much")
    (tmp_path / "My Colours" / "red" / "notes.txt").write_text("not a picture")
    shutil.copy(tmp_path / "My Colours" / "red" / "red 0.png", tmp_path / "My Colours" / "red" / "twin.png")
    progress: list[tuple[int, int]] = []
    info = add_dataset(tmp_path / "My Colours", progress=lambda done, total: progress.append((done, total)))
    assert (info.name, info.num_classes, info.image_shape) == ("my-colours", 2, (3, 64, 64))
    assert progress[-1] == (62, 62)
    assert "1 file could not be read (red/broken.jpg)" in info.description
    assert "1 file left out that" in info.description  # notes.txt
    dataset = load_dataset("my-colours")
    assert dataset.class_names == ("blue", "red")
    assert len(dataset.train) == info.train_size
    splits = (dataset.train, dataset.validation, dataset.test)
    for split in splits:  # the colour is the class, so a wrong label would be noticed
        means = split.images.float().mean((2, 3))
        assert ((means[:, 0] > means[:, 2]).long() == split.hard_labels).all()
        assert set(split.hard_labels.tolist()) == {0, 1}
    pictures = [{image.numpy().tobytes() for image in split.images} for split in splits]
    assert not (pictures[0] & pictures[1] or pictures[0] & pictures[2] or pictures[1] & pictures[2])
    assert dataset_info("my-colours") in list_datasets()
    shutil.rmtree(tmp_path / "My Colours")  # the dataset does not need the original pictures
    assert load_dataset("my-colours").sha256 == dataset.sha256
    assert make_run_config("my-colours").teacher == defaults_for("my-colours").teacher == "my-colours"


def test_removing_forgets_the_copy_and_leaves_the_pictures(home: Path, tmp_path: Path) -> None:
    for colour in COLOURS:
        paint(tmp_path / "c" / colour, colour, 10)
    add_dataset(tmp_path / "c", "colours")
    remove_dataset("colours")
    assert len(list((tmp_path / "c").rglob("*.png"))) == 20
    assert not list((home / "datasets" / "own").iterdir())
    with pytest.raises(UnknownName):
        load_dataset("colours")
    with pytest.raises(ConfigError, match="not one of your own"):
        remove_dataset("creatures")
    with pytest.raises(ConfigError, match="not one of your own"):
        remove_dataset("../../etc")


def test_a_damaged_copy_says_how_to_add_it_again(home: Path, tmp_path: Path) -> None:
    for colour in COLOURS:
        paint(tmp_path / "c" / colour, colour, 10)
    add_dataset(tmp_path / "c", "colours")
    tensors = home / "datasets" / "own" / "colours.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    with pytest.raises(DatasetUnavailable, match="datasets add"):
        load_dataset("colours")
    tensors.unlink()
    assert not dataset_status("colours").ready
    sheet = home / "datasets" / "own" / "colours.json"
    sheet.write_text(json.dumps({"name": "colours"}))
    assert "colours" not in {info.name for info in list_datasets()}
