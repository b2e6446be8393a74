"""A cache of datasets: decoding or drawing pictures takes seconds, so the tensors are kept in a file and read later."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from kdcore.datasets.base import Dataset, Split
from kdcore.errors import KdError, StoreError
from kdcore.machine import paths
from kdcore.machine.tensor_files import load_tensors, mark_used, save_tensors

SPLITS = ("train", "validation", "test")
READING_VERSION = 2  # raised when the same files would give another dataset than before


def to_tensors(dataset: Dataset) -> dict[str, Tensor]:
    """Return the pictures, labels and posteriors of all splits by name, such as `train.images`."""
    tensors: dict[str, Tensor] = {}
    for name in SPLITS:
        split: Split = getattr(dataset, name)
        tensors |= {f"{name}.images": split.images, f"{name}.hard_labels": split.hard_labels}
        if split.posterior is not None:
            tensors[f"{name}.posterior"] = split.posterior
    return tensors


def from_tensors(
    name: str, class_names: tuple[str, ...], superclasses: tuple[str, ...], tensors: dict[str, Tensor], sha256: str
) -> Dataset:
    """Return the dataset whose tensors `to_tensors` returned; the other arguments are as in `Dataset`.

    Raises:
        KeyError: a tensor is missing.
    """
    train, validation, test = (
        Split(tensors[f"{part}.images"], tensors[f"{part}.hard_labels"], tensors.get(f"{part}.posterior"))
        for part in SPLITS
    )
    return Dataset(name, class_names, superclasses, train, validation, test, sha256)


def cache_path(name: str, files: Sequence[Path]) -> Path:
    """Return the cache file for the dataset `name` read from `files`.

    Its name contains a hash of the files' paths, sizes and modification times and of `READING_VERSION`, so that changed
    files are read again.
    """
    facts = [f"version {READING_VERSION}"]
    facts += [f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return paths.home() / "datasets" / f"{name}-{digest}.safetensors"


def load_cached(path: Path, make: Callable[[], Dataset]) -> Dataset:
    """Return the dataset cached at `path`; without a readable cache, call `make` and cache its dataset there.

    A cache that cannot be read or written is no error; the dataset is then made again each time.
    """
    with contextlib.suppress(KdError, KeyError, ValueError):
        tensors, metadata = load_tensors(path)
        mark_used(path)
        names, families = (tuple(json.loads(metadata[key])) for key in ("class_names", "superclasses"))
        return from_tensors(metadata["name"], names, families, tensors, metadata["sha256"])
    dataset = make()
    facts = {"name": dataset.name, "sha256": dataset.sha256}
    facts |= {"class_names": json.dumps(dataset.class_names), "superclasses": json.dumps(dataset.superclasses)}
    with contextlib.suppress(StoreError):
        save_tensors(path, to_tensors(dataset), facts)
    return dataset
