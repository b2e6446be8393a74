"""Splitting the pictures of a user's own dataset: its own splits are used, and what they lack is held out of train."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from kdcore.datasets.base import Dataset, Split
from kdcore.datasets.splits import (
    HOLD_OUT_SHARE,
    SPLIT_NAMES,
    UnsplitPictures,
    check_class_sizes,
    check_splits,
    choose_groups,
    divide,
    group_rows,
    pixel_hashes,
)

_HELD_OUT = ("test", "validation")


def split_pictures(
    name: str,
    class_names: tuple[str, ...],
    pictures: Mapping[str, UnsplitPictures],
    before: Dataset | None = None,
    share: float = HOLD_OUT_SHARE,
) -> tuple[Dataset, tuple[str, ...]]:
    """Split pictures into train, validation and test; copies and crops of one picture stay in one split.

    A class without validation or test pictures of its own gets a share of its train pictures as such. Train
    pictures that are in another split too are dropped, and so are validation pictures that are in test.

    Args:
        pictures: split -> its pictures; `train` must be there, `validation` and `test` may be missing.
        before: the same dataset as it was added before. Pictures that were held out stay so, and the others are not
            held out, so that a teacher is not measured on what it learned.
        share: share of the train pictures that is held out for test, and of the rest for validation, 0 to 1.

    Returns:
        The dataset, and whole sentences about what a user may not expect.

    Raises:
        ConfigError: a class has too few pictures.
        DatasetUnavailable: the result would not be three usable splits.
    """
    given = [side for side in SPLIT_NAMES for _ in range(len(pictures.get(side, ())))]
    present = [pictures[side] for side in SPLIT_NAMES if side in pictures]
    labels = torch.cat([part.hard_labels for part in present])
    everything = Split(torch.cat([part.images for part in present]), labels)
    hashes = pixel_hashes(everything.images)
    groups = group_rows([origin for part in present for origin in part.origins], hashes)

    rows = _first_sides(given, groups)
    check_class_sizes(class_names, labels[rows["train"]], [groups[row] for row in rows["train"]])
    notes = [*_copy_notes(len(given) - sum(map(len, rows.values()))), *_label_notes(class_names, labels, hashes)]
    for side in _HELD_OUT:
        lacking = set(range(len(class_names))) - set(labels[rows[side]].tolist())
        if lacking and rows[side]:
            names = ", ".join(class_names[label] for label in sorted(lacking)[:5])
            notes.append(f"There are no {side} pictures of {names}, so some of the train pictures are used as such.")
        train_labels, train_groups = labels[rows["train"]], [groups[row] for row in rows["train"]]
        known = {} if before is None else _held_out_before(before, side, groups, everything.images, hashes)
        chosen = choose_groups(train_labels, train_groups, share, lacking, known)
        rest, held_out = divide(train_labels, train_groups, chosen)
        rows[side] += [rows["train"][place] for place in held_out.tolist()]
        rows["train"] = [rows["train"][place] for place in rest.tolist()]
    splits = [everything.select(torch.tensor(rows[side], dtype=torch.int64)) for side in SPLIT_NAMES]
    return check_splits(Dataset.from_splits(name, class_names, class_names, *splits)), tuple(notes)


def _first_sides(given: list[str], groups: list[str]) -> dict[str, list[int]]:
    """Return split -> its rows as the source has them, without copies of what test or validation hold already."""
    rows: dict[str, list[int]] = {}
    held_out: set[str] = set()
    for side in (*_HELD_OUT, "train"):
        rows[side] = [row for row, own in enumerate(given) if own == side and groups[row] not in held_out]
        held_out |= {groups[row] for row in rows[side]}
    return rows


def _held_out_before(
    before: Dataset, side: str, groups: list[str], images: Tensor, hashes: list[str]
) -> dict[str, bool]:
    """Return group -> whether it was in the split `side`, for groups with a picture in `before`.

    A group that stood on both sides then was learned from, so it counts as not held out.
    """
    if before.image_shape != tuple(images.shape[1:]):
        return {}
    side_of = {hashed: one for one in (*_HELD_OUT, "train") for hashed in pixel_hashes(getattr(before, one).images)}
    known: dict[str, bool] = {}
    for group, hashed in zip(groups, hashes, strict=True):
        if hashed in side_of:
            known[group] = known.get(group, True) and side_of[hashed] == side
    return known


def _copy_notes(dropped: int) -> list[str]:
    if not dropped:
        return []
    return [f"{dropped:,} pictures that stand in the validation or test split too were left out of the other split."]


def _label_notes(class_names: tuple[str, ...], labels: Tensor, hashes: list[str]) -> list[str]:
    """Return a sentence about identical pictures under different classes, if there are any."""
    labels_of: dict[str, set[int]] = {}
    for label, hashed in zip(labels.tolist(), hashes, strict=True):
        labels_of.setdefault(hashed, set()).add(label)
    twins = [sorted(found) for found in labels_of.values() if len(found) > 1]
    if not twins:
        return []
    first, second = (class_names[label] for label in twins[0][:2])
    return [f"Identical pictures with different classes: {len(twins):,} (such as one in {first} and in {second})."]
