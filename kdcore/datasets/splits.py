"""Dividing pictures into train, validation and test, so that copies and crops of one picture stay in one split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcore.datasets.base import Dataset, Split
from kdcore.errors import ConfigError, DatasetUnavailable

MIN_CLASS_PICTURES = 5  # different pictures for training, validation and test that each class must have
HOLD_OUT_SHARE = 0.1  # share of the train pictures held out for validation, and for test if there are no test pictures
SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class UnsplitPictures:
    """Pictures before they are split.

    Attributes:
        images: uint8 [N, C, H, W].
        hard_labels: int64 [N].
        origins: N names; pictures with the same name are crops of one picture. Empty where nothing is known.
    """

    images: Tensor
    hard_labels: Tensor
    origins: list[str]

    def __len__(self) -> int:
        return len(self.images)


def pixel_hashes(images: Tensor) -> list[str]:
    """Return the SHA-256 of each picture's pixels (uint8 [N, C, H, W]), in hexadecimal."""
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images.contiguous().numpy()]


def group_rows(origins: Sequence[str], pixels: Sequence[str]) -> list[str]:
    """Return a group name for each row, so that copies and crops of one picture get the same name.

    Args:
        origins: N names; rows with the same name are crops of one picture. Empty where nothing is known.
        pixels: N hashes of the rows' pixels; rows with the same hash are copies.

    Returns:
        N names: the smallest of the group's origins, or of its hashes where it has no origin.
    """
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        while parents.setdefault(key, key) != key:
            key = parents[key]
        return key

    keys = [f"name {origin}" if origin else f"pixels {hashed}" for origin, hashed in zip(origins, pixels, strict=True)]
    first_key: dict[str, str] = {}
    for key, hashed in zip(keys, pixels, strict=True):
        low, high = sorted((root(key), root(first_key.setdefault(hashed, key))))
        parents[high] = low  # "name" is smaller than "pixels"
    return [root(key).split(" ", 1)[1] for key in keys]


def hold_out(labels: Tensor, groups: Sequence[str], share: float) -> tuple[Tensor, Tensor]:
    """Split rows into train and validation, class by class; the rows of one group stay together, whatever their class.

    Of each held-out group, only the first row of a class is used for validation; its other rows are dropped. The
    hashes of the groups' names decide which groups are held out, so that the split is the same on every machine and
    changes little when rows are added.

    Args:
        labels: int64 [N].
        groups: N names; rows with the same name are copies or crops of one original picture.
        share: share of each class's groups to hold out, 0 to 1; at least one group is.

    Returns:
        (train, validation): int64 row indices, ascending.
    """
    return divide(labels, groups, choose_groups(labels, groups, share, set(labels.tolist()), {}))


def split_published(everything: Split, sources: Sequence[str], test: Split, share: float) -> tuple[Split, Split, Split]:
    """Hold the validation split out of a published dataset's train pictures.

    Args:
        sources: N names of the pictures in `everything`; rows with the same name are crops of one picture. Empty where
            nothing is known.
        share: share of each class's originals to hold out, 0 to 1.

    Returns:
        Train, validation and test, without copies in two of them.
    """
    held_out = set(pixel_hashes(test.images))
    hashes = pixel_hashes(everything.images)
    rows = [row for row, hashed in enumerate(hashes) if hashed not in held_out]
    groups = group_rows([sources[row] for row in rows], [hashes[row] for row in rows])
    pictures = everything.select(torch.tensor(rows, dtype=torch.int64))
    train, validation = hold_out(pictures.hard_labels, groups, share)
    return pictures.select(train), pictures.select(validation), test


def choose_groups(
    labels: Tensor, groups: Sequence[str], share: float, classes: set[int], known: Mapping[str, bool]
) -> set[str]:
    """Choose the groups that are held out of the train pictures.

    Args:
        labels: int64 [N].
        groups: N names.
        share: share of each class's groups to hold out, 0 to 1; at least one group is.
        classes: the classes that pictures are held out of.
        known: groups that were divided before -> whether they were held out then. They stay where they were, except
            in a class that would have none held out otherwise.
    """
    by_class: dict[int, set[str]] = {}
    for label, group in zip(labels.tolist(), groups, strict=True):
        if label in classes:
            by_class.setdefault(label, set()).add(group)
    chosen: set[str] = set()
    for names in by_class.values():
        ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
        wanted = max(1, round(share * len(ordered)))
        kept = [name for name in ordered if known.get(name)]
        new = [name for name in ordered if name not in known]
        chosen.update((kept + new[: max(0, wanted - len(kept))]) or ordered[:1])
    return chosen


