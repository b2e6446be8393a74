"""`animal-kinds` shows the pictures of `animals64` by kind, and measures only on those that are not from ImageNet."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from kdcore.datasets import dataset_info, load_dataset


def test_only_pictures_from_elsewhere_measure(data_dir: Path) -> None:
    animals, kinds = load_dataset("animals64"), load_dataset("animal-kinds")
    rows = json.loads((data_dir / "animals64" / "classes.json").read_text(encoding="utf-8"))
    elsewhere = [row["wnid"] is None for row in rows]
    assert set(kinds.class_names) == {row["superclass"] for row in rows if row["wnid"] is None}
    for split in ("validation", "test"):
        before, after = getattr(animals, split), getattr(kinds, split)
        kept = torch.tensor([elsewhere[label] for label in before.hard_labels])
        assert torch.equal(after.images, before.images[kept])
        wanted = [rows[label]["superclass"] for label in before.hard_labels[kept]]
        assert [kinds.class_names[label] for label in after.hard_labels] == wanted


def test_every_training_picture_of_these_kinds_is_there(data_dir: Path) -> None:
    animals, kinds = load_dataset("animals64"), load_dataset("animal-kinds")
    above = [animals.superclasses[label] for label in animals.train.hard_labels]
    wanted = [kind for kind in above if kind in kinds.class_names]
    assert [kinds.class_names[label] for label in kinds.train.hard_labels] == wanted
    info = dataset_info("animal-kinds")
    assert (len(kinds.train), kinds.num_classes) == (info.train_size, info.num_classes)
