"""What every dataset is: three splits of uint8 pictures that sit in memory as one tensor each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures and their hard labels.

    Attributes:
        images: uint8 [N, C, H, W], 0 to 255.
        hard_labels: int64 [N].
        posterior: float32 [N, K], the true p(class | picture's traits), only where it is known.
    """

    images: Tensor
    hard_labels: Tensor
    posterior: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def select(self, index: Tensor) -> Split:
        """The pictures at `index` (int64 [M])."""
        posterior = None if self.posterior is None else self.posterior[index]
        return Split(self.images[index], self.hard_labels[index], posterior)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Train, validation (split from train) and test (read once, at the end), with one hash over all."""

    name: str
    class_names: tuple[str, ...]
    superclasses: tuple[str, ...]  # one a class; the class's own name where there is none above it
    train: Split
    validation: Split
    test: Split
    sha256: str

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def bayes_accuracy(self) -> float | None:
        """Accuracy on test of the Bayes classifier given the traits: a ceiling; None where unknown."""
        if self.test.posterior is None:
            return None
        return float((self.test.posterior.argmax(1) == self.test.hard_labels).double().mean())


@dataclass(frozen=True)
class DatasetInfo:
    """One row of the registry."""

    name: str
    title: str
    source: str
    embedded: bool
    num_classes: int
    train_size: int
    description: str
    load: Callable[[], Dataset] = field(compare=False)
    image_shape: tuple[int, int, int]  # (C, H, W)
    download_bytes: int | None = None  # what `fetch_dataset` would bring; None where nothing can be fetched
    terms: str = ""  # where the pictures are from and what may be done with them, in one sentence


@dataclass(frozen=True)
class DatasetStatus:
    """Whether a dataset can be used now; `needs` says in one sentence what is missing, else it is empty."""

    name: str
    ready: bool
    where: str
    needs: str


def hash_splits(*splits: Split) -> str:
    """SHA-256 over the pixels and labels of all splits, in order."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(split.images.contiguous().numpy().tobytes())
        digest.update(split.hard_labels.to(torch.int64).contiguous().numpy().tobytes())
    return digest.hexdigest()
