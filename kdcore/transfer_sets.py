"""Transfer sets: the pictures that an arm learns from, and what it is told about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kdcore.views import ViewSet


@dataclass(frozen=True, eq=False)
class TransferSet:
    """What one arm of one seed learns from.

    Attributes:
        kind: what the pictures are; those of one kind and seed are the same.
        images: uint8 [M, C, H, W], on the device that trains.
        rows: which of them, int64 [N].
        hard_labels: int64 [N]; None for pictures without labels.
        teacher_logits: float16 [V, N, K], or [V, N, members, K]; None where no teacher takes part.
    """

    kind: str
    images: Tensor
    rows: Tensor
    hard_labels: Tensor | None
    teacher_logits: Tensor | None = None

    @property
    def members(self) -> tuple[int, ...]:
        """(M,) where the logits are those of M teachers at once; () for one or none."""
        return () if self.teacher_logits is None else tuple(self.teacher_logits.shape[2:-1])

    def to(self, device: torch.device) -> TransferSet:
        """The same on another device."""
        hard_labels = None if self.hard_labels is None else self.hard_labels.to(device)
        teacher_logits = None if self.teacher_logits is None else self.teacher_logits.to(device)
        return TransferSet(self.kind, self.images.to(device), self.rows.to(device), hard_labels, teacher_logits)

    def taught(self, teacher_logits: Tensor | None) -> TransferSet:
        """The same pictures with other teacher logits."""
        return replace(self, teacher_logits=teacher_logits)


def labelled_subset(hard_labels: Tensor, labels: int, seed: int) -> Tensor:
    """Rows of the training pictures that a seed may use, int64 [labels]: as many of each class as can be.

    The subset of a smaller number is part of that of a larger one.
    """
    order = torch.randperm(len(hard_labels), generator=torch.Generator().manual_seed(seed))
    shuffled = hard_labels[order]
    rank = torch.empty_like(order)
    for label in shuffled.unique():
        places = (shuffled == label).nonzero()[:, 0]
        rank[places] = torch.arange(len(places))
    return order[rank.argsort(stable=True)][:labels]


def other_subset(labelled: Tensor, pictures: int, seed: int) -> Tensor:
    """As many rows as are labelled, none of them among those; fewer where there are no more. int64 [N].

    Drawn evenly from all the others: who takes as many of each class knows their labels.

    Args:
        labelled: rows that have labels, int64 [N].
        pictures: how many there are in all.
    """
    others = torch.ones(pictures, dtype=torch.bool)
    others[labelled] = False
    rows = others.nonzero()[:, 0]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    return rows[order[: len(labelled)]]


def noise_pictures(count: int, image_shape: tuple[int, int, int], seed: int) -> Tensor:
    """Pictures of nothing, uint8 [count, C, H, W]: every pixel drawn evenly."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *image_shape), generator=generator, dtype=torch.uint8)


def logits_of_views(logits: Callable[[Tensor], Tensor], images: Tensor, views: ViewSet) -> Tensor:
    """Logits of every view of the pictures, float16 [V, N, K].

    Args:
        logits: uint8 [N, C, H, W] -> float [N, K].
    """
    return torch.stack([logits(views.apply(images, view)).half() for view in range(len(views))])


def shuffle_within_classes(teacher_logits: Tensor, hard_labels: Tensor, seed: int) -> Tensor:
    """Every picture gets the teacher's logits of another picture of its class; [V, N, K] and [N].

    What the classes look like to the teacher stays; what it saw in the single picture is gone.
    """
    generator = torch.Generator().manual_seed(seed)
    source = torch.arange(len(hard_labels))
    for label in hard_labels.unique():
        rows = (hard_labels == label).nonzero()[:, 0]
        shuffled = rows[torch.randperm(len(rows), generator=generator)]
        source[shuffled] = shuffled.roll(1)  # nobody keeps its own, unless it is alone
    return teacher_logits[:, source]


def permute_wrong_classes(teacher_logits: Tensor, hard_labels: Tensor, seed: int) -> Tensor:
    """The logits of each picture's wrong classes change places, anew for each picture; [V, N, K] and [N].

    How sure the teacher is stays, and so does how uneven the rest is; which wrong class is meant is gone.
    """
    _, n, classes = teacher_logits.shape
    scores = torch.rand(n, classes, generator=torch.Generator().manual_seed(seed))
    target = torch.arange(classes) == hard_labels[:, None]  # [N, K]
    wrong = torch.arange(classes).expand(n, classes)[~target].view(n, classes - 1)
    order = scores[~target].view(n, classes - 1).argsort(1)
    source = torch.arange(classes).repeat(n, 1)
    source.scatter_(1, wrong, wrong.gather(1, order))
    return teacher_logits.gather(2, source.expand_as(teacher_logits))
