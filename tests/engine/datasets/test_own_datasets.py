"""A user's own datasets: made from class folders and parquet files, or refused with one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdcore.datasets import add_dataset, dataset_info, dataset_status, list_datasets, load_dataset, remove_dataset
from kdcore.errors import ConfigError, DatasetUnavailable, UnknownName
from kdcore.settings.config import make_run_config
from kdcore.settings.defaults import defaults_for

COLOURS = {"red": (200, 30, 30), "blue": (30, 30, 200)}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def paint(folder: Path, colour: str, count: int, size: tuple[int, int] = (80, 70), seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, len(colour)])
    for number in range(count):
        noise = rng.integers(-20, 20, (size[1], size[0], 3))
        pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{colour} {number}.png")


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


def test_a_test_folder_is_used_as_it_is(home: Path, tmp_path: Path) -> None:
    for colour in COLOURS:
        paint(tmp_path / "c" / "train" / colour, colour, 12, size=(32, 32))
        paint(tmp_path / "c" / "test" / colour, colour, 7, size=(32, 32), seed=1)
    add_dataset(tmp_path / "c", "colours", size=32)
    dataset = load_dataset("colours")
    assert len(dataset.test) == 14
    assert len(dataset.train) + len(dataset.validation) == 24


def test_a_parquet_file_becomes_a_dataset(home: Path, data_dir: Path) -> None:
    info = add_dataset(data_dir / "cifar10" / "test.parquet", "small-photos", size=32)
    dataset = load_dataset("small-photos")
    assert info.num_classes == 10
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 10_000
    assert dataset.test.hard_labels.bincount().tolist() == [100] * 10


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


def test_what_cannot_be_a_dataset_is_one_sentence(home: Path, tmp_path: Path) -> None:
    paint(tmp_path / "one" / "red", "red", 10)
    for colour in COLOURS:
        paint(tmp_path / "few" / colour, colour, 3)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    (tmp_path / "file.txt").write_text("no pictures")
    for path, name, words in (
        (tmp_path / "one", "a", "two class folders"),
        (tmp_path / "few", "a", "at least 5"),
        (tmp_path / "file.txt", "a", "neither"),
        (tmp_path / "missing", "a", "neither"),
        (tmp_path / "few", "../x", "no name"),
        (tmp_path / "few", "cifar10", "comes with"),
    ):
        with pytest.raises(ConfigError, match=words):
            add_dataset(path, name)
    with pytest.raises(DatasetUnavailable, match="parquet"):
        add_dataset(tmp_path / "bad.parquet")
    assert not (home / "datasets").exists()


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
