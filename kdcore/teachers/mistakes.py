"""Which test pictures a network gets wrong, how sure it was of them, and how well it is calibrated."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kdcore.datasets import Dataset
from kdcore.errors import ConfigError
from kdcore.metrics import scores
from kdcore.metrics.reliability import ReliabilityBin, reliability
from kdcore.metrics.soft_labels import soften
from kdcore.teachers.card import same_classes
from kdcore.teachers.fit import fit_to
from kdcore.teachers.teacher import Teacher

MOST_LISTED = 8  # how many mistakes a summary lists by default


@dataclass(frozen=True, eq=False)
class Mistake:
    """A test picture that the network classifies wrongly.

    Attributes:
        index: its index in the test split.
        picture: uint8 [C, H, W].
        hard_label: the index of its true class.
        chosen: the index of the class that the network answers.
        soft_labels: the network's probabilities at T = 1, [K].
        posterior: the true probabilities of the classes given the traits that the picture shows, [K]; None for
            datasets that do not know them.
    """

    index: int
    picture: Tensor
    hard_label: int
    chosen: int
    soft_labels: tuple[float, ...]
    posterior: tuple[float, ...] | None


@dataclass(frozen=True)
class ClassConfusion:
    """The number of test pictures of one class (`hard_label`) that were taken for another (`chosen`)."""

    hard_label: int
    chosen: int
    count: int


@dataclass(frozen=True, eq=False)
class MistakeSummary:
    """The mistakes of one network on the whole test split.

    Attributes:
        size: the number of test pictures.
        wrong: the number of pictures that are classified wrongly.
        most_confident: the mistakes in which the network was most confident, the most confident first.
        confusions: how often one class was taken for another, the most frequent pair first; pairs that never occurred
            are left out.
        by_class: the accuracy on each class.
        bins: the bins of the reliability diagram at T = 1.
    """

    class_names: tuple[str, ...]
    size: int
    wrong: int
    most_confident: tuple[Mistake, ...]
    confusions: tuple[ClassConfusion, ...]
    by_class: tuple[scores.ClassAccuracy, ...]
    bins: tuple[ReliabilityBin, ...]


def find_mistakes(teacher: Teacher, dataset: Dataset, limit: int = MOST_LISTED) -> MistakeSummary:
    """Run a network on every test picture of the dataset that it learned, and collect its mistakes.

    Args:
        teacher: the network; it may also be a student.
        limit: the number of mistakes to list in `MistakeSummary.most_confident`.

    Raises:
        ConfigError: the dataset on this machine is not the one that the network was trained on.
    """
    card, split = teacher.card, dataset.test
    if card.dataset_sha256 != dataset.sha256 or not same_classes(card.class_names, dataset.class_names):
        raise ConfigError(
            f"{card.name} learned other pictures than {dataset.name} has on this machine, so its mistakes cannot be "
            "looked up here."
        )
    logits = fit_to(dataset, teacher, "train it again").logits(split.images)
    confidence, chosen = soften(logits).max(-1)
    wrong = (chosen != split.hard_labels).nonzero()[:, 0]
    order = wrong[confidence[wrong].argsort(descending=True, stable=True)][:limit]
    return MistakeSummary(
        class_names=dataset.class_names,
        size=len(split),
        wrong=len(wrong),
        most_confident=tuple(_mistake(index, logits, dataset) for index in order.tolist()),
        confusions=_confusions(logits, dataset),
        by_class=scores.per_class(logits[None], split.hard_labels),
        bins=reliability(logits, split.hard_labels),
    )


def _mistake(index: int, logits: Tensor, dataset: Dataset) -> Mistake:
    split = dataset.test
    posterior = None if split.posterior is None else tuple(split.posterior[index].tolist())
    return Mistake(
        index,
        split.images[index].clone(),  # a slice would keep the whole split in memory
        int(split.hard_labels[index]),
        int(logits[index].argmax()),
        tuple(soften(logits[index]).tolist()),
        posterior,
    )


def _confusions(logits: Tensor, dataset: Dataset) -> tuple[ClassConfusion, ...]:
    counts = scores.confusion(logits[None], dataset.test.hard_labels).fill_diagonal_(0)
    pairs = [
        ClassConfusion(label, chosen, count)
        for label, row in enumerate(counts.tolist())
        for chosen, count in enumerate(row)
        if count
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.count))
