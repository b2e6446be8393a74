"""The extra pictures of a run: pictures without labels, with the soft labels that the teachers give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kdcore.datasets import Dataset, Split, load_dataset, load_extra_pictures
from kdcore.datasets.base import hash_splits
from kdcore.datasets.splits import pixel_hashes
from kdcore.errors import DatasetUnavailable
from kdcore.pictures.views import resize_images
from kdcore.settings.config import RunConfig
from kdcore.settings.extra_pictures import MOST_EXTRA, OWN
from kdcore.training.transfer_sets import TransferSet

SAMPLE_SEED = 0


@dataclass(frozen=True, eq=False)
class ExtraPictures:
    """The extra pictures of a run on the device that trains.

    Attributes:
        images: all training pictures, followed by the extra ones, uint8 [M + E, C, H, W].
        count: E.
        logits: each teacher's logits for all V views of the extra ones, float16 or float32 [V, E, K], by its name.
    """

    images: Tensor
    count: int
    logits: Mapping[str, Tensor]

    def added_to(self, transfer_set: TransferSet, teacher: str) -> TransferSet:
        """Return a transfer set with the extra pictures added and the hard labels left out.

        Args:
            transfer_set: labelled pictures with the logits of `teacher`, [V, N, K].
        """
        assert transfer_set.teacher_logits is not None
        first = len(self.images) - self.count
        rows = torch.arange(first, len(self.images), device=transfer_set.rows.device)
        logits = [transfer_set.teacher_logits, self.logits[teacher].to(transfer_set.teacher_logits.device)]
        return TransferSet(
            "with extra pictures", self.images, torch.cat([transfer_set.rows, rows]), None, torch.cat(logits, 1)
        )


def find_extra_pictures(config: RunConfig, dataset: Dataset) -> Dataset | None:
    """Return the extra pictures of a run as the train split of a dataset without other splits; None if it has none.

    Of more than `MOST_EXTRA` the same ones are drawn every time. Copies of validation and test pictures are left out.

    Raises:
        DatasetUnavailable: they are not on this machine, or none is left.
    """
    if not config.extra_pictures:
        return None
    if config.extra_pictures == OWN:
        images = load_extra_pictures(dataset.name)
    else:
        images = load_dataset(config.extra_pictures).train.images
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SAMPLE_SEED))
    images = resize_images(images[order[:MOST_EXTRA].sort().values], dataset.image_shape[1:])
    held_out = {hashed for split in (dataset.validation, dataset.test) for hashed in pixel_hashes(split.images)}
    rows = [row for row, hashed in enumerate(pixel_hashes(images)) if hashed not in held_out]
    if not rows:
        raise DatasetUnavailable(
            f"There are no extra pictures that are not validation or test pictures of {dataset.name}; leave them out."
        )
    split = _without_labels(images[rows])
    none = _without_labels(images[:0])
    names = (dataset.class_names, dataset.superclasses)
    return Dataset(f"extra pictures of {dataset.name}", *names, split, none, none, hash_splits(split))


def _without_labels(images: Tensor) -> Split:
    """A split whose hard labels mean nothing, and which is only used for its pictures."""
    return Split(images, torch.zeros(len(images), dtype=torch.int64))


def repeat_to(transfer_sets: Sequence[TransferSet], length: int) -> list[TransferSet]:
    """Return the transfer sets with their pictures repeated in order until each has `length`; longer ones stay.

    What transfer sets share before, they share afterwards, because students that learn from the same tensors look
    them up once.
    """
    repeated: dict[int, Tensor] = {}  # by `id` of the tensor before; `transfer_sets` keeps it, so no other gets this id

    def repeat(tensor: Tensor, axis: int) -> Tensor:
        if id(tensor) not in repeated:
            places = torch.arange(length, device=tensor.device) % tensor.shape[axis]
            repeated[id(tensor)] = tensor.index_select(axis, places)
        return repeated[id(tensor)]

    return [
        one
        if len(one.rows) >= length
        else replace(
            one,
            rows=repeat(one.rows, 0),
            hard_labels=None if one.hard_labels is None else repeat(one.hard_labels, 0),
            teacher_logits=None if one.teacher_logits is None else repeat(one.teacher_logits, 1),
        )
        for one in transfer_sets
    ]
