"""Datasets by name, and the sentence that says where to get missing ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from kdcore.datasets import DATASETS, creatures, dataset_status, load_dataset
from kdcore.datasets.base import hash_splits
from kdcore.errors import DatasetUnavailable, UnknownName


def test_digits_are_scikit_learns_each_once() -> None:
    dataset, bunch = load_dataset("digits"), load_digits()
    splits = (dataset.train, dataset.validation, dataset.test)
    assert [len(split) for split in splits] == [1077, 360, 360]
    ours = torch.cat([split.images for split in splits])[:, 0].numpy()
    levels = np.rint(ours / 255 * 16)
    labelled = sorted((*row.flatten(), label) for row, label in zip(bunch.images, bunch.target, strict=True))
    labels = torch.cat([split.hard_labels for split in splits]).numpy()
    assert sorted((*row.flatten(), label) for row, label in zip(levels, labels, strict=True)) == labelled


def test_the_drawn_dataset_is_kept_on_disk_as_it_was_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    first, again = load_dataset("creatures"), load_dataset("creatures")
    (cache_file,) = (tmp_path / "datasets").iterdir()
    assert hash_splits(again.train, again.validation, again.test) == first.sha256 == again.sha256
    assert torch.equal(first.test.posterior, again.test.posterior)
    fresh = creatures.draw_pictures(len(first.test), seed=1_000_003)
    assert torch.equal(again.test.images, fresh.images)
    cache_file.write_bytes(b"half a file")
    assert load_dataset("creatures").sha256 == first.sha256


def test_the_ceiling_is_the_share_that_the_posterior_has_right() -> None:
    dataset = load_dataset("creatures")
    right = dataset.test.posterior.numpy().argmax(1) == dataset.test.hard_labels.numpy()
    assert dataset.bayes_accuracy == pytest.approx(right.mean())
    assert load_dataset("digits").bayes_accuracy is None


def test_without_data_the_sentence_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    monkeypatch.delenv("KDCORE_DATA", raising=False)
    status = dataset_status("animals64")
    assert not status.ready
    assert str(tmp_path) in status.needs
    with pytest.raises(DatasetUnavailable, match="KDCORE_DATA"):
        load_dataset("animals64")
    assert all(dataset_status(name).ready for name, info in DATASETS.items() if info.embedded)


def test_unknown_datasets_are_refused() -> None:
    for ask in (load_dataset, dataset_status):
        with pytest.raises(UnknownName, match="creatures"):
            ask("imagenet")
