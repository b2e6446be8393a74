"""`animal-kinds`: the pictures of `animals64` by kind (wolf, dog, big cat ...), for a teacher that learned ImageNet.

Most pictures of `animals64` are ImageNet's own training pictures, which a teacher from ImageNet has learned by heart.
Students may learn from them, but nothing may be measured or chosen with them: validation and test pictures are of the
classes from elsewhere alone, and the kinds are those that these classes have.
"""

from __future__ import annotations

import torch

from kdcore.datasets import animals64
from kdcore.datasets.base import Dataset, Split
from kdcore.datasets.splits import check_labels

NAME = "animal-kinds"


def of_animals64(animals: Dataset) -> Dataset:
    """Return the pictures of `animals64` whose kind has test pictures that are not from ImageNet, labelled by kind.

    Raises:
        DatasetUnavailable: a kind has no pictures in one of the splits.
    """
    kinds = tuple(dict.fromkeys(animals.superclasses[animals64.FIRST_SMALL_LABEL :]))
    kind_of_class = torch.tensor([kinds.index(kind) if kind in kinds else -1 for kind in animals.superclasses])

    def by_kind(split: Split) -> Split:
        labels = kind_of_class[split.hard_labels]
        rows = (labels >= 0).nonzero()[:, 0]
        return Split(split.images[rows], labels[rows])

    train = by_kind(animals.train)
    validation, test = (by_kind(animals64.small_classes(split)) for split in (animals.validation, animals.test))
    return check_labels(Dataset.from_splits(NAME, kinds, kinds, train, validation, test))
