"""Transfer sets: the pictures that a student learns from, with their hard labels and teacher logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kdcore.networks.inference import compact
from kdcore.pictures.views import ViewSet


@dataclass(frozen=True, eq=False)
class TransferSet:
    """What one student learns from.

    Attributes:
        kind: name of the kind of pictures, such as "labelled" or "noise". Transfer sets of the same kind and seed have
            the same pictures.
        images: the pictures that `rows` selects from, uint8 [M, C, H, W], on the device that trains.
        rows: indices of the transfer set's pictures in `images`, int64 [N].
        hard_labels: int64 [N]; None for pictures without labels.
        teacher_logits: for each of V views, float16 or float32 [V, N, K], or [V, N, members, K] for the separate
            members of an ensemble; None without a teacher.
    """

    kind: str
    images: Tensor
    rows: Tensor
    hard_labels: Tensor | None
    teacher_logits: Tensor | None = None

    @property
    def members(self) -> tuple[int, ...]:
        """(M,) if `teacher_logits` holds the separate logits of M teachers; () for one teacher or none."""
        return () if self.teacher_logits is None else tuple(self.teacher_logits.shape[2:-1])

    def with_teacher_logits(self, teacher_logits: Tensor | None) -> TransferSet:
        """Return a transfer set of the same pictures with these teacher logits."""
        return replace(self, teacher_logits=teacher_logits)


def to_device(transfer_sets: Sequence[TransferSet], device: torch.device) -> list[TransferSet]:
    """Return the same transfer sets on another device, where they share the tensors that they share here.

    A tensor that is moved to a GPU becomes another object. If each transfer set were moved by itself, students that
    learn from the same logits would each get a copy, which costs memory, and would look up their own in every step.
    """
    moved: dict[int, Tensor] = {}  # by `id` of the tensor before; `transfer_sets` keeps it, so no other gets this id

    def move(tensor: Tensor) -> Tensor:
        if id(tensor) not in moved:
            moved[id(tensor)] = tensor.to(device)
        return moved[id(tensor)]

    return [
        replace(
            one,
            images=move(one.images),
            rows=move(one.rows),
            hard_labels=None if one.hard_labels is None else move(one.hard_labels),
            teacher_logits=None if one.teacher_logits is None else move(one.teacher_logits),
        )
        for one in transfer_sets
    ]


def labelled_subset(hard_labels: Tensor, labels: int, seed: int) -> Tensor:
    """Choose the labelled training pictures of a seed, with equally many of each class as far as that is possible.

    For the same seed, the subset for a smaller number is part of the subset for a larger one.

    Args:
        hard_labels: the hard labels of all training pictures, int64 [M].
        labels: how many pictures to choose.

    Returns:
        indices of the chosen pictures, int64 [labels].
    """
    order = torch.randperm(len(hard_labels), generator=torch.Generator().manual_seed(seed))
    shuffled = hard_labels[order]
    rank = torch.empty_like(order)
    for label in shuffled.unique():
        places = (shuffled == label).nonzero()[:, 0]
        rank[places] = torch.arange(len(places))
    return order[rank.argsort(stable=True)][:labels]


def other_subset(labelled: Tensor, pictures: int, seed: int) -> Tensor:
    """Choose as many unlabelled training pictures as there are labelled ones; fewer if there are not so many.

    The draw is uniform and ignores classes, because balancing them would use the labels of these pictures.

    Args:
        labelled: indices of the labelled pictures, int64 [N].
        pictures: the number of all training pictures.

    Returns:
        indices of the chosen pictures, none of them labelled, int64 [N].
    """
    is_unlabelled = torch.ones(pictures, dtype=torch.bool)
    is_unlabelled[labelled] = False
    rows = is_unlabelled.nonzero()[:, 0]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    return rows[order[: len(labelled)]]


def noise_pictures(count: int, image_shape: tuple[int, int, int], seed: int) -> Tensor:
    """Return pictures of noise, uint8 [count, C, H, W]: every value is drawn uniformly from 0 to 255."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *image_shape), generator=generator, dtype=torch.uint8)


def logits_of_views(logits: Callable[[Tensor], Tensor], images: Tensor, views: ViewSet) -> Tensor:
    """Return the logits of every view of the pictures, float16 or float32 [V, N, K].

    Args:
        logits: computes the logits of pictures, uint8 [N, C, H, W] -> float [N, K].
    """
    return torch.stack([compact(logits(views.apply(images, view))) for view in range(len(views))])


def shuffle_within_classes(teacher_logits: Tensor, hard_labels: Tensor, seed: int) -> Tensor:
    """Give every picture the teacher logits of another picture of its class.

    This keeps what the teacher says about a class, and removes what it says about the single picture.

    Args:
        teacher_logits: [V, N, K].
        hard_labels: [N].
    """
    generator = torch.Generator().manual_seed(seed)
    source = torch.arange(len(hard_labels))
    for label in hard_labels.unique():
        rows = (hard_labels == label).nonzero()[:, 0]
        shuffled = rows[torch.randperm(len(rows), generator=generator)]
        source[shuffled] = shuffled.roll(1)  # only the one picture of a class keeps its own logits
    return teacher_logits[:, source]


def permute_wrong_classes(teacher_logits: Tensor, hard_labels: Tensor, seed: int) -> Tensor:
    """Permute the teacher logits of each picture's wrong classes, with a different permutation for each picture.

    This keeps the teacher's confidence in the hard label and the values of the other logits, and removes which wrong
    class each of them belongs to.

    Args:
        teacher_logits: [V, N, K].
        hard_labels: [N].
    """
    n, classes = teacher_logits.shape[1:]
    scores = torch.rand(n, classes, generator=torch.Generator().manual_seed(seed))
    is_hard_label = torch.arange(classes) == hard_labels[:, None]  # [N, K]
    wrong = torch.arange(classes).expand(n, classes)[~is_hard_label].view(n, classes - 1)
    order = scores[~is_hard_label].view(n, classes - 1).argsort(1)
    source = torch.arange(classes).repeat(n, 1)
    source.scatter_(1, wrong, wrong.gather(1, order))
    return teacher_logits.gather(2, source.expand_as(teacher_logits))
