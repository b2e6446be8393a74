"""A user's own datasets: made from a folder of class folders, or from parquet files in the Hugging Face image layout.

Adding a dataset reads every picture once, resizes it, and saves the small pictures as tensors, with a JSON file of
facts (the sheet) beside them. The original pictures are neither moved nor needed afterwards; changes to them have no
effect until they are added again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from kdcore.datasets.base import Dataset, DatasetInfo, Split, hash_splits
from kdcore.datasets.kept import from_tensors, to_tensors
from kdcore.datasets.parquet import hold_out, read_parquet
from kdcore.errors import ConfigError, DatasetUnavailable, ModelFileError, PictureError, StoreError
from kdcore.machine import paths
from kdcore.machine.tensor_files import load_tensors, save_tensors, write_atomically

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SIZES = (32, 64)  # the sides in pixels that the networks of this project are made for
MAX_PICTURES = 50_000  # they take 600 MB of memory at 64 pixels a side
MIN_CLASS_PICTURES = 5  # readable train pictures that each class must have
HOLD_OUT_SHARE = 0.1  # share of the train pictures held out for validation, and for test if there are no test pictures
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_TRAIN, _TEST = ("train", "training"), ("test", "val", "valid", "validation")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class OwnSheet:
    """What is known of an own dataset without reading its pictures; saved as JSON beside the tensors.

    Attributes:
        origin: the folder or file that the pictures were read from.
        image_shape: (C, H, W).
        train_size: number of pictures in the train split.
        pictures: number of pictures in all splits.
        unreadable: number of files that could not be read as pictures and were left out.
        sha256: hash over the dataset's pixels and labels.
        tensors_sha256: hash of the file of tensors.
    """

    name: str
    origin: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train_size: int
    pictures: int
    unreadable: int
    sha256: str
    tensors_sha256: str


@dataclass(frozen=True)
class _UnsplitPictures:
    """Pictures before they are split.

    Attributes:
        images: uint8 [N, C, H, W].
        hard_labels: int64 [N].
        groups: N names; pictures with the same name are copies or crops of one picture and stay in one split.
    """

    images: Tensor
    hard_labels: Tensor
    groups: list[str]


def folder() -> Path:
    """Return the folder that holds the sheets and tensors of the user's own datasets; it may not exist yet."""
    return paths.home() / "datasets" / "own"


def list_own() -> tuple[DatasetInfo, ...]:
    """Return every own dataset, sorted by name; a dataset whose sheet is damaged is left out."""
    sheets = (_read_sheet(path) for path in sorted(folder().glob("*.json")))
    return tuple(_info(sheet) for sheet in sheets if sheet is not None)


def tensors_path(name: str) -> Path | None:
    """Return the file of an own dataset's tensors, or None if it does not exist."""
    path = folder() / f"{name}.safetensors"
    return path if path.is_file() else None


def add_dataset(
    path: Path,
    name: str | None = None,
    size: int | None = None,
    progress: Progress = lambda done, total: None,
    taken: Collection[str] = (),
) -> DatasetInfo:
    """Make a dataset of this machine from the pictures at `path`.

    Args:
        path: a folder with one folder a class (directly, or under `train` and `test`), a parquet file, or a folder with
            `train.parquet` and perhaps `test.parquet`.
        name: up to 32 small letters, digits and hyphens; made from the name of the folder or file unless given.
        size: side of the resized pictures in pixels, 32 or 64. Unless given, it is 64 for parquet files and for folders
            most of whose pictures are at least that large, and 32 otherwise.
        progress: called with the number of pictures read so far and the number of all pictures.

    Raises:
        ConfigError: the path, name, size or number of pictures cannot be used.
        DatasetUnavailable: the pictures cannot be read.
        StoreError: the dataset cannot be written to the disk.
    """
    path = path.expanduser().absolute()
    name = _legal_name(name or _name_from_path(path), taken)
    if size is not None and size not in SIZES:
        raise ConfigError(f"The size must be {SIZES[0]} or {SIZES[1]} pixels, not {size}.")
    if path.is_dir() and not (path / "train.parquet").is_file():
        train, test, class_names, unreadable = _read_folders(path, size, progress)
    elif path.suffix == ".parquet" or path.is_dir():
        train, test, class_names, unreadable = _read_parquets(path, size, progress)
    else:
        raise ConfigError(f"{path} is neither a folder nor a parquet file; give a folder with one folder a class.")
    dataset = _split(name, class_names, train, test)
    tensors = folder() / f"{name}.safetensors"
    sha256 = save_tensors(tensors, to_tensors(dataset))
    sheet = OwnSheet(
        name=name,
        origin=str(path),
        class_names=class_names,
        image_shape=dataset.image_shape,
        train_size=len(dataset.train),
        pictures=len(dataset.train) + len(dataset.validation) + len(dataset.test),
        unreadable=unreadable,
        sha256=dataset.sha256,
        tensors_sha256=sha256,
    )
    try:
        write_atomically(folder() / f"{name}.json", json.dumps(asdict(sheet), indent=1, ensure_ascii=False).encode())
    except OSError as error:
        raise StoreError(f"The facts of {name} could not be saved ({error.strerror}); free some disk space.") from error
    return _info(sheet)