def divide(labels: Tensor, groups: Sequence[str], chosen: set[str]) -> tuple[Tensor, Tensor]:
    """Return the rows outside the chosen groups, and one row of each class of each chosen group, both ascending."""
    rest: list[int] = []
    held_out: dict[tuple[str, int], int] = {}
    for row, (label, group) in enumerate(zip(labels.tolist(), groups, strict=True)):
        if group in chosen:
            # More than one crop of the same original would give that original more weight in a measurement.
            held_out.setdefault((group, label), row)
        else:
            rest.append(row)
    return torch.tensor(rest, dtype=torch.int64), torch.tensor(sorted(held_out.values()), dtype=torch.int64)


def check_labels(dataset: Dataset) -> Dataset:
    """Return a finished dataset that has only labels of its classes, and pictures of each class in every split.

    Raises:
        DatasetUnavailable: it has not.
    """
    for name in SPLIT_NAMES:
        labels: Tensor = getattr(dataset, name).hard_labels
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < dataset.num_classes:
            raise DatasetUnavailable(
                f"The {name} pictures of {dataset.name} have labels from {int(labels.min())} to {int(labels.max())}, "
                f"and its {dataset.num_classes} classes are 0 to {dataset.num_classes - 1}; correct or fetch its files."
            )
        missing = sorted(set(range(dataset.num_classes)) - set(labels.tolist()))
        if missing:
            raise DatasetUnavailable(
                f'The class "{dataset.class_names[missing[0]]}" of {dataset.name} has no {name} pictures; each class '
                "needs different pictures in train, validation and test."
            )
    return dataset


def check_splits(dataset: Dataset) -> Dataset:
    """Return a finished dataset in which a network can learn every class and be measured on it.

    Raises:
        DatasetUnavailable: a label is not that of a class, a class lacks pictures in a split, or the same pixels stand
            in two splits.
    """
    check_labels(dataset)
    sides = [set(pixel_hashes(getattr(dataset, name).images)) for name in SPLIT_NAMES]
    common = len(sides[0] & sides[1]) + len(sides[0] & sides[2]) + len(sides[1] & sides[2])
    if common:
        raise DatasetUnavailable(
            f"{common:,} pictures of {dataset.name} stand in more than one of train, validation and test; "
            "fetch or add the dataset again."
        )
    return dataset


def distinct_splits(train: Split, validation: Split, test: Split) -> tuple[Split, Split, Split]:
    """Return the splits without train pictures that stand in another split, and validation pictures that are in test.

    Pictures are the same if their pixels are.
    """
    held_out = set(pixel_hashes(test.images))
    kept: list[Split] = []
    for split in (validation, train):
        hashes = pixel_hashes(split.images)
        rows = [row for row, hashed in enumerate(hashes) if hashed not in held_out]
        kept.append(split if len(rows) == len(split) else split.select(torch.tensor(rows, dtype=torch.int64)))
        held_out.update(hashes)
    return kept[1], kept[0], test


def check_class_sizes(class_names: tuple[str, ...], labels: Tensor, groups: Sequence[str]) -> None:
    """Refuse a class with fewer than `MIN_CLASS_PICTURES` different train pictures.

    Raises:
        ConfigError: such a class is there.
    """
    pairs = set(zip(labels.tolist(), groups, strict=True))
    counts = [0] * len(class_names)
    for label, _ in pairs:
        counts[label] += 1
    smallest = counts.index(min(counts))
    if counts[smallest] < MIN_CLASS_PICTURES:
        raise ConfigError(
            f'The class "{class_names[smallest]}" has {counts[smallest]} different readable pictures to learn from, '
            f"and each needs at least {MIN_CLASS_PICTURES}; copies of one picture, and pictures that are in the "
            "validation or test split too, do not count."
        )
