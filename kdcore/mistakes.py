"""Which test pictures a network gets wrong, how sure it was, and how well it knows how sure to be."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kdcore import metrics
from kdcore.datasets import Dataset
from kdcore.errors import ConfigError
from kdcore.reliability import ReliabilityBin, reliability
from kdcore.soft_labels import soften
from kdcore.teachers import Teacher

MOST = 8


@dataclass(frozen=True, eq=False)
class Mistake:
    """A test picture that was answered wrongly.

    Attributes:
        picture: uint8 [C, H, W].
        hard_label, chosen: what it is, and what the network says; indices of classes.
        soft_labels: the network's probabilities at T = 1, [K].
        posterior: the true ones given the traits, [K], where they are known.
    """

    index: int
    picture: Tensor
    hard_label: int
    chosen: int
    soft_labels: tuple[float, ...]
    posterior: tuple[float, ...] | None


@dataclass(frozen=True)
class Mixup:
    """So many pictures of one class were taken for another."""

    hard_label: int
    chosen: int
    count: int


@dataclass(frozen=True, eq=False)
class Reading:
    """One network before all test pictures.

    Attributes:
        size, wrong: how many pictures there are, and how many of them are answered wrongly.
        surest: the wrong answers that it was surest of, the surest first.
        mixups: pairs of classes by how often the one was taken for the other, the most frequent first.
        by_class: share right of every class.
        bins: reliability at T = 1.
    """

    class_names: tuple[str, ...]
    size: int
    wrong: int
    surest: tuple[Mistake, ...]
    mixups: tuple[Mixup, ...]
    by_class: tuple[metrics.ClassAccuracy, ...]
    bins: tuple[ReliabilityBin, ...]


def read_test(teacher: Teacher, dataset: Dataset, most: int = MOST) -> Reading:
    """Ask a network, a student too, about every test picture of the dataset that it learned.

    Raises:
        ConfigError: the pictures here are not those that its card was measured on.
    """
    card, split = teacher.card, dataset.test
    if card.dataset_sha256 != dataset.sha256 or card.class_names != dataset.class_names:
        raise ConfigError(
            f"{card.name} learned other pictures than {dataset.name} has on this machine, so its mistakes cannot be "
            "looked up here."
        )
    logits = teacher.logits(split.images)
    confidence, chosen = soften(logits).max(-1)
    wrong = (chosen != split.hard_labels).nonzero()[:, 0]
    order = wrong[confidence[wrong].argsort(descending=True, stable=True)][:most]
    return Reading(
        class_names=dataset.class_names,
        size=len(split),
        wrong=len(wrong),
        surest=tuple(_mistake(index, logits, dataset) for index in order.tolist()),
        mixups=_mixups(logits, dataset),
        by_class=metrics.per_class(logits[None], split.hard_labels),
        bins=reliability(logits, split.hard_labels),
    )


def _mistake(index: int, logits: Tensor, dataset: Dataset) -> Mistake:
    split = dataset.test
    posterior = None if split.posterior is None else tuple(split.posterior[index].tolist())
    return Mistake(
        index,
        split.images[index].clone(),  # not a view, which would keep the whole split in memory
        int(split.hard_labels[index]),
        int(logits[index].argmax()),
        tuple(soften(logits[index]).tolist()),
        posterior,
    )


def _mixups(logits: Tensor, dataset: Dataset) -> tuple[Mixup, ...]:
    counts = metrics.confusion(logits[None], dataset.test.hard_labels).fill_diagonal_(0)
    pairs = [
        Mixup(label, chosen, count)
        for label, row in enumerate(counts.tolist())
        for chosen, count in enumerate(row)
        if count
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.count))
