"""Parquet files as a source of an own dataset: one file, or a folder as the Hugging Face Hub has it."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from kdcore.datasets.class_names import printable, usable_names
from kdcore.datasets.parquet import PictureTable, open_table
from kdcore.datasets.picture_reader import EncodedPicture, Source, SourceSplit, changed_names_notes, crop_origin
from kdcore.datasets.split_names import WORDS, is_hidden, split_of_file, split_of_folder
from kdcore.errors import ConfigError

SUFFIX = ".parquet"
_MAX_DEPTH = 4  # folders below the given one: CONFIG/data/train/ and one more
_SHARD = re.compile(r"(.*)-(\d+)-of-(\d+)")


def parquet_files(path: Path) -> dict[str, list[Path]]:
    """Return split -> its parquet files in their order; empty if there are none.

    A file is taken alone, unless it is called `train.parquet`: then files of other splits beside it are taken too. In
    a folder, files whose names tell no split are train.

    Args:
        path: a parquet file, or a folder that holds such files, perhaps in folders of its own.
    """
    if path.is_file():
        return _files_beside(path) if path.suffix.lower() == SUFFIX else {}
    found: dict[str, list[Path]] = {}
    for file in _walk(path):
        found.setdefault(split_of_file(file.relative_to(path)) or "train", []).append(file)
    return {"train": next(iter(found.values()))} if len(found) == 1 else found


def _files_beside(path: Path) -> dict[str, list[Path]]:
    files = {"train": [path]}
    if path.stem.lower() in WORDS["train"]:
        for file in sorted(path.parent.iterdir()):
            split = split_of_folder(file.stem)
            if split is not None and file.suffix.lower() == SUFFIX and file.is_file():
                files.setdefault(split, [file])
    return files


def _walk(path: Path) -> list[Path]:
    files: list[Path] = []
    for parent, folders, names in os.walk(path):
        deep = len(Path(parent).relative_to(path).parts) >= _MAX_DEPTH
        folders[:] = [] if deep else sorted(name for name in folders if not is_hidden(name))
        files += [Path(parent, name) for name in sorted(names) if name.lower().endswith(SUFFIX) and not is_hidden(name)]
    return files


def find_parquets(path: Path, files: dict[str, list[Path]]) -> Source:
    """Find the pictures in the parquet files that `parquet_files` found.

    Raises:
        ConfigError: the files hold fewer than two classes, or several sets of pictures.
        DatasetUnavailable: a file is damaged, or has columns that cannot be used.
    """
    shown = printable(path.name)
    if "train" not in files:
        raise ConfigError(f"{shown} holds {' and '.join(sorted(files))} files but none of train; add the train files.")
    _check_one_set(path, files)
    tables = {split: [open_table(file) for file in same] for split, same in files.items()}
    rows = {split: [name for table in same for name in _row_names(table)] for split, same in tables.items()}
    listed = dict.fromkeys(name for table in tables["train"] for name in usable_names(table.class_names or ()))
    learned = _in_order({name for name in rows["train"] if name is not None and name not in listed})
    others = _in_order({name for same in rows.values() for name in same if name is not None} - {*listed, *learned})
    found = [*listed, *learned, *others]
    legal = dict(zip(found, usable_names(found), strict=True))
    classes = tuple(legal[name] for name in (*listed, *learned))
    if len(classes) < 2:
        raise ConfigError(f"{shown} names fewer than two classes; at least two are needed.")
    splits = {
        split: SourceSplit(len(rows[split]), partial(_read, same, [name and legal[name] for name in rows[split]]))
        for split, same in tables.items()
    }
    hub_names = {
        pair: None
        for table in tables["train"]
        for pair in zip(table.class_names or (), usable_names(table.class_names or ()), strict=True)
    }
    return Source(classes, splits, (*shard_notes(files), *changed_names_notes([*hub_names, *legal.items()])))


def _row_names(table: PictureTable) -> list[str | None]:
    """Return the class name of each row, None where there is no label.

    Of equal names in the Hub's list of classes, the later ones get a number, so that a name is one class.
    """
    if table.class_names is None:
        return [None if label is None else unicodedata.normalize("NFC", str(label)) for label in table.labels()]
    names = usable_names(table.class_names)
    return [None if label is None else names[int(label)] for label in table.labels()]


def _in_order(names: Iterable[str]) -> list[str]:
    """Sort names by alphabet, and numbers before them by value."""
    return sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def _check_one_set(path: Path, files: dict[str, list[Path]]) -> None:
    """Refuse a folder with several configurations, as the Hub calls sets of the same pictures in other forms.

    Raises:
        ConfigError: there are several.
    """
    if path.is_file():
        return
    folders: set[str] = set()
    for file in (file for same in files.values() for file in same):
        parts = file.relative_to(path).parts[:-1]
        folders.add("/".join(part for part in parts if part.lower() != "data" and not split_of_file(Path(part))))
    if len(folders) > 1:
        names = ", ".join(printable(name) or "files beside them" for name in sorted(folders))
        raise ConfigError(f"{printable(path.name)} holds several sets of pictures ({names}); add one of these folders.")


def shard_notes(files: dict[str, list[Path]]) -> list[str]:
    """Return a sentence for each split of which a part is missing, by names such as `train-00000-of-00002.parquet`."""
    notes = []
    for split, same in files.items():
        parts: dict[tuple[Path, str, int], set[int]] = {}
        for file in same:
            if found := _SHARD.match(file.stem):
                key = (file.parent, found.group(1), int(found.group(3)))
                parts.setdefault(key, set()).add(int(found.group(2)))
        for (_, _, total), numbers in parts.items():
            if len(numbers) < total:
                notes.append(f"Only {len(numbers):,} of {total:,} parts of the {split} pictures are read.")
    return notes


def _read(tables: list[PictureTable], rows: list[str | None], sample: int | None = None) -> Iterator[EncodedPicture]:
    names = iter(rows)
    for table in tables:
        step = max(1, table.rows // sample) if sample else 1  # the first rows are often all of one class
        for number, (source, data) in enumerate(table.pictures()):
            class_name = next(names)
            if number % step == 0:
                name = f"{table.path.name} row {number}"
                yield EncodedPicture(name, class_name, data, crop_origin(source))
