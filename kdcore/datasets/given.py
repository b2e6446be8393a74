"""Own datasets of pictures that are given in memory, such as those that a visitor of a page chose."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from filelock import FileLock
from torch import Tensor

from kdcore.datasets.base import Dataset, DatasetInfo
from kdcore.datasets.class_names import usable_names
from kdcore.datasets.class_zip import read_folders
from kdcore.datasets.own import legal_name
from kdcore.datasets.own_sheets import GIVEN, folder, info_of, save_dataset, sheet_path
from kdcore.datasets.own_sources import MAX_PICTURES
from kdcore.datasets.own_splits import split_pictures
from kdcore.datasets.picture_reader import SIZES, EncodedPicture, PictureReader, Progress, SourceSplit
from kdcore.datasets.registry import DATASETS
from kdcore.datasets.splits import SPLIT_NAMES, UnsplitPictures, pixel_hashes
from kdcore.errors import ConfigError, StoreError
from kdcore.machine import paths

TEMPORARY_SECONDS = 24 * 3600.0
# Of ten pictures of a class two are for the test and two for validation; with a tenth it would be one each.
HOLD_OUT_SHARE = 0.2
_DEFAULT_NAME = "my-classes"
_NO_CLASS = ""  # no legal class name is empty


@dataclass(frozen=True)
class GivenPicture:
    """A picture file in memory: its name, for messages, and its bytes."""

    name: str
    data: bytes


def add_given(
    name: str | None,
    classes: Mapping[str, Sequence[GivenPicture]],
    extra: Sequence[GivenPicture] = (),
    size: int = SIZES[1],
    progress: Progress = lambda done, total: None,
    temporary: bool = True,
) -> DatasetInfo:
    """Make an own dataset of pictures in memory.

    Args:
        name: as in `add_dataset`; unless given, "my-classes", with a number if that is taken.
        classes: class name -> its pictures.
        extra: pictures without a label, which are kept with the dataset. Copies of each other, and of pictures that
            stand in a split, are left out.
        size: side of the resized pictures in pixels, 32 or 64.
        progress: called with the number of pictures read so far and the number of all pictures.
        temporary: whether the dataset may be removed after `TEMPORARY_SECONDS`.

    Raises:
        ConfigError: the classes, a picture, the name or the size cannot be used.
        StoreError: the dataset cannot be written to the disk.
    """
    if name is not None:
        legal_name(name, DATASETS)
    if size not in SIZES:
        raise ConfigError(f"The size must be {SIZES[0]} or {SIZES[1]} pixels, not {size}.")
    class_names = _class_names(classes)
    total = sum(map(len, classes.values())) + len(extra)
    if total > MAX_PICTURES:
        raise ConfigError(f"At most {MAX_PICTURES:,} pictures can be used, not {total:,}; give a part of them.")
    labels = {one: label for label, one in enumerate(class_names)}
    pictures = _read(dict(zip(class_names, classes.values(), strict=True)), labels, size, progress, total)
    read_before = total - len(extra)
    unlabelled = _read({_NO_CLASS: extra}, {_NO_CLASS: 0}, size, lambda done, _: progress(read_before + done, total), 0)
    _check_twins(class_names, pictures)
    dataset, notes = split_pictures(name or _DEFAULT_NAME, class_names, {"train": pictures}, share=HOLD_OUT_SHARE)
    others = _without_copies(unlabelled.images, dataset)
    expires = time.time() + TEMPORARY_SECONDS if temporary else None
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with FileLock(folder() / ".given.lock"):  # two visitors may teach at the same moment
            named = dataset if name else replace(dataset, name=_free_name())
            return info_of(save_dataset(named, GIVEN, 0, notes, others, expires))
    except OSError as error:
        raise StoreError(f"The pictures could not be saved ({error.strerror}); free some disk space.") from error


def read_class_zip(data: bytes) -> Mapping[str, tuple[GivenPicture, ...]]:
    """Read the pictures in a zip of class folders, from memory; nothing is unpacked to the disk.

    Returns:
        class folder -> its picture files; those at the top of the zip stand under "". Hidden files and files that are
        no pictures are left out.

    Raises:
        ConfigError: the zip is damaged, too large, protected, or holds something that is not a folder of pictures.
    """
    return {name: tuple(GivenPicture(*file) for file in files) for name, files in read_folders(data).items()}


def _class_names(classes: Mapping[str, Sequence[GivenPicture]]) -> tuple[str, ...]:
    """Return a legal class name for each class.

    Raises:
        ConfigError: there are fewer than two classes, or two look the same.
    """
    if len(classes) < 2:
        raise ConfigError(f"At least two classes are needed, not {len(classes)}; add another class with its pictures.")
    for given, usable in zip(classes, usable_names(list(classes)), strict=True):
        if usable_names([given]) != (usable,):
            raise ConfigError(f'Two classes are called "{usable_names([given])[0]}"; give one of them another name.')
    return usable_names(list(classes))


def _read(
    classes: Mapping[str, Sequence[GivenPicture]], labels: Mapping[str, int], size: int, progress: Progress, total: int
) -> UnsplitPictures:
    """Read the pictures of all classes.

    Args:
        labels: class name -> hard label.
        total: number of pictures, for `progress`.

    Raises:
        ConfigError: one of them cannot be opened.
    """
    files = [EncodedPicture(one.name, name, one.data) for name, same in classes.items() for one in same]
    reader = PictureReader(labels, size, total, progress)
    pictures = reader.read(SourceSplit(len(files), lambda: iter(files)))
    if reader.unreadable:
        raise ConfigError(f"{reader.unreadable[0]} cannot be opened as a picture; remove it, or save it again.")
    return pictures


def _check_twins(class_names: Sequence[str], pictures: UnsplitPictures) -> None:
    """Refuse a picture that stands in two classes, because a teacher cannot be told both.

    Raises:
        ConfigError: there is one.
    """
    class_of: dict[str, int] = {}
    for hashed, label in zip(pixel_hashes(pictures.images), pictures.hard_labels.tolist(), strict=True):
        first = class_of.setdefault(hashed, label)
        if first != label:
            raise ConfigError(
                f'The same picture is in "{class_names[first]}" and in "{class_names[label]}"; remove it from one of '
                "them."
            )


def _without_copies(images: Tensor, dataset: Dataset) -> Tensor:
    """Return the pictures, uint8 [M, C, H, W], without copies of each other and of those in a split of the dataset."""
    seen = {hashed for name in SPLIT_NAMES for hashed in pixel_hashes(getattr(dataset, name).images)}
    rows = []
    for row, hashed in enumerate(pixel_hashes(images)):
        if hashed not in seen:
            seen.add(hashed)
            rows.append(row)
    return images[torch.tensor(rows, dtype=torch.int64)]


def _free_name() -> str:
    """Return a name that no own dataset and no teacher of this machine has."""
    name, number = _DEFAULT_NAME, 1
    while sheet_path(name).exists() or (paths.home() / "models" / f"{name}.json").exists():
        number += 1
        name = f"{_DEFAULT_NAME}-{number}"
    return name
