"""Splits that are splits: each class in each, no pixels in two, and old pictures stay where they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdcore.datasets.base import Dataset, Split
from kdcore.datasets.own_splits import split_pictures
from kdcore.datasets.parquet import read_parquet
from kdcore.datasets.splits import UnsplitPictures, check_splits, group_rows, hold_out, split_published
from kdcore.errors import ConfigError, DatasetUnavailable


def unsplit(numbers: list[int], labels: list[int], origins: list[str] | None = None) -> UnsplitPictures:
    """Pictures that show nothing but their number, so that equal numbers are equal pixels."""
    images = torch.tensor(numbers, dtype=torch.int64).view(-1, 1, 1, 1).expand(-1, 3, 2, 2) % 256
    return UnsplitPictures(images.to(torch.uint8), torch.tensor(labels), origins or [""] * len(numbers))


def shown(split: Split) -> set[int]:
    return set(split.images[:, 0, 0, 0].tolist())


def test_copies_stay_together_even_under_two_labels() -> None:
    numbers = [*range(30), *range(30), *range(60, 90)]
    labels = [0] * 30 + [1] * 30 + [1] * 30
    dataset, notes = split_pictures("twins", ("a", "b"), {"train": unsplit(numbers, labels)})
    train, validation, test = shown(dataset.train), shown(dataset.validation), shown(dataset.test)
    assert not (train & validation or train & test or validation & test)
    assert any("30" in note and "a and in b" in note for note in notes)


def test_a_class_of_copies_is_refused() -> None:
    with pytest.raises(ConfigError, match='"b" has 1 different'):
        split_pictures("burst", ("a", "b"), {"train": unsplit([*range(10), *[77] * 10], [0] * 10 + [1] * 10)})
    with pytest.raises(ConfigError, match='"b" has 2 different'):  # crops of two originals
        origins = [""] * 10 + [f"wolf {number % 2}" for number in range(10)]
        split_pictures("crops", ("a", "b"), {"train": unsplit([*range(20)], [0] * 10 + [1] * 10, origins)})


def test_given_splits_are_used_and_what_they_lack_is_held_out() -> None:
    dataset, notes = split_pictures(
        "given",
        ("a", "b", "c"),
        {
            "train": unsplit([*range(60)], [0] * 20 + [1] * 20 + [2] * 20),
            "validation": unsplit([100, 101, 102, 150], [0, 1, 2, 0]),
            "test": unsplit([150, 151, 0], [0, 1, 0]),
        },
    )
    assert shown(dataset.validation) == {100, 101, 102}  # 150 is a test picture too
    assert {150, 151, 0} < shown(dataset.test)
    assert dataset.test.hard_labels.bincount().tolist() == [2, 1, 2]
    assert not shown(dataset.train) & shown(dataset.test)
    assert any("no test pictures of c" in note for note in notes)
    assert any(note.startswith("2 pictures") for note in notes)


def test_adding_pictures_leaves_the_others_where_they_were() -> None:
    old, _ = split_pictures("grown", ("a", "b"), {"train": unsplit([*range(40)], [0] * 20 + [1] * 20)})
    more = unsplit([*range(200)], [0] * 20 + [1] * 20 + [0] * 80 + [1] * 80)
    new, _ = split_pictures("grown", ("a", "b"), {"train": more}, old)
    for name in ("train", "validation", "test"):
        assert shown(getattr(old, name)) <= shown(getattr(new, name))
    assert len(new.test) == pytest.approx(20, abs=2)


def test_a_class_whose_test_pictures_were_deleted_gets_others() -> None:
    old, _ = split_pictures("shrunk", ("a", "b"), {"train": unsplit([*range(40)], [0] * 20 + [1] * 20)})
    left = [number for number in range(40) if number not in shown(old.test)]
    new, _ = split_pictures("shrunk", ("a", "b"), {"train": unsplit(left, [int(n >= 20) for n in left])}, old)
    assert set(new.test.hard_labels.tolist()) == {0, 1}


def test_groups_join_crops_and_copies() -> None:
    assert group_rows(["x", "x", "", "", "y"], ["1", "2", "2", "3", "3"]) == ["x", "x", "x", "y", "y"]
    assert group_rows(["", "", ""], ["1", "2", "1"]) == ["1", "2", "1"]


def test_rows_of_two_classes_in_one_group_are_held_out_together() -> None:
    labels = torch.tensor([0] * 20 + [1] * 20)
    groups = [str(number % 20) for number in range(40)]
    train, held_out = hold_out(labels, groups, 0.2)
    assert not {groups[row] for row in train.tolist()} & {groups[row] for row in held_out.tolist()}


def test_a_published_set_learns_no_test_picture_and_nothing_twice_across_its_splits() -> None:
    everything = unsplit([*range(40), *range(5)], [0, 1] * 20 + [0, 1, 0, 1, 0])
    test = unsplit([200, 201, 7], [0, 1, 1])
    train, validation, kept = split_published(
        Split(everything.images, everything.hard_labels), [""] * 45, Split(test.images, test.hard_labels), 0.1
    )
    assert shown(kept) == {200, 201, 7}
    assert 7 not in shown(train) | shown(validation)
    assert not shown(train) & shown(validation)
    assert set(validation.hard_labels.tolist()) == {0, 1}


def test_the_check_finds_each_fault_of_a_finished_split() -> None:
    good, _ = split_pictures("good", ("a", "b"), {"train": unsplit([*range(40)], [0] * 20 + [1] * 20)})
    assert check_splits(good) is good
    faults: tuple[tuple[str, dict[str, Split]], ...] = (
        ("more than one", {"test": good.train}),
        ("no validation", {"validation": good.validation.select(torch.tensor([0]))}),
        ("labels from", {"test": Split(good.test.images, good.test.hard_labels + 1)}),
        ("labels from -1", {"train": Split(good.train.images, good.train.hard_labels - 1)}),
    )
    for words, wrong in faults:
        broken: Dataset = replace(good, **wrong)
        with pytest.raises(DatasetUnavailable, match=words):
            check_splits(broken)


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
