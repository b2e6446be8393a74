"""Parquet files as the Hub and pandas write them: columns, labels, parts, and rows that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from kdcore.datasets import Split, add_dataset, load_dataset
from kdcore.datasets.class_names import MAX_NAME_CHARS, usable_names
from kdcore.datasets.published_sets import PUBLISHED
from kdcore.errors import ConfigError, DatasetUnavailable
from tests.engine.datasets.sources import HUB_IMAGE, encoded, hub_table, picture, pngs, write_table

ALTERNATING = [row % 2 for row in range(20)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def sizes(name: str) -> list[int]:
    dataset = load_dataset(name)
    return [len(split) for split in (dataset.train, dataset.validation, dataset.test)]


def labelled_pixels(split: Split) -> list[tuple[int, bytes]]:
    rows = zip(split.hard_labels.tolist(), split.images.numpy(), strict=True)
    return sorted((label, image.tobytes()) for label, image in rows)


def odd_pictures() -> list[bytes]:
    """Pictures that Pillow's own conversion gets wrong: 16 bit, transparent, turned by EXIF, not square."""
    data: list[bytes] = []
    for number in range(6):
        deep = np.linspace(0, 65535, 40 * 40, dtype=np.uint16).reshape(40, 40) // (number + 1)
        data.append(encoded(Image.fromarray(deep)))
        clear = np.zeros((40, 40, 4), np.uint8)
        clear[:, number + 10 :] = (200, 20 * number, 60, 255)
        data.append(encoded(Image.fromarray(clear)))
        exif = Image.Exif()
        exif[0x0112] = 6
        data.append(encoded(picture(number).resize((60, 40)), "JPEG", exif=exif))
    return data


def test_the_size_is_chosen_by_rows_of_all_classes(tmp_path: Path) -> None:
    """Sorted by class, as many tables are: the first class has small pictures, and most of the others large ones."""
    sides = [36] * 60 + [80] * 90
    data = [encoded(picture(row, side)) for row, side in enumerate(sides)]
    hub_table(tmp_path / "sorted.parquet", data, [int(side > 36) for side in sides])
    add_dataset(tmp_path / "sorted.parquet", "sorted")
    assert load_dataset("sorted").image_shape == (3, 64, 64)


def test_files_and_rows_of_the_same_bytes_give_the_same_tensors(tmp_path: Path) -> None:
    data = odd_pictures()
    labels = [row // 3 % 2 for row in range(len(data))]
    for row, (one, label) in enumerate(zip(data, labels, strict=True)):
        file = tmp_path / "d" / "ab"[label] / f"{row}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(one)
    add_dataset(tmp_path / "d", "files")
    add_dataset(hub_table(tmp_path / "p.parquet", data, labels), "rows")
    files, rows = load_dataset("files"), load_dataset("rows")
    for name in ("train", "validation", "test"):
        assert labelled_pixels(getattr(files, name)) == labelled_pixels(getattr(rows, name))


def test_rows_that_cannot_be_used_are_left_out_and_said(tmp_path: Path) -> None:
    data: list[bytes | None] = [*pngs(24)]
    data[3], data[4] = pngs(1)[0][:50], None
    labels: list[int | None] = [row % 2 for row in range(24)]
    labels[5], labels[6] = -1, None
    info = add_dataset(hub_table(tmp_path / "p.parquet", data, labels), "holes")
    assert sum(sizes("holes")) == 20
    assert "2 files could not be read (p.parquet row 3, p.parquet row 4)" in info.description
    assert "2 pictures without a label" in info.description


def test_a_label_without_a_class_name_is_refused_in_every_split(tmp_path: Path) -> None:
    hub_table(tmp_path / "train.parquet", pngs(20), ALTERNATING)
    for wrong in (2, -2):
        hub_table(tmp_path / "test.parquet", pngs(4, 100), [0, 1, wrong, 0])
        with pytest.raises(DatasetUnavailable, match=r"Row 2 of test\.parquet"):
            add_dataset(tmp_path, "wrong")
    hub_table(tmp_path / "test.parquet", pngs(4, 100), [-1] * 4)  # as the Hub writes a test split without labels
    assert "4 pictures without a label" in add_dataset(tmp_path, "right").description
    assert sizes("right") == [16, 2, 2]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pa.array(["dog", "cat"] * 10), ("cat", "dog")),
        (pa.array(["dog", "cat"] * 10).dictionary_encode(), ("cat", "dog")),
        (pa.array([10, 9] * 10, pa.int32()), ("9", "10")),
        (pa.array([1.0, 0.0] * 9 + [None, 1.0]), ("0", "1")),
        (pa.array([True, False] * 10), ("False", "True")),
    ],
)
@pytest.mark.parametrize("column", ["label", "labels", "fine_label", "species"])
def test_labels_without_metadata_are_their_own_class_names(
    tmp_path: Path, labels: pa.Array, names: tuple[str, ...], column: str
) -> None:
    file = write_table(tmp_path / "p.parquet", {"photo": pa.array(pngs(20), pa.binary()), column: labels})
    add_dataset(file, "plain")
    assert load_dataset("plain").class_names == names


