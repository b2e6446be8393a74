"""Read the pictures of a user's own dataset, from a folder of class folders or from parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kdcore.datasets.class_names import printable
from kdcore.datasets.folder_source import find_folders
from kdcore.datasets.parquet_source import find_parquets, parquet_files
from kdcore.datasets.picture_reader import PictureReader, Progress, fitting_size
from kdcore.datasets.splits import UnsplitPictures
from kdcore.errors import ConfigError, DatasetUnavailable

MAX_PICTURES = 50_000  # they take 600 MB of memory at 64 pixels a side


@dataclass(frozen=True)
class SourcePictures:
    """What was read from a folder or file.

    Attributes:
        splits: split -> its pictures; `train` is there, and no split is empty.
        unreadable: number of files that could not be read as pictures and were left out.
        notes: whole sentences about what was left out.
    """

    splits: dict[str, UnsplitPictures]
    class_names: tuple[str, ...]
    unreadable: int
    notes: tuple[str, ...]


def read_source(path: Path, size: int | None, progress: Progress) -> SourcePictures:
    """Read all pictures at `path`; the arguments are those of `add_dataset`.

    Raises:
        ConfigError: the path or its number of pictures cannot be used.
        DatasetUnavailable: the pictures cannot be read.
    """
    shown = printable(str(path))
    try:
        files = parquet_files(path)
        if not files and not path.is_dir():
            raise ConfigError(f"{shown} is neither a folder nor a parquet file; give a folder with one folder a class.")
        source = find_parquets(path, files) if files else find_folders(path)
    except OSError as error:
        raise DatasetUnavailable(f"{shown} could not be read ({error.strerror}); check its permissions.") from error
    total = sum(split.count for split in source.splits.values())
    if total > MAX_PICTURES:
        raise ConfigError(
            f"{shown} holds {total:,} pictures, and at most {MAX_PICTURES:,} can be used; add a part of them."
        )
    labels = {name: label for label, name in enumerate(source.class_names)}
    reader = PictureReader(labels, size or fitting_size(source.splits["train"]), total, progress)
    read = {name: reader.read(split) for name, split in source.splits.items()}
    splits = {name: pictures for name, pictures in read.items() if len(pictures)}
    if "train" not in splits:
        raise DatasetUnavailable(
            "None of the train pictures could be read, or none has a label; check that they open elsewhere."
        )
    return SourcePictures(splits, source.class_names, len(reader.unreadable), (*reader.notes(), *source.notes))
