"""Folders of pictures: which files count, which folders are splits, and what is said about the others."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from pathlib import Path

import pytest

from kdcore.datasets import add_dataset, load_dataset
from kdcore.errors import ConfigError
from kdcore.pictures.decode import OPENS_AVIF
from tests.engine.datasets.sources import fill, picture


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def total(name: str) -> int:
    dataset = load_dataset(name)
    return len(dataset.train) + len(dataset.validation) + len(dataset.test)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("Train", "VAL", "Test"),
        ("training", "dev", "testing"),
        ("train", "valid", "TEST"),
        ("TRAINING", "Validation", "test"),
        ("train", "val", "eval"),
        ("training_set", "validation_set", "test_set"),
        ("seg_train/seg_train", "seg_val/seg_val", "seg_test/seg_test"),
    ],
)
def test_split_folders_of_any_spelling_are_splits(tmp_path: Path, train: str, validation: str, test: str) -> None:
    for split, count, first in ((train, 10, 0), (validation, 3, 500), (test, 4, 900)):
        for place, name in enumerate(("oak", "elm")):
            fill(tmp_path / "trees" / split / name, count, first + 100 * place)
    add_dataset(tmp_path / "trees")
    dataset = load_dataset("trees")
    assert dataset.class_names == ("elm", "oak")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [20, 6, 8]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for place, name in enumerate(("bus", "train", "tram")):
        fill(tmp_path / "d" / name, 6, 100 * place)
    assert add_dataset(tmp_path / "d", "vehicles").num_classes == 3
    assert load_dataset("vehicles").class_names == ("bus", "train", "tram")


def test_unclear_split_folders_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "flat" / "train", 10, 0)
    fill(tmp_path / "flat" / "test", 10, 50)
    fill(tmp_path / "none" / "val" / "a", 10, 0)
    fill(tmp_path / "none" / "test" / "a", 10, 50)
    for split in ("train", "Training"):
        fill(tmp_path / "twice" / split / "a", 6, 0)
    for name, words in (("flat", "train/CLASS"), ("none", "train/CLASS"), ("twice", "one split")):
        with pytest.raises(ConfigError, match=words):
            add_dataset(tmp_path / name)


def test_folders_that_are_neither_classes_nor_splits_are_said_or_refused(tmp_path: Path) -> None:
    for place, name in enumerate(("train/oak", "train/elm", "more/oak")):
        fill(tmp_path / "more" / name, 6, 100 * place)
    fill(tmp_path / "more" / "test", 3, 900)
    said = add_dataset(tmp_path / "more").description
    assert "Folders beside those of the splits left out (more, test)." in said
    for place, name in enumerate(("oak", "elm", "test/oak", "test/elm")):
        fill(tmp_path / "mixed" / name, 6, 100 * place)
    with pytest.raises(ConfigError, match="elm, oak, test"):
        add_dataset(tmp_path / "mixed")


@pytest.mark.skipif(not OPENS_AVIF, reason="this Pillow was built without libavif")
def test_avif_pictures_in_a_folder_are_pictures(tmp_path: Path) -> None:
    for place, name in enumerate("ab"):
        (tmp_path / "d" / name).mkdir(parents=True)
        for number in range(6):
            picture(100 * place + number).save(tmp_path / "d" / name / f"{number}.avif", "AVIF")
    add_dataset(tmp_path / "d", "modern")
    assert total("modern") == 12


def test_a_test_split_with_other_classes_is_said(tmp_path: Path) -> None:
    for place, name in enumerate(("cat", "dog", "fox")):
        fill(tmp_path / "d" / "train" / name, 10, 100 * place)
    for place, name in enumerate(("cat", "dog", "zebra")):
        fill(tmp_path / "d" / "test" / name, 4, 1000 + 100 * place)
    said = add_dataset(tmp_path / "d", "lacking").description
    assert "no test pictures of fox" in said
    assert "zebra is no class of the train pictures, so 4 pictures" in said
    assert load_dataset("lacking").test.hard_labels.bincount().tolist() == [4, 4, 1]


def test_bytes_decide_what_is_a_picture_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    for place, name in enumerate("ab"):
        folder = tmp_path / "d" / name
        fill(folder, 6, 100 * place)
        picture(50 + place).save(folder / "a.jfif", "JPEG")
        picture(60 + place).save(folder / "no suffix", "PNG")
        picture(70 + place).save(folder / "old.ppm")
        (folder / "lies.png").write_text("this is no picture")
        for deep in (folder / ".ipynb_checkpoints", folder / "more" / "@eaDir", folder / "more" / "__MACOSX"):
            fill(deep, 2, 800 + place)
        fill(folder / "more", 1, 300 + place)
    said = add_dataset(tmp_path / "d", "kinds").description
    assert total("kinds") == 2 * (6 + 2 + 1)
    assert "4 files left out that are not PNG" in said
    assert "2 .ppm" in said
    assert "6 hidden files or folders left out" in said


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", 6, 0)
    fill(tmp_path / "d" / "b", 6, 100)
    fill(tmp_path / "d" / "c", 6, 200)
    (tmp_path / "d" / "b" / "again").symlink_to(tmp_path / "d" / "b")
    (tmp_path / "d" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "d" / "c" / "lost.png").symlink_to(tmp_path / "gone.png")
    os.mkfifo(tmp_path / "d" / "c" / "pipe.png")
    assert add_dataset(tmp_path / "d", "links").num_classes == 3
    assert total("links") == 18


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
def test_names_that_are_no_utf8_are_shown_with_a_replacement(tmp_path: Path, home: Path) -> None:
    fill(tmp_path / "d" / "a", 6, 0)
    folder = os.fsencode(tmp_path / "d" / "b")
    fill(tmp_path / "d" / "b", 6, 100)
    Path(os.fsdecode(folder)).rename(os.fsdecode(folder[:-1] + b"caf\xe9"))
    (tmp_path / "d" / "a" / "0.png").rename(os.fsdecode(os.fsencode(tmp_path / "d" / "a") + b"/\xff.png"))
    add_dataset(tmp_path / "d", "latin")
    assert load_dataset("latin").class_names == ("a", "caf\N{REPLACEMENT CHARACTER}")
    bad_root = os.fsdecode(os.fsencode(tmp_path) + b"/r\xe9")
    shutil.copytree(tmp_path / "d", bad_root)
    add_dataset(Path(bad_root), "root")
    assert total("root") == 12


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS makes the two spellings one folder")
def test_two_spellings_of_one_name_are_refused_in_a_split_and_matched_across_splits(tmp_path: Path) -> None:
    nfc, nfd = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    for place, name in enumerate((nfc, "tea")):
        fill(tmp_path / "d" / "train" / name, 8, 100 * place)
    for place, name in enumerate((nfd, "tea")):
        fill(tmp_path / "d" / "test" / name, 3, 1000 + 100 * place)
    add_dataset(tmp_path / "d", "drinks")
    assert load_dataset("drinks").class_names == (nfc, "tea")
    assert load_dataset("drinks").test.hard_labels.bincount().tolist() == [3, 3]
    fill(tmp_path / "d" / "train" / nfd, 8, 500)
    with pytest.raises(ConfigError, match="café"):
        add_dataset(tmp_path / "d", "drinks")


def test_a_name_that_nobody_typed_replaces_nothing(tmp_path: Path) -> None:
    for place, parent in enumerate(("one", "two")):
        for name in ("a", "b"):
            fill(tmp_path / parent / "data" / name, 6 + place, 1000 * place + 100 * ord(name))
            fill(tmp_path / parent / "mnist" / name, 6, 1000 * place + 100 * ord(name))
    first, second = add_dataset(tmp_path / "one" / "data"), add_dataset(tmp_path / "two" / "data")
    assert (first.name, second.name) == ("data", "data-2")
    assert "is taken" not in first.description
    assert 'The name "data" is taken, so this dataset is called "data-2".' in second.description
    assert add_dataset(tmp_path / "one" / "data").name == "data"  # the same folder again
    assert add_dataset(tmp_path / "one" / "mnist").name == "mnist-2"
    assert (total("data"), total("data-2")) == (12, 14)
    assert add_dataset(tmp_path / "two" / "data", "data").name == "data"  # typed
    assert total("data") == 14
