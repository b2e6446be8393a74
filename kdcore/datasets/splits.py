"""Dividing pictures into train, validation and test, so that copies and crops of one picture stay in one split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcore.datasets.base import Dataset, Split
from kdcore.errors import ConfigError, DatasetUnavailable

MIN_CLASS_PICTURES = 5  # readable train pictures that each class must have
HOLD_OUT_SHARE = 0.1  # share of the train pictures held out for validation, and for test if there are no test pictures


@dataclass(frozen=True)
class UnsplitPictures:
    """Pictures before they are split.

    Attributes:
        images: uint8 [N, C, H, W].
        hard_labels: int64 [N].
        groups: N names; pictures with the same name are copies or crops of one picture and stay in one split.
    """

    images: Tensor
    hard_labels: Tensor
    groups: list[str]


def hold_out(labels: Tensor, groups: Sequence[str], share: float) -> tuple[Tensor, Tensor]:
    """Split rows into train and validation, class by class; within a class, the rows of one group stay together.

    Of each held-out group, only the first row is used for validation; its other rows are dropped. The hashes of the
    groups' names decide which groups are held out, so that the split is the same on every machine and changes little
    when rows are added.

    Args:
        labels: int64 [N].
        groups: N names; rows with the same name are crops of one original picture.
        share: share of each class's groups to hold out, 0 to 1; at least one group is.

    Returns:
        (train, validation): int64 row indices, ascending.
    """
    by_class: dict[int, dict[str, list[int]]] = {}
    for row, (label, group) in enumerate(zip(labels.tolist(), groups, strict=True)):
        by_class.setdefault(label, {}).setdefault(group, []).append(row)
    train: list[int] = []
    validation: list[int] = []
    for rows_by_group in by_class.values():
        ordered = sorted(rows_by_group, key=lambda name: hashlib.sha256(name.encode()).digest())
        held_out_groups = max(1, round(share * len(ordered)))
        for name in ordered[:held_out_groups]:
            # More than one crop of the same original would give that original more weight in the validation.
            validation.append(rows_by_group[name][0])
        for name in ordered[held_out_groups:]:
            train.extend(rows_by_group[name])
    return torch.tensor(sorted(train)), torch.tensor(sorted(validation))


def split_pictures(
    name: str, class_names: tuple[str, ...], train: UnsplitPictures, test: UnsplitPictures | None
) -> Dataset:
    """Split pictures into train, validation and test; within a class, pictures of one group stay in one split.

    Without test pictures, `HOLD_OUT_SHARE` of the train pictures of each class become the test split. Otherwise, train
    pictures whose group is among the test pictures are dropped.

    Raises:
        ConfigError: a class has too few pictures.
        DatasetUnavailable: a label has no class name.
    """
    _check_classes(class_names, train.hard_labels)
    images, labels, groups = train.images, train.hard_labels, train.groups
    if test is None:
        remaining, held_out = hold_out(labels, groups, HOLD_OUT_SHARE)
        test_split = Split(images[held_out], labels[held_out])
    else:
        test_groups = set(test.groups)
        remaining = torch.tensor(
            [row for row, group in enumerate(groups) if group not in test_groups], dtype=torch.int64
        )
        test_split = Split(test.images, test.hard_labels)
    remaining_groups = [groups[row] for row in remaining.tolist()]
    train_rows, validation_rows = hold_out(labels[remaining], remaining_groups, HOLD_OUT_SHARE)
    everything = Split(images[remaining], labels[remaining])
    train_split, validation_split = everything.select(train_rows), everything.select(validation_rows)
    return Dataset.from_splits(name, class_names, class_names, train_split, validation_split, test_split)


def _check_classes(class_names: tuple[str, ...], labels: Tensor) -> None:
    counts = labels.bincount(minlength=len(class_names))
    if len(counts) > len(class_names) or int(labels.min()) < 0:
        raise DatasetUnavailable("A label has no class name; check the file.")
    if int(counts.min()) < MIN_CLASS_PICTURES:
        smallest = class_names[int(counts.argmin())]
        raise ConfigError(
            f'The class "{smallest}" has {int(counts.min())} readable pictures, and each needs at least '
            f"{MIN_CLASS_PICTURES}."
        )
