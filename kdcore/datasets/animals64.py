"""`animals64`: 107 kinds of animals at 64x64, from parquet files in the data directory."""

from __future__ import annotations

import json
from pathlib import Path

from kdcore.datasets.base import Dataset, Split
from kdcore.datasets.parquet import read_parquet
from kdcore.datasets.splits import check_labels, split_published
from kdcore.errors import DatasetUnavailable

NAME = "animals64"
FILES = ("train.parquet", "test.parquet", "classes.json")
VALIDATION_SHARE = 0.08
FIRST_SMALL_LABEL = 59  # from here on the pictures are not ImageNet's


def load(folder: Path) -> Dataset:
    """Read `train.parquet`, `test.parquet` and `classes.json` of `folder`.

    The validation split is taken from the train file; all crops of one original picture go to the same side.
    Train pictures whose pixels stand in the test file are left out.

    Raises:
        DatasetUnavailable: a file is missing or damaged.
    """
    everything, class_names, sources = read_parquet(folder / "train.parquet", size=64)
    test, test_names, _ = read_parquet(folder / "test.parquet", size=64)
    try:
        rows = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
        superclasses = {row["name"]: row["superclass"] for row in rows}
        families = tuple(superclasses[name] for name in class_names or ())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetUnavailable(f"classes.json of {NAME} is missing or damaged; fetch it again.") from error
    if class_names is None or class_names != test_names:
        raise DatasetUnavailable(f"The train and test files of {NAME} name different classes; fetch both again.")
    originals = [name.split("#", 1)[0] for name in sources]
    splits = split_published(everything, originals, test, VALIDATION_SHARE)
    return check_labels(Dataset.from_splits(NAME, class_names, families, *splits))


def small_classes(split: Split) -> Split:
    """Return the pictures of a split that are not from ImageNet; the others are ImageNet's own training pictures."""
    return split.select((split.hard_labels >= FIRST_SMALL_LABEL).nonzero()[:, 0])
