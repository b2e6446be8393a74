"""Datasets of pictures in memory: what they hold, how long they stay, and what is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from kdcore.datasets import add_dataset, dataset_info, keep_dataset, load_dataset, remove_dataset
from kdcore.datasets.given import GivenPicture, add_given
from kdcore.datasets.own_sheets import load_extra, read_sheet, sheet_path
from kdcore.errors import ConfigError, UnknownName
from tests.engine.datasets.sources import encoded, picture


def given(count: int, first: int) -> list[GivenPicture]:
    return [GivenPicture(f"{first + place}.png", encoded(picture(first + place))) for place in range(count)]


def two_classes(count: int = 10) -> dict[str, list[GivenPicture]]:
    return {"Äpfel": given(count, 0), "Birnen": given(count, 100)}


def test_given_pictures_are_an_own_dataset_for_a_day(home: Path) -> None:
    seen: list[tuple[int, int]] = []
    before = time.time()
    info = add_given(None, two_classes(), given(4, 200), progress=lambda done, total: seen.append((done, total)))
    assert (info.name, info.num_classes, info.image_shape, info.extra_size) == ("my-classes", 2, (3, 64, 64), 4)
    assert seen == [(place, 24) for place in range(1, 25)]
    assert info.expires is not None
    assert before + 24 * 3600 <= info.expires <= time.time() + 24 * 3600
    assert dataset_info("my-classes") == info
    dataset = load_dataset("my-classes")
    assert dataset.class_names == ("Äpfel", "Birnen")
    sizes = [split.hard_labels.bincount().tolist() for split in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [[6, 6], [2, 2], [2, 2]]
    assert add_given(None, two_classes(), temporary=False).name == "my-classes-2"  # nothing is replaced
    assert dataset_info("my-classes-2").expires is None


def test_the_pixels_are_those_that_a_folder_gives(home: Path, tmp_path: Path) -> None:
    for name, pictures in two_classes().items():
        (tmp_path / "c" / name).mkdir(parents=True)
        for one in pictures:
            (tmp_path / "c" / name / one.name).write_bytes(one.data)
    add_dataset(tmp_path / "c", "folder", size=32)
    add_given("memory", two_classes(), size=32)
    one, other = (load_dataset(name) for name in ("folder", "memory"))
    pixels = [
        {
            (image.numpy().tobytes(), dataset.class_names[label])
            for split in (dataset.train, dataset.validation, dataset.test)
            for image, label in zip(split.images, split.hard_labels.tolist(), strict=True)
        }
        for dataset in (one, other)
    ]
    assert pixels[0] == pixels[1]


def test_extra_pictures_leave_out_copies(home: Path) -> None:
    classes = two_classes()
    add_given("mine", classes, [*given(3, 200), *given(3, 201), *classes["Birnen"]])
    sheet = read_sheet(sheet_path("mine"))
    assert sheet is not None
    extra = load_extra(sheet)
    assert extra.shape == (4, 3, 64, 64)
    assert extra.dtype == torch.uint8
    assert sheet.extra == 4


def test_a_temporary_dataset_can_be_kept(home: Path) -> None:
    add_given(None, two_classes(), given(2, 200))
    before = load_dataset("my-classes")
    assert keep_dataset("my-classes").expires is None
    assert dataset_info("my-classes").expires is None
    assert load_dataset("my-classes").sha256 == before.sha256
    with pytest.raises(ConfigError, match="not one of your own datasets"):
        keep_dataset("creatures")


def test_removing_takes_the_teachers_along_but_no_others(home: Path) -> None:
    add_given(None, two_classes())
    models = home / "models"
    models.mkdir()
    for name, dataset in (("my-classes", "my-classes"), ("my-classes-smoothed", "my-classes"), ("my-classes-x", "b")):
        (models / f"{name}.json").write_text(json.dumps({"dataset": dataset}))
        (models / f"{name}.safetensors").write_bytes(b"x")
    (models / "my-classes-broken.json").write_text("[]")
    remove_dataset("my-classes")
    assert {path.name for path in models.iterdir()} == {
        "my-classes-x.json", "my-classes-x.safetensors", "my-classes-broken.json",
    }  # fmt: skip
    with pytest.raises(UnknownName):
        dataset_info("my-classes")


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ({"one": given(10, 0)}, "At least two classes are needed, not 1"),
        ({"a": given(10, 0), "b": given(1, 100)}, 'The class "b" has 1 different readable picture'),
        ({"a": given(10, 0), "b": given(1, 100) * 10}, 'The class "b" has 1 different readable picture'),
        ({"a": given(10, 0), "b": given(10, 9)}, 'The same picture is in "a" and in "b"'),
        ({"a": given(10, 0), "b": [*given(10, 100), GivenPicture("x.png", b"no")]}, "x.png cannot be opened"),
        ({"a": given(10, 0), " a": given(10, 100)}, 'Two classes are called "a"'),
    ],
)
def test_refusals_are_one_sentence_and_leave_nothing(
    home: Path, classes: dict[str, Sequence[GivenPicture]], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        add_given(None, classes)
    text = str(caught.value)
    assert sentence in text
    assert "\n" not in text
    assert not list(home.rglob("*.json"))
    for name in ("creatures", "No Name"):
        with pytest.raises(ConfigError):
            add_given(name, two_classes())
    with pytest.raises(ConfigError, match="32 or 64"):
        add_given(None, two_classes(), size=48)