def remove_dataset(name: str) -> None:
    """Remove an own dataset's sheet and tensors; the pictures that it was made from stay where they are.

    Raises:
        ConfigError: no own dataset has this name.
    """
    path = folder() / f"{name}.json"
    if not _NAME.fullmatch(name) or not path.is_file():
        own = ", ".join(info.name for info in list_own()) or "none yet"
        raise ConfigError(f'"{name[:40]}" is not one of your own datasets ({own}); only those can be removed.')
    path.unlink(missing_ok=True)
    path.with_suffix(".safetensors").unlink(missing_ok=True)


def _info(sheet: OwnSheet) -> DatasetInfo:
    side = sheet.image_shape[1]
    left_out = f" {sheet.unreadable:,} files could not be read." if sheet.unreadable else ""
    return DatasetInfo(
        name=sheet.name,
        title=sheet.name,
        source="your own",
        embedded=False,
        num_classes=len(sheet.class_names),
        train_size=sheet.train_size,
        description=f"{sheet.pictures:,} pictures of your own, {side}x{side}.{left_out}",
        load=partial(_load, sheet),
        image_shape=sheet.image_shape,
        terms=f"Added from {Path(sheet.origin).name}.",
    )


def _load(sheet: OwnSheet) -> Dataset:
    try:
        tensors, _ = load_tensors(folder() / f"{sheet.name}.safetensors", sheet.tensors_sha256)
        return from_tensors(sheet.name, sheet.class_names, sheet.class_names, tensors, sheet.sha256)
    except (ModelFileError, KeyError) as error:
        raise DatasetUnavailable(
            f"The copy of {sheet.name} is missing or damaged; add it again: "
            f"kdcore datasets add {sheet.origin} --name {sheet.name}."
        ) from error


def _read_sheet(path: Path) -> OwnSheet | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        values = {f.name: data[f.name] for f in fields(OwnSheet)}
        values["class_names"], values["image_shape"] = tuple(values["class_names"]), tuple(values["image_shape"])
        sheet = OwnSheet(**values)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return sheet if sheet.name == path.stem and _NAME.fullmatch(sheet.name) else None


def _name_from_path(path: Path) -> str:
    stem = path.stem if path.suffix == ".parquet" and path.stem not in (*_TRAIN, *_TEST) else ""
    words = re.sub(r"[^a-z0-9]+", "-", (stem or (path.parent if path.suffix == ".parquet" else path).name).lower())
    return words.strip("-")[:32].strip("-") or "own"


def _legal_name(name: str, taken: Collection[str]) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(f'"{name[:40]}" is no name for a dataset; use up to 32 small letters, digits and hyphens.')
    if name in taken:
        raise ConfigError(f'"{name}" is the name of a dataset that comes with the engine; give yours another (--name).')
    return name


