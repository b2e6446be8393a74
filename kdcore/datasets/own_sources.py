"""Read the pictures of a user's own dataset, from a folder of class folders or from parquet files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from kdcore.datasets.base import Split
from kdcore.datasets.parquet import read_parquet
from kdcore.datasets.splits import UnsplitPictures
from kdcore.errors import ConfigError, DatasetUnavailable, PictureError
from kdcore.pictures.decode import MAX_BYTES, open_picture
from kdcore.pictures.prepare import prepare_picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SIZES = (32, 64)  # the sides in pixels that the networks of this project are made for
MAX_PICTURES = 50_000  # they take 600 MB of memory at 64 pixels a side
TRAIN_NAMES = ("train", "training")  # of folders and of parquet files
TEST_NAMES = ("test", "val", "valid", "validation")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SourcePictures:
    """What was read from a folder or file.

    Attributes:
        test: None if the source has no test pictures of its own.
        unreadable: number of files that could not be read as pictures and were left out.
    """

    train: UnsplitPictures
    test: UnsplitPictures | None
    class_names: tuple[str, ...]
    unreadable: int


def read_source(path: Path, size: int | None, progress: Progress) -> SourcePictures:
    """Read all pictures at `path`; the arguments are those of `add_dataset`.

    Raises:
        ConfigError: the path or its number of pictures cannot be used.
        DatasetUnavailable: the pictures cannot be read.
    """
    if path.is_dir() and not (path / "train.parquet").is_file():
        return _read_folders(path, size, progress)
    if path.suffix == ".parquet" or path.is_dir():
        return _read_parquets(path, size, progress)
    raise ConfigError(f"{path} is neither a folder nor a parquet file; give a folder with one folder a class.")


def _read_folders(path: Path, size: int | None, progress: Progress) -> SourcePictures:
    train_folder = next((path / name for name in TRAIN_NAMES if (path / name).is_dir()), path)
    classes = sorted(
        entry.name for entry in train_folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    files = _labelled_files(train_folder, classes)
    test_files: list[tuple[Path, int]] = []
    if train_folder != path:
        test_folder = next((path / name for name in TEST_NAMES if (path / name).is_dir()), None)
        test_files = [] if test_folder is None else _labelled_files(test_folder, classes)
    total = len(files) + len(test_files)
    if len(classes) < 2 or not files:
        raise ConfigError(f"{path} does not hold at least two class folders with pictures in them.")
    if total > MAX_PICTURES:
        raise ConfigError(_too_many(path, total))
    reader = _Reader(size or _fitting_size([file for file, _ in files]), total, progress)
    train = reader.read_all(files)
    test = reader.read_all(test_files) if test_files else None
    return SourcePictures(train, test, tuple(classes), reader.unreadable)


def _labelled_files(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    """Return the picture files in the class folders of `folder`, each with its hard label."""
    return [(file, label) for label, name in enumerate(classes) for file in _picture_files(folder / name)]


def _picture_files(folder: Path) -> Iterator[Path]:
    files = sorted(folder.rglob("*")) if folder.is_dir() else []
    return (file for file in files if file.suffix.lower() in SUFFIXES and file.is_file())


def _too_many(path: Path, pictures: int) -> str:
    return f"{path} holds {pictures:,} pictures, and at most {MAX_PICTURES:,} can be used; add a part of them."


def _fitting_size(files: list[Path]) -> int:
    """Return 64 if at least half of a sample of the files are at least 64 pixels on both sides, else 32."""
    sides = []
    for file in files[:: max(1, len(files) // 50)]:
        try:
            with Image.open(file) as picture:
                sides.append(min(picture.size))
        except Exception:  # it is counted as unreadable later
            continue
    return SIZES[1] if sides and sorted(sides)[len(sides) // 2] >= SIZES[1] else SIZES[0]


class _Reader:
    """Reads files as square pictures of `size` x `size` pixels, and counts the files that cannot be read."""

    def __init__(self, size: int, total: int, progress: Progress) -> None:
        self.size, self.total, self.progress = size, total, progress
        self.done = self.unreadable = 0

    def read_all(self, files: list[tuple[Path, int]]) -> UnsplitPictures:
        images: list[Tensor] = []
        labels: list[int] = []
        groups: list[str] = []
        for file, label in files:
            self.done += 1
            self.progress(self.done, self.total)
            try:
                with file.open("rb") as opened:
                    data = opened.read(MAX_BYTES + 1)
                images.append(prepare_picture(open_picture(data, file.name), (3, self.size, self.size)))
            except (OSError, PictureError):
                self.unreadable += 1
                continue
            labels.append(label)
            groups.append(hashlib.sha256(data).hexdigest())
        if not images:
            raise DatasetUnavailable("None of the files could be read as a picture; check that they open elsewhere.")
        return UnsplitPictures(torch.cat(images), torch.tensor(labels), groups)


def _read_parquets(path: Path, size: int | None, progress: Progress) -> SourcePictures:
    train_file = path / "train.parquet" if path.is_dir() else path
    test_file = train_file.with_name("test.parquet") if train_file.name == "train.parquet" else None
    size = size or SIZES[1]
    train, class_names, train_sources = read_parquet(train_file, size)
    progress(len(train), len(train))
    if len(train) > MAX_PICTURES:
        raise ConfigError(_too_many(path, len(train)))
    if len(class_names) < 2:
        raise ConfigError(f"{path} names fewer than two classes.")
    if test_file is None or not test_file.is_file():
        return SourcePictures(_grouped(train, train_sources), None, class_names, unreadable=0)
    test, test_names, test_sources = read_parquet(test_file, size)
    if test_names != class_names:
        raise DatasetUnavailable("train.parquet and test.parquet name different classes; they do not belong together.")
    return SourcePictures(_grouped(train, train_sources), _grouped(test, test_sources), class_names, unreadable=0)


def _grouped(split: Split, sources: list[str]) -> UnsplitPictures:
    """Give each picture a group name: its source name up to "#", or a hash of its pixels if it has none.

    Crops of one original, or identical pictures, get the same name, so that they stay in one split.
    """
    groups = [
        source.split("#", 1)[0] if source not in ("", "None") else hashlib.sha256(image.numpy().tobytes()).hexdigest()
        for source, image in zip(sources, split.images, strict=True)
    ]
    return UnsplitPictures(split.images, split.hard_labels, groups)
