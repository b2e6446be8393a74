"""Finding, downloading and loading the published datasets that torchvision knows.

Download addresses and checksums are torchvision's. Files are searched in `KDCORE_DATA` first, which is only read, then
in the data directory. Parquet files in the Hugging Face layout can be used instead of the original files.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from kdcore.datasets.base import Dataset, Split
from kdcore.datasets.cache import cache_path, load_cached
from kdcore.datasets.idx import read_idx
from kdcore.datasets.parquet import read_parquet
from kdcore.datasets.published_sets import IDX_FILES, Published
from kdcore.datasets.splits import hold_out
from kdcore.errors import DatasetUnavailable
from kdcore.machine import paths
from kdcore.machine.download import FetchProgress, RemoteFile, fetch

PARQUET_FILES = ("train.parquet", "test.parquet")


def remote_files(spec: Published) -> tuple[RemoteFile, ...]:
    """Return the files to download, with torchvision's addresses and checksums."""
    source = _torchvision(spec)
    if not spec.is_idx:
        return (RemoteFile(source.filename, (source.url,), source.tgz_md5, spec.sizes[0]),)
    return tuple(
        RemoteFile(name, tuple(mirror + name for mirror in source.mirrors), md5, size)
        for (name, md5), size in zip(source.resources, spec.sizes, strict=True)
    )


def download_bytes(spec: Published) -> int:
    """Return the approximate size of the download in bytes."""
    return sum(spec.sizes)


def find(spec: Published) -> Path | None:
    """Return a folder that has all the files of the dataset, or None if there is none; reads no pictures."""
    folders = [paths.home() / "datasets" / spec.name]
    data_folder = paths.data()
    if data_folder is not None:
        folders = [data_folder / spec.name, data_folder / spec.folder / "raw", data_folder / spec.folder, *folders]
    for folder in folders:
        if _has_idx(folder, spec) or _has_parquet(folder) or _has_cifar(folder, spec):
            return folder
    return None


def load(spec: Published) -> Dataset | None:
    """Load the dataset; return None if it is not on this machine.

    Raises:
        DatasetUnavailable: its files are damaged.
    """
    folder = find(spec)
    if folder is None:
        return None
    if _has_idx(folder, spec):
        return _load_idx(spec, folder)
    return _load_parquet(spec, folder) if _has_parquet(folder) else _load_cifar(spec, folder)


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
        if not spec.is_idx and _has_cifar(folder, spec) and _cifar_is_complete(spec, folder):
            return
        for done in fetch(remote, folder):
            yield FetchProgress(remote.name, before + min(done, remote.size), total)
        before += remote.size
    if not spec.is_idx:
        _unpack(spec, folder)


def _torchvision(spec: Published) -> Any:
    from kdcore.machine.torchvision_import import published_dataset  # loads torchvision, which takes seconds

    return published_dataset(spec.torchvision_name)


def _has_idx(folder: Path, spec: Published) -> bool:
    return spec.is_idx and paths.has_files(folder, IDX_FILES)


def _has_parquet(folder: Path) -> bool:
    return paths.has_files(folder, PARQUET_FILES)


def _has_cifar(folder: Path, spec: Published) -> bool:
    if spec.is_idx:
        return False
    source_folder = {"CIFAR10": "cifar-10-batches-py", "CIFAR100": "cifar-100-python"}[spec.torchvision_name]
    return (folder / source_folder).is_dir()


def _load_idx(spec: Published, folder: Path) -> Dataset:
    images, labels, test_images, test_labels = (read_idx(folder / name) for name in IDX_FILES)
    for part_images, part_labels in ((images, labels), (test_images, test_labels)):
        lengths_differ = len(part_images) != len(part_labels)
        if part_images.ndim != 3 or part_labels.ndim != 1 or lengths_differ or not len(part_labels):
            raise DatasetUnavailable(f"The files of {spec.name} in {folder} do not fit together; fetch them again.")
        if int(part_labels.max()) >= len(spec.class_names):
            raise DatasetUnavailable(
                f"The files of {spec.name} in {folder} hold labels of classes that it does not have; fetch them again."
            )
    everything = Split(images[:, None], labels.long())
    test = Split(test_images[:, None], test_labels.long())
    return _hold_out_last(spec, everything, test, spec.class_names)


def _load_cifar(spec: Published, folder: Path) -> Dataset:
    """Load CIFAR through torchvision, which unpickles the files only after checking their checksums."""
    source = _torchvision(spec)
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
    return _dataset(spec, class_names, everything.select(train_rows), everything.select(validation_rows), test)


def _dataset(spec: Published, class_names: tuple[str, ...], train: Split, validation: Split, test: Split) -> Dataset:
    superclasses = tuple(spec.superclasses.get(name, name) for name in class_names)
    return Dataset.from_splits(spec.name, class_names, superclasses, train, validation, test)


def _load_parquet(spec: Published, folder: Path) -> Dataset:
    def read() -> Dataset:
        channels, size, _ = spec.image_shape
        everything, class_names, sources = read_parquet(folder / "train.parquet", size, channels)
        test, test_names, _ = read_parquet(folder / "test.parquet", size, channels)
        if class_names != test_names or len(class_names) != len(spec.class_names):
            raise DatasetUnavailable(f"The parquet files in {folder} do not hold the classes of {spec.name}.")
        train_rows, validation_rows = hold_out(everything.hard_labels, sources, spec.validation_share)
        return _dataset(spec, class_names, everything.select(train_rows), everything.select(validation_rows), test)

    return load_cached(cache_path(spec.name, [folder / name for name in PARQUET_FILES]), read)


def _cifar_is_complete(spec: Published, folder: Path) -> bool:
    source = _torchvision(spec)
    try:
        for train in (True, False):
            source(folder, train=train, download=False)
    except (RuntimeError, OSError):
        return False
    return True


def _unpack(spec: Published, folder: Path) -> None:
    """Unpack the archive to its folder, which appears only when it is complete, and then remove the archive.

    Raises:
        DatasetUnavailable: the archive could not be unpacked, or is incomplete.
    """
    source = _torchvision(spec)
    archive, target = folder / source.filename, folder / source.base_folder
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack-") as scratch:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
            shutil.rmtree(target, ignore_errors=True)
            (Path(scratch) / source.base_folder).rename(target)
    except (OSError, tarfile.TarError) as error:
        raise DatasetUnavailable(
            f"{archive.name} could not be unpacked in {folder} ({error}); free some disk space and try again."
        ) from error
    if _cifar_is_complete(spec, folder):
        archive.unlink(missing_ok=True)
    else:
        raise DatasetUnavailable(f"{archive.name} does not hold all of {spec.name}; try again.")
