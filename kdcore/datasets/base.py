"""The types of every dataset: three splits, each with its uint8 pictures in memory as one tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

SAMPLE_SEED = 0


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
        """Return the pictures at the positions `index` (int64 [M]), with their labels and posterior."""
        posterior = None if self.posterior is None else self.posterior[index]
        return Split(self.images[index], self.hard_labels[index], posterior)

    def sample(self, most: int) -> Split:
        """Return at most `most` of the pictures, always the same ones and in their order.

        Of more pictures each class keeps its share, and chance decides which pictures of a class are taken. The first
        pictures would be those of the first classes, because many splits are sorted by class.
        """
        if len(self) <= most:
            return self
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(SAMPLE_SEED))
        shuffled = self.hard_labels[order]
        place = torch.empty(len(self), dtype=torch.float64)  # in the picture's class, from 0 to 1
        for label in shuffled.unique():
            rows = (shuffled == label).nonzero()[:, 0]
            place[rows] = (torch.arange(len(rows)) + 0.5).double() / len(rows)
        return self.select(order[place.argsort(stable=True)[:most]].sort().values)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A loaded dataset.

    Attributes:
        class_names: K names, in the order of the hard labels.
        superclasses: K names, the superclass of each class; the class's own name where it has no superclass.
        train: pictures to learn from.
        validation: pictures for measurements during training; taken from the train pictures of the source where it has
            no validation split of its own.
        test: pictures for the final measurement only.
        sha256: hash over the pixels and labels of the three splits, in hexadecimal.
    """

    name: str
    class_names: tuple[str, ...]
    superclasses: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    sha256: str

    @classmethod
    def from_splits(
        cls,
        name: str,
        class_names: tuple[str, ...],
        superclasses: tuple[str, ...],
        train: Split,
        validation: Split,
        test: Split,
    ) -> Dataset:
        """Return the dataset of three splits, with the hash over them."""
        sha256 = hash_splits(train, validation, test)
        return cls(name, class_names, superclasses, train, validation, test, sha256)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every picture: (C, H, W)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def bayes_accuracy(self) -> float | None:
        """Accuracy on the test split of the Bayes classifier, 0 to 1: the highest to be expected; None where unknown.

        The Bayes classifier answers with the most probable class under the true posterior, p(class | traits).
        """
        if self.test.posterior is None:
            return None
        return float((self.test.posterior.argmax(1) == self.test.hard_labels).double().mean())


@dataclass(frozen=True)
class DatasetInfo:
    """What the registry of datasets knows of a dataset without loading it.

    Attributes:
        title: the name that is shown.
        source: where the pictures come from, in a few words.
        embedded: whether the dataset needs no files beyond the installed software.
        train_size: number of pictures in the train split.
        load: loads the dataset into memory; raises `DatasetUnavailable`.
        image_shape: (C, H, W).
        download_bytes: size of the download in bytes, about; None where there is nothing to download.
        terms: where the pictures are from and what may be done with them, in one sentence.
        sha256: the dataset's hash, where it is known without loading the pictures; else empty.
        grey: whether all pictures are known to be grey, although they may have three channels.
        extra_size: number of pictures without labels that are kept with the dataset.
        expires: when a temporary dataset may be removed, in seconds since 1970; None for every other one.
    """

    name: str
    title: str
    source: str
    embedded: bool
    num_classes: int
    train_size: int
    description: str
    load: Callable[[], Dataset] = field(compare=False)
    image_shape: tuple[int, int, int]
    download_bytes: int | None = None
    terms: str = ""
    sha256: str = ""
    grey: bool = False
    extra_size: int = 0
    expires: float | None = None


@dataclass(frozen=True)
class DatasetStatus:
    """Whether a dataset can be used on this machine now.

    Attributes:
        where: the folder or file that holds it, or "embedded"; empty unless `ready`.
        needs: one sentence that says what is missing and how to get it; empty if `ready`.
    """

    name: str
    ready: bool
    where: str
    needs: str


def hash_splits(*splits: Split) -> str:
    """Return the SHA-256 over the pixels and labels of all splits, in the given order, in hexadecimal."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(split.images.contiguous().numpy().tobytes())
        digest.update(split.hard_labels.to(torch.int64).contiguous().numpy().tobytes())
    return digest.hexdigest()
