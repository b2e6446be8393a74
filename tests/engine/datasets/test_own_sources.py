"""Pictures read from class folders and parquet files."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdcore.datasets import add_dataset, load_dataset
from kdcore.errors import ConfigError, DatasetUnavailable
from tests.engine.datasets.painted_pictures import COLOURS, paint


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
