"""Datasets by name."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from torch import Tensor

from kdcore import paths
from kdcore.checkpoints import load_tensors, save_tensors
from kdcore.datasets import animals64, creatures, digits
from kdcore.datasets.base import Dataset, DatasetInfo, DatasetStatus, Split
from kdcore.errors import DatasetUnavailable, KdError, StoreError, UnknownName

__all__ = ["DATASETS", "Dataset", "DatasetInfo", "DatasetStatus", "Split", "dataset_status", "load_dataset"]

SPLITS = ("train", "validation", "test")


def _find_animals64() -> Path | None:
    """The folder that holds the parquet files: `KDCORE_DATA` first, then the data directory."""
    places = [base for base in (paths.data(), paths.home() / "datasets") if base is not None]
    for place in places:
        folder = place / animals64.NAME
        if all((folder / name).is_file() for name in ("train.parquet", "test.parquet", "classes.json")):
            return folder
    return None


def _load_creatures() -> Dataset:
    """The drawn pictures, kept on disk after the first time, because reading is faster than drawing.

    The file's name holds a hash of the drawing code, so that it is drawn anew when that changes. A disk that
    cannot be read or written only costs the time to draw.
    """
    code = sorted(Path(creatures.__file__).parent.glob("*.py"))
    version = hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()[:16]
    path = paths.home() / "datasets" / f"creatures-{version}.safetensors"
    with contextlib.suppress(KdError, KeyError):
        tensors, metadata = load_tensors(path)
        train, validation, test = (
            Split(tensors[f"{name}.images"], tensors[f"{name}.hard_labels"], tensors[f"{name}.posterior"])
            for name in SPLITS
        )
        names, families = creatures.SPECIES, creatures.SUPERCLASSES
        return Dataset("creatures", names, families, train, validation, test, metadata["sha256"])
    drawn = creatures.load()
    kept: dict[str, Tensor] = {}
    for name in SPLITS:
        split: Split = getattr(drawn, name)
        assert split.posterior is not None
        kept |= {f"{name}.images": split.images, f"{name}.hard_labels": split.hard_labels}
        kept[f"{name}.posterior"] = split.posterior
    with contextlib.suppress(StoreError):
        save_tensors(path, kept, {"sha256": drawn.sha256})
    return drawn


def _load_animals64() -> Dataset:
    folder = _find_animals64()
    if folder is None:
        raise DatasetUnavailable(dataset_status("animals64").needs)
    return animals64.load(folder)


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
        ),
    )
}


def dataset_status(name: str) -> DatasetStatus:
    """Whether a dataset can be used on this machine now; reads no picture.

    Raises:
        UnknownName: no dataset has this name.
    """
    if name not in DATASETS:
        raise UnknownName("dataset", name, DATASETS)
    if DATASETS[name].embedded:
        return DatasetStatus(name, ready=True, where="embedded", needs="")
    folder = _find_animals64()
    if folder is not None:
        return DatasetStatus(name, ready=True, where=str(folder), needs="")
    needs = (
        f"{name} is not on this machine: put train.parquet, test.parquet and classes.json into "
        f"{paths.home() / 'datasets' / name}, or set KDCORE_DATA to a folder that holds {name}."
    )
    return DatasetStatus(name, ready=False, where="", needs=needs)


def load_dataset(name: str) -> Dataset:
    """The dataset called `name`, whole, in memory.

    Raises:
        UnknownName: no dataset has this name.
        DatasetUnavailable: it is not on this machine, or damaged.
    """
    if name not in DATASETS:
        raise UnknownName("dataset", name, DATASETS)
    return DATASETS[name].load()