def test_columns_that_cannot_be_told_are_named(tmp_path: Path) -> None:
    one, two = pa.array(pngs(20), pa.binary()), pa.array(ALTERNATING)
    tables = (
        ({"left": one, "right": one, "label": two}, "left"),
        ({"image": one}, "image"),
        ({"image": one, "height": two, "width": two}, "height"),
        ({"file_name": pa.array(["a.png"] * 20), "label": two}, "file_name"),
    )
    for columns, named in tables:
        with pytest.raises(DatasetUnavailable, match=named):
            add_dataset(write_table(tmp_path / "p.parquet", columns), "unclear")
    with pytest.raises(DatasetUnavailable, match="label \\(list"):
        add_dataset(write_table(tmp_path / "p.parquet", {"image": one, "label": pa.array([[0]] * 20)}), "lists")


@pytest.mark.parametrize(
    "layout",
    [
        ("data/train-00000-of-00002", "data/train-00001-of-00002", "data/test-00000-of-00001"),
        ("default/train/0000", "default/train/0001", "default/test/0000"),
        ("train/a", "train/b", "test/a"),
        ("trees-train-1", "trees-train-2", "trees-test"),
    ],
)
def test_folders_as_the_hub_has_them(tmp_path: Path, layout: tuple[str, str, str]) -> None:
    for number, name in enumerate(layout):
        hub_table(tmp_path / "hub" / f"{name}.parquet", pngs(20, 100 * number), ALTERNATING)
    info = add_dataset(tmp_path / "hub", "hub")
    assert sizes("hub") == [36, 4, 20]
    assert "parts" not in info.description


def test_a_missing_part_is_said_and_several_sets_are_refused(tmp_path: Path) -> None:
    file = hub_table(tmp_path / "hub" / "train-00001-of-00003.parquet", pngs(20), ALTERNATING)
    for path in (file, tmp_path / "hub"):
        assert "Only 1 of 3 parts of the train pictures" in add_dataset(path, "part").description
    hub_table(tmp_path / "hub" / "large" / "train-00000-of-00001.parquet", pngs(20), ALTERNATING)
    with pytest.raises(ConfigError, match="several sets"):
        add_dataset(tmp_path / "hub", "sets")


def test_classes_of_the_test_file_are_matched_by_name(tmp_path: Path) -> None:
    hub_table(tmp_path / "train.parquet", pngs(20), ALTERNATING, ("cat", "dog"))
    hub_table(tmp_path / "test.parquet", pngs(5, 100), [0, 0, 0, 1, 2], ("dog", "cat", "zebra"))
    hub_table(tmp_path / "validation.parquet", pngs(4, 200), [0, 0, 0, 1], ("cat", "dog"))
    info = add_dataset(tmp_path, "order")
    assert load_dataset("order").test.hard_labels.bincount().tolist() == [1, 3]
    assert load_dataset("order").validation.hard_labels.bincount().tolist() == [3, 1]
    assert "zebra is no class" in info.description


