"""The registry of datasets: embedded ones, published ones that are fetched on demand, and a user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from kdcore.datasets import animal_kinds, animals64, creatures, digits, own, published
from kdcore.datasets.base import Dataset, DatasetInfo, DatasetStatus
from kdcore.datasets.cache import cache_path, load_cached
from kdcore.datasets.published_copies import check_parquet, first_that_loads
from kdcore.datasets.published_sets import PUBLISHED
from kdcore.errors import DatasetUnavailable, DownloadFailed, UnknownName
from kdcore.machine import paths
from kdcore.machine.download import FetchProgress
from kdcore.machine.tensor_files import is_whole


def _load_creatures() -> Dataset:
    """Return the drawn pictures; they are kept in a file after the first call, because reading is faster than drawing.

    The file's name contains a hash of the drawing code, so that the pictures are drawn again when that code changes.
    """
    code = sorted(Path(creatures.__file__).parent.glob("*.py"))
    version = hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()[:16]
    path = paths.home() / "datasets" / f"creatures-{version}.safetensors"
    return load_cached(path, creatures.load)


def _animals64_folders() -> list[Path]:
    """Return the folders with the files of `animals64`: under `KDCORE_DATA`, then in the data directory."""
    parents = [parent for parent in (paths.data(), paths.home() / "datasets") if parent is not None]
    return [parent / animals64.NAME for parent in parents if paths.has_files(parent / animals64.NAME, animals64.FILES)]


def _find_animals64() -> tuple[Path | None, str]:
    """Return what `published.find` returns."""
    wrong = ""
    for folder in _animals64_folders():
        try:
            check_parquet((folder / "train.parquet", folder / "test.parquet"))
        except DatasetUnavailable as error:
            wrong = wrong or str(error)
            continue
        return folder, wrong
    return None, wrong


def _load_animals64() -> Dataset:
    dataset = first_that_loads(_load_animals64_from, _animals64_folders())
    if dataset is None:
        raise DatasetUnavailable(dataset_status(animals64.NAME).needs)
    return dataset


def _load_animal_kinds() -> Dataset:
    return animal_kinds.of_animals64(_load_animals64())


def _load_animals64_from(folder: Path) -> Dataset:
    files = [folder / name for name in animals64.FILES]
    return load_cached(cache_path(animals64.NAME, files), partial(animals64.load, folder))


def _load_published(name: str) -> Dataset:
    dataset = published.load(PUBLISHED[name])
    if dataset is None:
        raise DatasetUnavailable(dataset_status(name).needs)
    return dataset


def _published_info(name: str, title: str, train_size: int, description: str, terms: str) -> DatasetInfo:
    spec = PUBLISHED[name]
    return DatasetInfo(
        name=name,
        title=title,
        source="torchvision",
        embedded=False,
        num_classes=len(spec.class_names),
        train_size=train_size,
        description=description,
        load=partial(_load_published, name),
        image_shape=spec.image_shape,
        download_bytes=published.download_bytes(spec),
        terms=terms,
    )


_ANIMALS_TERMS = "Partly from ImageNet, whose terms apply; treat the pictures as not free to redistribute."
_FROM_ANIMALS64 = (animals64.NAME, animal_kinds.NAME)  # datasets that are read from the files of animals64

DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            name="creatures",
            title="Creatures",
            source="drawn by the engine",
            embedded=True,
            num_classes=len(creatures.SPECIES),
            train_size=10_000,
            description="Animal heads drawn from traits, 32x32; the true posterior is known exactly.",
            load=_load_creatures,
            image_shape=(3, 32, 32),
            terms="Drawn by this project; free to use like its code.",
        ),
        DatasetInfo(
            name="digits",
            title="Digits",
            source="scikit-learn",
            embedded=True,
            num_classes=10,
            train_size=digits.TRAIN,
            description="1,797 handwritten digits, real scans of 8x8 pixels.",
            load=digits.load,
            image_shape=(1, 8, 8),
            terms="Alpaydin and Kaynak 1998, from the UCI repository (CC BY 4.0), part of scikit-learn.",
        ),
        _published_info(
            "mnist",
            "MNIST",
            55_000,
            "70,000 handwritten digits, 28x28.",
            "LeCun, Cortes and Burges, from handwritten forms that NIST collected.",
        ),
        _published_info(
            "fashion-mnist",
            "Fashion-MNIST",
            55_000,
            "70,000 pictures of clothes in 10 classes, 28x28 grey.",
            "Xiao, Rasul and Vollgraf 2017, Zalando Research; MIT licence.",
        ),
        _published_info(
            "cifar10",
            "CIFAR-10",
            45_000,
            "60,000 photos of 10 kinds of animals and vehicles, 32x32.",
            "Krizhevsky 2009, from the 80 million tiny images; for research and teaching.",
        ),
        _published_info(
            "cifar100",
            "CIFAR-100",
            45_000,
            "60,000 photos of 100 classes in 20 superclasses, 32x32.",
            "Krizhevsky 2009, from the 80 million tiny images; for research and teaching.",
        ),
        DatasetInfo(
            name="animals64",
            title="Animals",
            source="parquet files",
            embedded=False,
            num_classes=107,
            train_size=32_179,
            description="Photos of 107 kinds of animals, 64x64; the `animals` teacher learned from them.",
            load=_load_animals64,
            image_shape=(3, 64, 64),
            terms=_ANIMALS_TERMS,
        ),
        DatasetInfo(
            name=animal_kinds.NAME,
            title="Animal kinds",
            source="parquet files",
            embedded=False,
            num_classes=13,
            train_size=21_599,
            description="The pictures of animals64 by 13 kinds, 64x64; measured on those that are not from ImageNet.",
            load=_load_animal_kinds,
            image_shape=(3, 64, 64),
            terms=_ANIMALS_TERMS,
        ),
    )
}


def list_datasets() -> tuple[DatasetInfo, ...]:
    """Return every known dataset: first those that come with the engine, then the user's own, sorted by name."""
    return (*DATASETS.values(), *own.list_own())


