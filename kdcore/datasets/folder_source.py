"""Folders of pictures as a source of an own dataset: one folder a class, perhaps under one folder a split."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kdcore.datasets.class_names import printable, usable_names
from kdcore.datasets.picture_reader import (
    EncodedPicture,
    Source,
    SourceSplit,
    changed_names_notes,
    counted,
    shortened,
)
from kdcore.datasets.split_names import is_hidden, split_in_name, split_of_folder
from kdcore.errors import ConfigError
from kdcore.pictures.decode import FORMATS_TEXT, MAX_BYTES
from kdcore.pictures.headers import starts_like_a_picture

_HEAD_BYTES = 512


@dataclass
class _Listing:
    """The picture files that were found, and what was not taken.

    Attributes:
        files: split -> (file, class folder's name) of each picture.
        hidden: number of files and folders that are hidden or the system's.
        others: files that are no pictures.
        outside: number of files beside the class folders.
        empty: names of class folders without a picture.
        beside: names of folders beside those of the splits.
    """

    files: dict[str, list[tuple[Path, str]]] = field(default_factory=dict)
    hidden: int = 0
    others: list[Path] = field(default_factory=list)
    outside: int = 0
    empty: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        notes = []
        if self.others:
            kinds = Counter(file.suffix.lower() or "no suffix" for file in self.others)
            named = ", ".join(f"{count:,} {printable(kind)}" for kind, count in kinds.most_common(3))
            notes.append(f"{counted(len(self.others), 'file')} left out that are not {FORMATS_TEXT} ({named}).")
        if self.hidden:
            notes.append(f"{counted(self.hidden, 'hidden file or folder', 'hidden files or folders')} left out.")
        if self.outside:
            notes.append(f"{counted(self.outside, 'file')} beside the class folders left out.")
        if self.empty:
            notes.append(f"Folders without a picture are no classes ({shortened(self.empty)}).")
        if self.beside:
            notes.append(f"Folders beside those of the splits left out ({shortened(self.beside)}).")
        return notes


def find_folders(path: Path) -> Source:
    """Find the pictures in the class folders of `path`, or of its folders `train`, `val` and `test` of any case.

    What is a picture is decided by the first bytes of a file, whatever its name. Hidden files and folders are left out
    at any depth; links are followed.

    Raises:
        ConfigError: there are no two class folders, or the folders are not unmistakable.
    """
    listing = _Listing()
    for split, folder in _split_folders(path, listing).items():
        listing.files[split] = _labelled_files(folder, listing)
    folders = sorted({name for _, name in listing.files["train"]})
    if len(folders) < 2:
        left_out = " ".join(["", *listing.notes()])
        raise ConfigError(f"{printable(str(path))} does not hold at least two class folders with pictures.{left_out}")
    names = dict(zip(folders, usable_names(folders), strict=True))
    splits = {
        split: SourceSplit(len(files), partial(_read, path, files, names))
        for split, files in listing.files.items()
        if files
    }
    return Source(tuple(names.values()), splits, (*listing.notes(), *changed_names_notes(names.items())))


def _split_folders(path: Path, listing: _Listing) -> dict[str, Path]:
    """Return split -> its folder; `path` itself is `train` if it has no folders of splits.

    A folder called `train` is a split only if it holds folders or nothing but splits stand beside it, because it may
    also be a class. Where no folder is called so, names such as `seg_train` and `test_set` count together.

    Raises:
        ConfigError: there are test folders without train folders, or two folders of one split.
    """
    folders = _visible_folders(path)
    found = _by_split(folders, split_of_folder)
    if not found and {"train"} < (worded := _by_split(folders, split_in_name)).keys():
        found = worded
    named = sum(split_of_folder(folder.name) is not None for folder in folders)
    if not found and not (named and named == len(folders)):
        return {"train": path}
    shown = printable(str(path))
    if double := next((same for same in found.values() if len(same) > 1), None):
        names = " and ".join(printable(folder.name) for folder in double)
        raise ConfigError(f"{shown} holds {names}, which are one split; put their class folders into one of them.")
    if "train" not in found and (named == len(folders) or _hold_same_classes(found, folders)):
        names = shortened([printable(folder.name) for folder in folders])
        raise ConfigError(
            f"{shown} holds {names}, but no folder of splits with a folder for each class among the train pictures; "
            "put the pictures into train/CLASS/."
        )
    if "train" not in found:
        return {"train": path}
    listing.beside = [printable(folder.name) for folder in folders if [folder] not in found.values()]
    return {split: _without_wrapping(same[0], split) for split, same in found.items()}


def _by_split(folders: list[Path], split_of: Callable[[str], str | None]) -> dict[str, list[Path]]:
    """Return split -> the folders that hold folders and whose names are that split's."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        if (split := split_of(folder.name)) is not None and _visible_folders(folder):
            found.setdefault(split, []).append(folder)
    return found


def _hold_same_classes(found: dict[str, list[Path]], folders: list[Path]) -> bool:
    """Whether a folder of a split holds folders with the names of those beside it, which are the classes, then."""
    classes = {folder.name for folder in folders}
    return any(
        inner.name in classes for same in found.values() for folder in same for inner in _visible_folders(folder)
    )


def _without_wrapping(folder: Path, split: str) -> Path:
    """Return the folder that holds the class folders, in archives often `train/train`."""
    inner = _visible_folders(folder)
    if len(inner) == 1 and split_in_name(inner[0].name) == split and _visible_folders(inner[0]):
        return inner[0]
    return folder


def _visible_folders(path: Path) -> list[Path]:
    try:
        return sorted(entry for entry in path.iterdir() if not is_hidden(entry.name) and entry.is_dir())
    except OSError:  # a folder that may not be read has nothing to offer
        return []


def _labelled_files(folder: Path, listing: _Listing) -> list[tuple[Path, str]]:
    """Return the picture files in the class folders of `folder`, each with its class folder's name in NFC.

    Raises:
        ConfigError: two class folders have the same name but for the way that their letters are encoded.
    """
    files: list[tuple[Path, str]] = []
    classes: dict[str, Path] = {}
    for class_folder in _visible_folders(folder):
        name = unicodedata.normalize("NFC", class_folder.name)
        if name in classes:
            raise ConfigError(
                f'Two folders in {printable(str(folder))} are called "{printable(name)}", in different encodings of '
                "the same letters; put their pictures into one folder, or rename one."
            )
        classes[name] = class_folder
        found = [(file, name) for file in _picture_files(class_folder, listing)]
        if not found:
            listing.empty.append(printable(name))
        files += found
    beside = list(folder.iterdir())
    listing.hidden += sum(is_hidden(entry.name) for entry in beside)
    listing.outside += sum(not is_hidden(entry.name) and entry.is_file() for entry in beside)
    return files


def _picture_files(folder: Path, listing: _Listing) -> list[Path]:
    files: list[Path] = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link back to a folder that was read already
            folders.clear()
            continue
        seen.add(real)
        listing.hidden += sum(is_hidden(name) for name in (*folders, *names))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in sorted(name for name in names if not is_hidden(name)):
            file = Path(parent, name)
            (files if _is_picture(file) else listing.others).append(file)
    return files


def _is_picture(file: Path) -> bool:
    """Whether a file begins like a picture; also if it cannot be opened, which is reported when it is read."""
    try:
        if not file.is_file():  # a broken link, or a pipe, which would never end
            return False
        with file.open("rb") as opened:
            return starts_like_a_picture(opened.read(_HEAD_BYTES))
    except OSError:
        return True


def _read(
    path: Path, files: list[tuple[Path, str]], names: dict[str, str], sample: int | None = None
) -> Iterator[EncodedPicture]:
    step = max(1, len(files) // sample) if sample else 1
    for file, class_name in files[::step]:
        try:
            with file.open("rb") as opened:
                data: bytes | None = opened.read(MAX_BYTES + 1)
        except OSError:
            data = None
        name = str(file.relative_to(path))
        yield EncodedPicture(name, names.get(class_name, printable(class_name)), data)
