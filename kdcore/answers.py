"""What single networks answer to every test picture, for what no mean shows: which pictures, and how sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.datasets import Dataset
from kdcore.errors import ConfigError
from kdcore.teachers import Teacher

STUDENTS = ("distilled", "baseline")
GROUPS = ("distilled", "baseline", "dissent")  # only this one is right; neither answers as the teacher does
MOST_PICTURES = 60  # of a group that are kept


@dataclass(frozen=True, eq=False)
class Answers:
    """Teacher, distilled and baseline on the test split.

    Attributes:
        hard_labels: int64 [N].
        chosen: by arm, the class with the largest logit, int64 [N].
        logits: by arm, calibrated, fp16 [N, K].
        pictures: uint8 [C, H, W] by index, of those that a group shows.
        dataset_sha256: of the pictures that were asked about.
    """

    class_names: tuple[str, ...]
    superclasses: tuple[str, ...]
    hard_labels: Tensor
    chosen: Mapping[str, Tensor]
    logits: Mapping[str, Tensor]
    pictures: Mapping[int, Tensor]
    dataset_sha256: str

    def __len__(self) -> int:
        return len(self.hard_labels)

    def decisions(self, arm: str) -> Tensor:
        """1 at the class chosen, else 0, [N, K]: logits for what looks at the largest only, free of their rounding."""
        return F.one_hot(self.chosen[arm], len(self.class_names)).float()


def answer_test(networks: Mapping[str, Teacher], dataset: Dataset) -> Answers:
    """Ask each network about every test picture; only the pictures on which they differ are kept.

    Args:
        networks: teacher, distilled and baseline.

    Raises:
        ConfigError: a network that knows other classes, or takes pictures of another shape.
    """
    split = dataset.test
    exact: dict[str, Tensor] = {}
    for arm, network in networks.items():
        sized = network.card.image_shape == dataset.image_shape or network.members  # members bring pictures to size
        if network.card.class_names != dataset.class_names or not sized:
            raise ConfigError(
                f"The {arm} network {network.name} learned other classes than {dataset.name} has on this machine; "
                "compare a run that was trained on it as it is now."
            )
        exact[arm] = network.logits(split.images)
    chosen = {arm: logits.argmax(-1) for arm, logits in exact.items()}  # before rounding, which can make ties
    shown = {
        index for group in GROUPS for index in _rank(group, exact, chosen, split.hard_labels)[:MOST_PICTURES].tolist()
    }
    return Answers(
        dataset.class_names,
        dataset.superclasses,
        split.hard_labels,
        chosen,
        {arm: logits.half() for arm, logits in exact.items()},
        {index: split.images[index].clone() for index in sorted(shown)},
        dataset.sha256,
    )


def differing(answers: Answers, group: str) -> Tensor:
    """Indices of the pictures of a group, the most telling first: int64 [M].

    "distilled" and "baseline": only this student is right; "dissent": neither answers as the teacher does. Told by
    the probability of the true class at T = 1: how much more this student gives it than the other, or how far the
    teacher and the mean of the students are apart. Ties go in the order of the split.
    """
    return _rank(group, answers.logits, answers.chosen, answers.hard_labels)


def _rank(group: str, logits: Mapping[str, Tensor], chosen: Mapping[str, Tensor], hard_labels: Tensor) -> Tensor:
    if group == "dissent":
        member = torch.stack([chosen[arm] != chosen["teacher"] for arm in STUDENTS]).all(0)
    else:
        other = next(arm for arm in STUDENTS if arm != group)
        member = (chosen[group] == hard_labels) & (chosen[other] != hard_labels)
    index = member.nonzero()[:, 0]
    labels = hard_labels[index][:, None]
    # Rounded as they are kept, so that the order is the same before and after.
    truth = {arm: value[index].half().float().softmax(-1).gather(1, labels)[:, 0] for arm, value in logits.items()}
    if group == "dissent":
        gap = (truth["teacher"] - (truth["distilled"] + truth["baseline"]) / 2).abs()
    else:
        gap = truth[group] - truth[other]
    return index[gap.argsort(descending=True, stable=True)]