def dataset_info(name: str) -> DatasetInfo:
    """Return what is known of a dataset without loading its pictures.

    Raises:
        UnknownName: no dataset has this name.
    """
    if name in DATASETS:
        return DATASETS[name]
    infos = {info.name: info for info in own.list_own()}
    if name not in infos:
        raise UnknownName("dataset", name, (*DATASETS, *infos))
    return infos[name]


def dataset_status(name: str) -> DatasetStatus:
    """Return whether a dataset can be used on this machine now. Its files are read and checked, once while they last.

    Raises:
        UnknownName: no dataset has this name.
    """
    info = dataset_info(name)
    if info.embedded:
        return DatasetStatus(name, ready=True, where="embedded", needs="")
    if name in PUBLISHED:
        place, wrong = published.find(PUBLISHED[name])
    elif name in _FROM_ANIMALS64:
        place, wrong = _find_animals64()
    else:
        place, wrong = _find_own(name)
    if place is not None:
        return DatasetStatus(name, ready=True, where=str(place), needs="")
    what = wrong.rstrip(".") if wrong else f"{name} is not on this machine"
    return DatasetStatus(name, ready=False, where="", needs=f"{what}: {_how_to_get(info)}.")


def _find_own(name: str) -> tuple[Path | None, str]:
    """Return what `published.find` returns."""
    place = own.tensors_path(name)
    if place is not None and not is_whole(place):
        return None, f"The copy of {name} is damaged"
    return place, ""


def fetch_dataset(name: str) -> Iterator[FetchProgress]:
    """Download a dataset to this machine; does nothing if a complete copy is there.

    A download that was interrupted continues where it stopped. A file is used only if its checksum is right.

    Yields:
        How far the download is.

    Raises:
        UnknownName: no dataset has this name.
        DatasetUnavailable: the dataset cannot be fetched; the message says what to do instead, and what works now.
    """
    info, status = dataset_info(name), dataset_status(name)
    if name not in PUBLISHED:
        if not status.ready:
            raise DatasetUnavailable(status.needs)
        return
    spec = PUBLISHED[name]
    if status.ready and Path(status.where) != paths.home() / "datasets" / name:
        return  # a copy outside the data directory was put there by somebody else and is only read
    try:
        yield from published.fetch_files(spec)
    except (DatasetUnavailable, DownloadFailed) as error:
        ready = ", ".join(other.name for other in list_datasets() if dataset_status(other.name).ready)
        reason = str(error).rstrip(".")
        raise DatasetUnavailable(f"{reason}. {_by_hand(info)} Ready now: {ready}.") from error


def load_dataset(name: str) -> Dataset:
    """Load all splits of the dataset called `name` into memory.

    Raises:
        UnknownName: no dataset has this name.
        DatasetUnavailable: the dataset is not on this machine, or its files are damaged.
    """
    return dataset_info(name).load()


add_dataset = partial(own.add_dataset, taken=DATASETS)
remove_dataset = own.remove_dataset
keep_dataset = own.keep_dataset
load_extra_pictures = own.load_extra_pictures


def _how_to_get(info: DatasetInfo) -> str:
    by_hand = _by_hand(info)
    lower = by_hand[:1].lower() + by_hand[1:].rstrip(".")
    if info.download_bytes is None:
        return lower
    return f"fetch it ({info.download_bytes / 1e6:.0f} MB: kdcore datasets get {info.name}), or {lower}"


def _by_hand(info: DatasetInfo) -> str:
    """Return the sentence that says which files to put where, or how to add an own dataset again."""
    source = animals64.NAME if info.name in _FROM_ANIMALS64 else info.name
    folder = paths.home() / "datasets" / source
    if info.name in _FROM_ANIMALS64:
        files = "train.parquet, test.parquet and classes.json"
    elif info.name in PUBLISHED and PUBLISHED[info.name].is_idx:
        files = "its four IDX files"
    elif info.name in PUBLISHED:
        files = "train.parquet and test.parquet, or torchvision's unpacked folder,"
    elif own.was_given(info.name):
        return "Give its pictures again."
    else:
        return f"Add it again from its folder (kdcore datasets add FOLDER --name {info.name})."
    return f"Put {files} into {folder}, or set KDCORE_DATA to a folder that holds {source}."
