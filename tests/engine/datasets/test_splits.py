"""No group of pictures is in two splits."""

from __future__ import annotations

from pathlib import Path

import torch

from kdcore.datasets.parquet import read_parquet
from kdcore.datasets.splits import hold_out


def test_hold_out_splits_no_group_and_takes_one_picture_of_each_held_one() -> None:
    labels = torch.tensor([0] * 40 + [1] * 24)
    groups = [f"a{i // 2}" for i in range(40)] + [f"b{i // 8}" for i in range(24)]
    train, validation = hold_out(labels, groups, 0.1)
    groups_of = {part: {groups[row] for row in rows.tolist()} for part, rows in (("t", train), ("v", validation))}
    assert not groups_of["t"] & groups_of["v"]
    assert labels[validation].bincount().tolist() == [2, 1]
    assert len(train) == 40 - 2 * 2 + 24 - 8
    more_labels, more_groups = torch.cat([labels, torch.tensor([0])]), [*groups, "a99"]
    assert {more_groups[row] for row in hold_out(more_labels, more_groups, 0.1)[1].tolist()} - {"a99"} <= groups_of["v"]


def test_animals64_holds_no_original_twice(data_dir: Path) -> None:
    folder = data_dir / "animals64"
    everything, class_names, sources = read_parquet(folder / "train.parquet", size=64)
    assert (len(everything), len(class_names)) == (34_978, 107)
    assert everything.images.shape[1:] == (3, 64, 64)
    groups = [source.split("#")[0] for source in sources]
    train, validation = hold_out(everything.hard_labels, groups, 0.08)
    assert not {groups[row] for row in train.tolist()} & {groups[row] for row in validation.tolist()}
    assert set(everything.hard_labels[validation].tolist()) == set(range(107))
