"""The published datasets that torchvision knows: MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100.

Download addresses and checksums are torchvision's. Files are searched in `KDCORE_DATA` first, which is only read, then
in the data directory. Parquet files in the Hugging Face layout can be used instead of the original files.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kdcore.datasets.base import Dataset, Split, hash_splits
from kdcore.datasets.idx import read_idx
from kdcore.datasets.kept import cache_path, load_cached
from kdcore.datasets.parquet import hold_out, read_parquet
from kdcore.errors import DatasetUnavailable
from kdcore.machine import paths
from kdcore.machine.download import FetchProgress, RemoteFile, fetch

IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
PARQUET_FILES = ("train.parquet", "test.parquet")


@dataclass(frozen=True)
class Published:
    """One of the published datasets.

    Attributes:
        torchvision_name: name of torchvision's class of it, which holds its addresses and checksums.
        folder: name of its folder in `KDCORE_DATA` when that has torchvision's layout.
        image_shape: (C, H, W).
        sizes: size in bytes of each file that is downloaded.
        validation_share: share of the train pictures that become the validation split: the last ones, or with parquet
            files, those that `hold_out` chooses.
        superclasses: class name -> superclass; a class that is missing has none.
    """

    name: str
    torchvision_name: str
    folder: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    sizes: tuple[int, ...]
    validation_share: float
    superclasses: dict[str, str]

    @property
    def is_idx(self) -> bool:
        """Whether the original files are four IDX files; otherwise they are one archive with a CIFAR folder."""
        return len(self.sizes) == len(IDX_FILES)


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
    given, kept = paths.data(), paths.home() / "datasets" / spec.name
    places = [kept] if given is None else [given / spec.name, given / spec.folder / "raw", given / spec.folder, kept]
    return next(
        (place for place in places if _has_idx(place, spec) or _has_parquet(place) or _has_cifar(place, spec)), None
    )


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
    from kdcore.machine.torchvision_import import published_dataset

    return published_dataset(spec.torchvision_name)


def _has_idx(folder: Path, spec: Published) -> bool:
    return spec.is_idx and all((folder / name).is_file() for name in IDX_FILES)


def _has_parquet(folder: Path) -> bool:
    return all((folder / name).is_file() for name in PARQUET_FILES)


def _has_cifar(folder: Path, spec: Published) -> bool:
    if spec.is_idx:
        return False
    source_folder = {"CIFAR10": "cifar-10-batches-py", "CIFAR100": "cifar-100-python"}[spec.torchvision_name]
    return (folder / source_folder).is_dir()


def _load_idx(spec: Published, folder: Path) -> Dataset:
    images, labels, test_images, test_labels = (read_idx(folder / name) for name in IDX_FILES)
    for pictures, answers in ((images, labels), (test_images, test_labels)):
        if pictures.ndim != 3 or answers.ndim != 1 or len(pictures) != len(answers) or not len(answers):
            raise DatasetUnavailable(f"The files of {spec.name} in {folder} do not fit together; fetch them again.")
        if int(answers.max()) >= len(spec.class_names):
            raise DatasetUnavailable(
                f"The files of {spec.name} in {folder} hold labels of classes that it does not have; fetch them again."
            )
    everything = Split(images[:, None], labels.long())
    return _assemble(spec, everything, Split(test_images[:, None], test_labels.long()), spec.class_names)


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
    return _assemble(spec, everything, test, tuple(parts[0].classes))


def _assemble(spec: Published, everything: Split, test: Split, class_names: tuple[str, ...]) -> Dataset:
    """Make the dataset; the last pictures of `everything` become the validation split."""
    last = len(everything) - round(len(everything) * spec.validation_share)
    rows = torch.arange(len(everything))
    train, validation = everything.select(rows[:last]), everything.select(rows[last:])
    superclasses = tuple(spec.superclasses.get(name, name) for name in class_names)
    sha256 = hash_splits(train, validation, test)
    return Dataset(spec.name, class_names, superclasses, train, validation, test, sha256)


def _load_parquet(spec: Published, folder: Path) -> Dataset:
    def read() -> Dataset:
        channels, size, _ = spec.image_shape
        everything, class_names, sources = read_parquet(folder / "train.parquet", size, channels)
        test, test_names, _ = read_parquet(folder / "test.parquet", size, channels)
        if class_names != test_names or len(class_names) != len(spec.class_names):
            raise DatasetUnavailable(f"The parquet files in {folder} do not hold the classes of {spec.name}.")
        train_rows, validation_rows = hold_out(everything.hard_labels, sources, spec.validation_share)
        train, validation = everything.select(train_rows), everything.select(validation_rows)
        superclasses = tuple(spec.superclasses.get(name, name) for name in class_names)
        sha256 = hash_splits(train, validation, test)
        return Dataset(spec.name, class_names, superclasses, train, validation, test, sha256)

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


_CIFAR100 = {
    "aquatic mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food containers": "bottle bowl can cup plate",
    "fruit and vegetables": "apple mushroom orange pear sweet_pepper",
    "household electrical devices": "clock keyboard lamp telephone television",
    "household furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large carnivores": "bear leopard lion tiger wolf",
    "large man-made outdoor things": "bridge castle house road skyscraper",
    "large natural outdoor scenes": "cloud forest mountain plain sea",
    "large omnivores and herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium-sized mammals": "fox porcupine possum raccoon skunk",
    "non-insect invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles 1": "bicycle bus motorcycle pickup_truck train",
    "vehicles 2": "lawn_mower rocket streetcar tank tractor",
}
_CIFAR100_SUPERCLASS = {name: family for family, names in _CIFAR100.items() for name in names.split()}
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR10_SUPERCLASS = {
    name: "vehicle" if name in ("airplane", "automobile", "ship", "truck") else "animal" for name in _CIFAR10
}
_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_FASHION_SUPERCLASS = {
    **dict.fromkeys(("T-shirt/top", "Pullover", "Coat", "Shirt"), "top"),
    **dict.fromkeys(("Sandal", "Sneaker", "Ankle boot"), "shoe"),
}

PUBLISHED: dict[str, Published] = {
    spec.name: spec
    for spec in (
        Published(
            name="mnist",
            torchvision_name="MNIST",
            folder="MNIST",
            class_names=tuple("0123456789"),
            image_shape=(1, 28, 28),
            sizes=(9_912_422, 28_881, 1_648_877, 4_542),
            validation_share=1 / 12,
            superclasses={},
        ),
        Published(
            name="fashion-mnist",
            torchvision_name="FashionMNIST",
            folder="FashionMNIST",
            class_names=_FASHION,
            image_shape=(1, 28, 28),
            sizes=(26_421_880, 29_515, 4_422_102, 5_148),
            validation_share=1 / 12,
            superclasses=_FASHION_SUPERCLASS,
        ),
        Published(
            name="cifar10",
            torchvision_name="CIFAR10",
            folder="CIFAR10",
            class_names=_CIFAR10,
            image_shape=(3, 32, 32),
            sizes=(170_498_071,),
            validation_share=0.1,
            superclasses=_CIFAR10_SUPERCLASS,
        ),
        Published(
            name="cifar100",
            torchvision_name="CIFAR100",
            folder="CIFAR100",
            class_names=tuple(sorted(_CIFAR100_SUPERCLASS)),
            image_shape=(3, 32, 32),
            sizes=(169_001_437,),
            validation_share=0.1,
            superclasses=_CIFAR100_SUPERCLASS,
        ),
    )
}
