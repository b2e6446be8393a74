"""Finding, downloading and loading the published datasets that torchvision knows.

Download addresses and checksums are torchvision's. Files are searched in `KDCORE_DATA` first, which is only read, then
in the data directory. Parquet files in the Hugging Face layout can be used instead of the original files.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from kdcore.datasets.base import Dataset, Split
from kdcore.datasets.cache import cache_path, load_cached
from kdcore.datasets.class_names import usable_names
from kdcore.datasets.parquet import read_parquet
from kdcore.datasets.parquet_source import parquet_files
from kdcore.datasets.published_copies import (
    CIFAR,
    IDX,
    PARQUET,
    cifar_is_complete,
    copies,
    first_that_loads,
    problem_of,
    read_idx_files,
    torchvision_source,
)
from kdcore.datasets.published_sets import PUBLISHED, Published
from kdcore.datasets.splits import check_labels, distinct_splits, split_published
from kdcore.errors import DatasetUnavailable
from kdcore.machine import paths
from kdcore.machine.download import FetchProgress, RemoteFile, fetch

__all__ = ["PUBLISHED", "download_bytes", "fetch_files", "find", "load", "remote_files"]


def remote_files(spec: Published) -> tuple[RemoteFile, ...]:
    """Return the files to download, with torchvision's addresses and checksums."""
    source = torchvision_source(spec)
    if not spec.is_idx:
        return (RemoteFile(source.filename, (source.url,), source.tgz_md5, spec.sizes[0]),)
    return tuple(
        RemoteFile(name, tuple(mirror + name for mirror in source.mirrors), md5, size)
        for (name, md5), size in zip(source.resources, spec.sizes, strict=True)
    )


def download_bytes(spec: Published) -> int:
    """Return the approximate size of the download in bytes."""
    return sum(spec.sizes)


def find(spec: Published) -> tuple[Path | None, str]:
    """Return the folder of the first copy of the dataset that can be used, and what is wrong with one before it.

    Returns:
        The folder, None if there is none; and one sentence about the first copy that is damaged, empty if none is.
    """
    wrong = ""
    for copy in copies(spec):
        if not (problem := problem_of(spec, copy)):
            return copy.folder, wrong
        wrong = wrong or problem
    return None, wrong


def load(spec: Published) -> Dataset | None:
    """Load the first copy of the dataset that can be read; return None if there is no copy on this machine.

    Raises:
        DatasetUnavailable: there are copies, and all are damaged; the message is about the first.
    """
    return first_that_loads(lambda copy: _LOADERS[copy.kind](spec, copy.folder), copies(spec))


def fetch_files(spec: Published) -> Iterator[FetchProgress]:
    """Download the files that are missing or damaged into the data directory, and unpack an archive.

    Yields:
        How far the download is.

    Raises:
        DownloadFailed: a file could not be downloaded or saved, or its checksum is wrong; the message says why.
        DatasetUnavailable: the archive could not be unpacked, or is incomplete.
    """
    folder = paths.home() / "datasets" / spec.name
    files = remote_files(spec)
    total, before = download_bytes(spec), 0
    for remote in files:
        if not spec.is_idx and cifar_is_complete(spec, folder):
            return
        for done in fetch(remote, folder):
            yield FetchProgress(remote.name, before + min(done, remote.size), total)
        before += remote.size
    if not spec.is_idx:
        _unpack(spec, folder)


def _load_idx(spec: Published, folder: Path) -> Dataset:
    images, labels, test_images, test_labels = read_idx_files(spec, folder)
    everything = Split(images[:, None], labels.long())
    test = Split(test_images[:, None], test_labels.long())
    return _hold_out_last(spec, everything, test, spec.class_names)


def _load_cifar(spec: Published, folder: Path) -> Dataset:
    """Load CIFAR through torchvision, which unpickles the files only after checking their checksums."""
    source = torchvision_source(spec)
    try:
        parts = [source(folder, train=train, download=False) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise DatasetUnavailable(
            f"The files of {spec.name} in {folder} are damaged; kdcore datasets get {spec.name} fetches them again."
        ) from error
    everything, test = (
        Split(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets))
        for part in parts
    )
    return _hold_out_last(spec, everything, test, tuple(parts[0].classes))