def test_equal_file_names_are_no_copies_but_numbered_crops_are(tmp_path: Path) -> None:
    names = [f"{row}.png" for row in range(20)]
    hub_table(tmp_path / "names" / "train.parquet", pngs(20), ALTERNATING, paths=names)
    hub_table(tmp_path / "names" / "test.parquet", pngs(20, 100), ALTERNATING, paths=names)
    add_dataset(tmp_path / "names", "names")
    assert sizes("names") == [18, 2, 20]
    crops = [f"wolf_{row // 4}#{row % 4}.jpg" for row in range(40)]
    file = hub_table(tmp_path / "crops.parquet", pngs(40), [row // 20 for row in range(40)], paths=crops)
    add_dataset(file, "crops")
    assert sizes("crops") == [24, 2, 2]  # of each class 3 originals of 4 crops, and one crop of 1 and of 1


def test_class_names_are_printable_short_and_different(tmp_path: Path) -> None:
    names = ("crane", "crane", "new\nline", "\x1b[31mred", "", "x" * 300, "cafe\N{COMBINING ACUTE ACCENT}", "caf\xe9")
    file = hub_table(tmp_path / "p.parquet", pngs(80), [row % 8 for row in range(80)], names)
    info = add_dataset(file, "marks")
    kept = load_dataset("marks").class_names
    assert len(set(kept)) == 8
    assert all(name.isprintable() and 1 <= len(name) <= MAX_NAME_CHARS for name in kept)
    assert kept[:2] == ("crane", "crane (2)")
    assert kept[6:] == ("caf\xe9", "caf\xe9 (2)")
    assert "Class names were changed" in info.description
    assert info.description.isprintable()


def test_legal_class_names_stay_as_they_are() -> None:
    names = ("crane (2)", "crane", "crane", "<b>bold</b>", "T-shirt/top", "\N{CAT FACE}")
    assert usable_names(names) == ("crane (2)", "crane", "crane (3)", *names[3:])
    assert usable_names(usable_names(names)) == usable_names(names)


def test_white_space_is_a_space_and_signs_that_cannot_be_seen_are_left_out() -> None:
    names = ("Golden\xa0Retriever", " \u67f4\u72ac\u3000\u6210\u72ac", "a\tb\n", "\ufeffcat", "x\u202ey\u200f")
    assert usable_names(names) == ("Golden Retriever", "\u67f4\u72ac \u6210\u72ac", "a b", "cat", "xy")


def test_text_labels_without_letters_are_no_labels_and_spaces_around_them_no_others(tmp_path: Path) -> None:
    images = pa.array([{"bytes": data, "path": None} for data in pngs(24)], HUB_IMAGE)
    labels = pa.array([("cat", "dog ", " ", "dog")[row % 4] for row in range(24)])
    info = add_dataset(write_table(tmp_path / "p.parquet", {"image": images, "label": labels}), "texts")
    assert load_dataset("texts").class_names == ("cat", "dog")
    assert "6 pictures without a label" in info.description


def test_an_evaluation_file_is_test_and_a_pointer_of_git_lfs_is_called_one(tmp_path: Path) -> None:
    hub_table(tmp_path / "d" / "data" / "train-00000-of-00001.parquet", pngs(20), ALTERNATING)
    evaluation = hub_table(tmp_path / "d" / "data" / "eval-00000-of-00001.parquet", pngs(6, 100), ALTERNATING[:6])
    add_dataset(tmp_path / "d", "words")
    assert sizes("words") == [18, 2, 6]
    evaluation.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DatasetUnavailable, match="git lfs pull"):
        add_dataset(tmp_path / "d", "words")


@pytest.mark.parametrize("layout", ["train test", "data/train-00000-of-00001 data/test-00000-of-00001"])
def test_a_published_set_is_read_as_the_hub_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    monkeypatch.setenv("KDCORE_DATA", str(tmp_path / "packs"))
    names = PUBLISHED["cifar100"].class_names
    for file, count, first in zip(layout.split(), (400, 100), (0, 5000), strict=True):
        labels = [row % 100 for row in range(count)]
        path = tmp_path / "packs" / "cifar100" / f"{file}.parquet"
        hub_table(path, pngs(count, first), labels, names, columns=("img", "fine_label"))
    dataset = load_dataset("cifar100")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (300, 100, 100)
    assert torch.equal(dataset.test.hard_labels, torch.arange(100))


def test_a_bad_row_of_a_published_set_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDCORE_DATA", str(tmp_path))
    data = pngs(40)
    data[7] = data[7][:40]
    names = PUBLISHED["cifar10"].class_names
    for part in ("train", "test"):
        hub_table(tmp_path / "cifar10" / f"{part}.parquet", data, [row % 10 for row in range(40)], names)
    with pytest.raises(DatasetUnavailable, match=r"Row 7 of train\.parquet"):
        load_dataset("cifar10")