def _read_folders(
    path: Path, size: int | None, progress: Progress
) -> tuple[_UnsplitPictures, _UnsplitPictures | None, tuple[str, ...], int]:
    train_dir = next((path / part for part in _TRAIN if (path / part).is_dir()), path)
    test_dir = next((path / part for part in _TEST if (path / part).is_dir()), None) if train_dir != path else None
    classes = sorted(entry.name for entry in train_dir.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    files = [(file, label) for label, name in enumerate(classes) for file in _pictures_in(train_dir / name)]
    test_files = [
        (file, label)
        for label, name in enumerate(classes)
        for file in (_pictures_in(test_dir / name) if test_dir is not None else ())
    ]
    total = len(files) + len(test_files)
    if len(classes) < 2 or not files:
        raise ConfigError(f"{path} does not hold at least two class folders with pictures in them.")
    if total > MAX_PICTURES:
        raise ConfigError(_too_many(path, total))
    size = size or _fitting_size([file for file, _label in files])
    read = _Reader(size, total, progress)
    train = read.all(files)
    test = read.all(test_files) if test_files else None
    return train, test, tuple(classes), read.unreadable


def _too_many(path: Path, pictures: int) -> str:
    return f"{path} holds {pictures:,} pictures, and at most {MAX_PICTURES:,} can be used; add a part of them."


def _pictures_in(place: Path) -> Iterator[Path]:
    files = sorted(place.rglob("*")) if place.is_dir() else []
    return (file for file in files if file.suffix.lower() in SUFFIXES and file.is_file())


def _fitting_size(files: list[Path]) -> int:
    """Return 64 if at least half of a sample of the files are at least 64 pixels on both sides, else 32."""
    from PIL import Image

    sides = []
    for file in files[:: max(1, len(files) // 50)]:
        try:
            with Image.open(file) as picture:
                sides.append(min(picture.size))
        except Exception:
            continue
    return SIZES[1] if sides and sorted(sides)[len(sides) // 2] >= SIZES[1] else SIZES[0]


class _Reader:
    """Reads files as square pictures of `size` x `size` pixels, and counts the files that cannot be read."""

    def __init__(self, size: int, total: int, progress: Progress) -> None:
        self.size, self.total, self.progress = size, total, progress
        self.done = self.unreadable = 0

    def all(self, files: list[tuple[Path, int]]) -> _UnsplitPictures:
        from kdcore.pictures.decode import MAX_BYTES, open_picture
        from kdcore.pictures.prepare import prepare_picture

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
        return _UnsplitPictures(torch.cat(images), torch.tensor(labels), groups)


def _read_parquets(
    path: Path, size: int | None, progress: Progress
) -> tuple[_UnsplitPictures, _UnsplitPictures | None, tuple[str, ...], int]:
    train_file = path / "train.parquet" if path.is_dir() else path
    test_file = train_file.with_name("test.parquet") if train_file.name == "train.parquet" else None
    size = size or SIZES[1]
    split, class_names, sources = read_parquet(train_file, size)
    progress(len(split), len(split))
    if len(split) > MAX_PICTURES:
        raise ConfigError(_too_many(path, len(split)))
    if len(class_names) < 2:
        raise ConfigError(f"{path} names fewer than two classes.")
    train = _UnsplitPictures(split.images, split.hard_labels, _groups(split, sources))
    if test_file is None or not test_file.is_file():
        return train, None, class_names, 0
    tested, test_names, test_sources = read_parquet(test_file, size)
    if test_names != class_names:
        raise DatasetUnavailable("train.parquet and test.parquet name different classes; they do not belong together.")
    return train, _UnsplitPictures(tested.images, tested.hard_labels, _groups(tested, test_sources)), class_names, 0


def _groups(split: Split, sources: list[str]) -> list[str]:
    """Return a group name for each picture: its source name up to "#", or a hash of its pixels if it has none.

    Crops of one original, or identical pictures, get the same name, so that they stay in one split.
    """
    return [
        source.split("#", 1)[0] if source not in ("", "None") else hashlib.sha256(image.numpy().tobytes()).hexdigest()
        for source, image in zip(sources, split.images, strict=True)
    ]


def _split(name: str, class_names: tuple[str, ...], train: _UnsplitPictures, test: _UnsplitPictures | None) -> Dataset:
    """Split pictures into train, validation and test; within a class, pictures of one group stay in one split.

    Without test pictures, `HOLD_OUT_SHARE` of the train pictures of each class become the test split. Otherwise, train
    pictures whose group is among the test pictures are dropped.

    Raises:
        ConfigError: a class has too few pictures.
        DatasetUnavailable: a label has no class name.
    """
    counts = train.hard_labels.bincount(minlength=len(class_names))
    if len(counts) > len(class_names) or int(train.hard_labels.min()) < 0:
        raise DatasetUnavailable("A label has no class name; check the file.")
    if int(counts.min()) < MIN_CLASS_PICTURES:
        smallest = class_names[int(counts.argmin())]
        raise ConfigError(
            f'The class "{smallest}" has {int(counts.min())} readable pictures, and each needs at least '
            f"{MIN_CLASS_PICTURES}."
        )
    images, labels, groups = train.images, train.hard_labels, train.groups
    if test is None:
        rest, held = hold_out(labels, groups, HOLD_OUT_SHARE)
        tested = Split(images[held], labels[held])
    else:
        unseen = set(test.groups)
        rest = torch.tensor([row for row, group in enumerate(groups) if group not in unseen], dtype=torch.int64)
        tested = Split(test.images, test.hard_labels)
    kept_groups = [groups[row] for row in rest.tolist()]
    rows, held = hold_out(labels[rest], kept_groups, HOLD_OUT_SHARE)
    everything = Split(images[rest], labels[rest])
    learned, validated = everything.select(rows), everything.select(held)
    sha256 = hash_splits(learned, validated, tested)
    return Dataset(name, class_names, class_names, learned, validated, tested, sha256)