def _hold_out_last(spec: Published, everything: Split, test: Split, class_names: tuple[str, ...]) -> Dataset:
    """Return the dataset; the last pictures of `everything` become the validation split."""
    train_size = len(everything) - round(len(everything) * spec.validation_share)
    train_rows, validation_rows = torch.arange(len(everything)).tensor_split([train_size])
    splits = distinct_splits(everything.select(train_rows), everything.select(validation_rows), test)
    return _dataset(spec, class_names, *splits)


def _dataset(spec: Published, class_names: tuple[str, ...], train: Split, validation: Split, test: Split) -> Dataset:
    superclasses = tuple(spec.superclasses.get(name, name) for name in class_names)
    return check_labels(Dataset.from_splits(spec.name, class_names, superclasses, train, validation, test))


def _load_parquet(spec: Published, folder: Path) -> Dataset:
    files = parquet_files(folder)

    def read() -> Dataset:
        train = [_read_table(spec, file) for file in files["train"]]
        test = [_read_table(spec, file) for file in files["test"]]
        class_names = train[0][1]
        if any(names != class_names for _, names, _ in (*train, *test)):
            raise DatasetUnavailable(f"The parquet files of {spec.name} name different classes; fetch them again.")
        sources = [name for _, _, names in train for name in names]
        uses = Counter(sources)  # the Hub keeps only a file's own name, so equal names say nothing
        unique = [name if uses[name] == 1 else "" for name in sources]
        everything, test_split = (_joined([split for split, _, _ in parts]) for parts in (train, test))
        splits = split_published(everything, unique, test_split, spec.validation_share)
        return _dataset(spec, class_names, *splits)

    return load_cached(cache_path(spec.name, [*files["train"], *files["test"]]), read)


def _read_table(spec: Published, file: Path) -> tuple[Split, tuple[str, ...], list[str]]:
    """Read one parquet file; its labels are in the order of the returned class names, which is ours where it can be.

    Raises:
        DatasetUnavailable: the file is damaged, or does not hold the dataset.
    """
    channels, size, _ = spec.image_shape
    split, names, sources = read_parquet(file, size, channels)
    if names is None or names == spec.class_names:
        return split, spec.class_names, sources
    if len(names) != len(spec.class_names):
        raise DatasetUnavailable(f"{file.name} in {file.parent} does not hold the classes of {spec.name}.")
    if set(names) != set(spec.class_names):
        return split, usable_names(names), sources
    places = torch.tensor([spec.class_names.index(name) for name in names])
    return Split(split.images, places[split.hard_labels]), spec.class_names, sources


def _joined(splits: list[Split]) -> Split:
    return Split(torch.cat([split.images for split in splits]), torch.cat([split.hard_labels for split in splits]))


def _unpack(spec: Published, folder: Path) -> None:
    """Unpack the archive to its folder, which appears only when it is complete, and then remove the archive.

    Raises:
        DatasetUnavailable: the archive could not be unpacked, or is incomplete.
    """
    source = torchvision_source(spec)
    archive, target = folder / source.filename, folder / source.base_folder
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack-") as scratch:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
            shutil.rmtree(target, ignore_errors=True)
            (Path(scratch) / source.base_folder).rename(target)
    except (EOFError, tarfile.TarError, zlib.error) as error:
        archive.unlink(missing_ok=True)
        raise DatasetUnavailable(f"{archive.name} is damaged ({error}); try again.") from error
    except OSError as error:
        raise DatasetUnavailable(
            f"{archive.name} could not be unpacked in {folder} ({error}); free some disk space and try again."
        ) from error
    if cifar_is_complete(spec, folder):
        archive.unlink(missing_ok=True)
    else:
        raise DatasetUnavailable(f"{archive.name} does not hold all of {spec.name}; try again.")


_LOADERS: dict[str, Callable[[Published, Path], Dataset]] = {
    IDX: _load_idx,
    PARQUET: _load_parquet,
    CIFAR: _load_cifar,
}
