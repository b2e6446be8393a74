"""The copies of a published dataset on this machine, and whether they can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from kdcore.datasets.idx import read_idx
from kdcore.datasets.parquet_source import parquet_files, shard_notes
from kdcore.datasets.published_sets import IDX_FILES, PUBLISHED, Published
from kdcore.errors import DatasetUnavailable
from kdcore.machine import paths
from kdcore.machine.download import RemoteFile, is_complete

IDX, PARQUET, CIFAR = "idx", "parquet", "cifar"
Place = TypeVar("Place")
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Copy:
    """Files that may be a dataset.

    Attributes:
        kind: `IDX`, `PARQUET` or `CIFAR`.
        files: all its files; for `IDX` these are all variants, such as an unpacked file beside a packed one.
    """

    folder: Path
    kind: str
    files: tuple[Path, ...]


def copies(spec: Published) -> Iterator[Copy]:
    """Yield every copy of the dataset, whole or damaged, in the order in which they are tried."""
    folders = [paths.home() / "datasets" / spec.name]
    data_folder = paths.data()
    if data_folder is not None:
        folders = [data_folder / spec.name, data_folder / spec.folder / "raw", data_folder / spec.folder, *folders]
    for folder in folders:
        variants = [[path for path in _idx_variants(folder, name) if path.is_file()] for name in IDX_FILES]
        if spec.is_idx and all(variants):
            yield Copy(folder, IDX, tuple(path for some in variants for path in some))
        if {"train", "test"} <= (files := parquet_files(folder)).keys():
            yield Copy(folder, PARQUET, tuple(path for split in ("train", "test") for path in files[split]))
        if not spec.is_idx and (batches := folder / _CIFAR_FOLDERS[spec.torchvision_name]).is_dir():
            yield Copy(folder, CIFAR, tuple(sorted(path for path in batches.iterdir() if path.is_file())))


_CIFAR_FOLDERS = {"CIFAR10": "cifar-10-batches-py", "CIFAR100": "cifar-100-python"}


def problem_of(spec: Published, copy: Copy) -> str:
    """The sentence that says why a copy cannot be used; empty if it can.

    The files are read once and again when they have changed: IDX files whole, the batches of CIFAR for their checksums,
    and of parquet files, whose pictures take long to decode, only the part that says what is in them.
    """
    facts = tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in copy.files if path.exists())
    return _problem(spec.name, copy, facts)


@lru_cache(maxsize=64)
def _problem(name: str, copy: Copy, facts: object) -> str:  # `facts` change when the files do
    spec = PUBLISHED[name]
    try:
        if copy.kind == IDX:
            read_idx_files(spec, copy.folder)
        elif copy.kind == PARQUET:
            check_parquet(copy.files)
            if notes := shard_notes(parquet_files(copy.folder)):
                raise DatasetUnavailable(f"The parquet files in {copy.folder} are incomplete. {' '.join(notes)}")
        elif not cifar_is_complete(spec, copy.folder):
            raise DatasetUnavailable(f"The files of {name} in {copy.folder} are incomplete or damaged.")
    except DatasetUnavailable as error:
        return str(error)
    return ""


def read_idx_files(spec: Published, folder: Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Read the four IDX files: train images [N, H, W], train labels [N], test images, test labels, all uint8.

    Raises:
        DatasetUnavailable: a file is damaged, or they do not fit together or to the dataset.
    """
    images, labels, test_images, test_labels = (_read_variant(folder, name) for name in IDX_FILES)
    for part_images, part_labels in ((images, labels), (test_images, test_labels)):
        lengths_differ = len(part_images) != len(part_labels)
        sides = tuple(part_images.shape[1:])
        if sides != spec.image_shape[1:] or part_labels.ndim != 1 or lengths_differ or not len(part_labels):
            height, width = spec.image_shape[1:]
            raise DatasetUnavailable(
                f"The files of {spec.name} in {folder} do not fit together, or are not of {width} x {height} pixels; "
                "fetch them again."
            )
        if int(part_labels.max()) >= len(spec.class_names):
            raise DatasetUnavailable(
                f"The files of {spec.name} in {folder} hold labels of classes that it does not have; fetch them again."
            )
        if len(part_labels.unique()) < len(spec.class_names):
            raise DatasetUnavailable(f"The files of {spec.name} in {folder} lack some classes; fetch them again.")
    return images, labels, test_images, test_labels


def _idx_variants(folder: Path, name: str) -> tuple[Path, ...]:
    """The names under which an IDX file may lie: packed, unpacked, and unpacked with a dot as some archives have it."""
    plain = name.removesuffix(".gz")
    return tuple(folder / variant for variant in (name, plain, plain.replace("-idx", ".idx")))


def _read_variant(folder: Path, name: str) -> Tensor:
    """Read the first variant of an IDX file that can be read; raises the error of the first that is there."""
    variants = [path for path in _idx_variants(folder, name) if path.is_file()]
    read = first_that_loads(read_idx, variants)
    if read is None:
        raise DatasetUnavailable(f"{folder / name} is missing; fetch the dataset again.")
    return read


def first_that_loads(load: Callable[[Place], Loaded], places: Iterable[Place]) -> Loaded | None:
    """Return what `load` returns for the first of the places where it does not fail; None if there is no place.

    Raises:
        DatasetUnavailable: it failed at all places; the error is the first one's.
    """
    first: DatasetUnavailable | None = None
    for place in places:
        try:
            return load(place)
        except DatasetUnavailable as error:
            first = first or error
    if first is not None:
        raise first
    return None


def check_parquet(files: tuple[Path, ...]) -> None:
    """Read what parquet files say of themselves at their ends.

    Raises:
        DatasetUnavailable: a file is cut off, or no parquet file.
    """
    # Loading pyarrow takes 0.1 seconds and is needed for parquet files only.
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in files:
        try:
            pq.read_metadata(path)
        except (OSError, pa.ArrowException) as error:
            raise DatasetUnavailable(f"{path} is damaged; remove it and fetch or copy it again.") from error


def cifar_is_complete(spec: Published, folder: Path) -> bool:
    """Whether the unpacked batches of CIFAR have the checksums that torchvision publishes."""
    source = torchvision_source(spec)
    batches = folder / source.base_folder
    listed = [*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])]
    return all(is_complete(batches / name, RemoteFile(name, (), md5, 0)) for name, md5 in listed)


def torchvision_source(spec: Published) -> Any:
    """torchvision's class of the dataset, which holds its addresses and checksums."""
    from kdcore.machine.torchvision_import import published_dataset  # loads torchvision, which takes seconds

    return published_dataset(spec.torchvision_name)
