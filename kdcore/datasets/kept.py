"""Datasets kept on disk as tensors, where decoding or drawing them takes seconds and reading them does not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from kdcore.checkpoints import load_tensors, save_tensors
from kdcore.datasets.base import Dataset, Split
from kdcore.errors import KdError, StoreError

SPLITS = ("train", "validation", "test")


def to_tensors(dataset: Dataset) -> dict[str, Tensor]:
    """All splits as named tensors."""
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
    """The dataset that `to_tensors` took apart.

    Raises:
        KeyError: a tensor is missing.
    """
    train, validation, test = (
        Split(tensors[f"{part}.images"], tensors[f"{part}.hard_labels"], tensors.get(f"{part}.posterior"))
        for part in SPLITS
    )
    return Dataset(name, class_names, superclasses, train, validation, test, sha256)


def load_kept(
    path: Path, name: str, class_names: tuple[str, ...], superclasses: tuple[str, ...], make: Callable[[], Dataset]
) -> Dataset:
    """The dataset kept at `path`, or made now and kept there for the next time.

    A disk that cannot be read or written only costs the time to make it.
    """
    with contextlib.suppress(KdError, KeyError):
        tensors, metadata = load_tensors(path)
        return from_tensors(name, class_names, superclasses, tensors, metadata["sha256"])
    made = make()
    with contextlib.suppress(StoreError):
        save_tensors(path, to_tensors(made), {"sha256": made.sha256})
    return made
