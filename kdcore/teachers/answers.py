"""The answers of a run's teacher and two students to every test picture: where they differ, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kdcore.datasets import Dataset
from kdcore.networks.inference import compact
from kdcore.teachers.fit import fit_to
from kdcore.teachers.teacher import Teacher

STUDENT_ARMS = ("distilled", "baseline")
PICTURE_GROUPS = ("distilled", "baseline", "dissent")  # groups of pictures, explained at `pictures_of_group`
MOST_PICTURES = 60  # at most so many pictures of each group are kept in memory


@dataclass(frozen=True, eq=False)
class PictureAnswers:
    """What the teacher, one distilled student and its baseline answer to the N pictures of the test split.

    Attributes:
        superclasses: the superclass of each class, [K].
        hard_labels: int64 [N].
        chosen: for each arm, the class with the largest logit, int64 [N].
        logits: for each arm, the calibrated logits, fp16 [N, K], or fp32 where they exceed fp16.
        pictures: from the index of a picture in the test split to its pixels, uint8 [C, H, W]; it holds only the first
            `MOST_PICTURES` of each group.
        dataset_sha256: SHA-256 of the dataset that the pictures belong to.
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

    def one_hot_choices(self, arm: str) -> Tensor:
        """The chosen class of each picture, one-hot: float32 [N, K].

        Pass this instead of `logits` to functions that only use the largest logit: fp16 logits may hold ties.
        """
        return F.one_hot(self.chosen[arm], len(self.class_names)).float()


def answer_test_split(networks: Mapping[str, Teacher], dataset: Dataset) -> PictureAnswers:
    """Run the three networks on every test picture of `dataset`.

    Args:
        networks: the networks under the keys "teacher", "distilled" and "baseline".

    Raises:
        ConfigError: a network has other classes than `dataset`, or takes pictures of another shape.
    """
    split = dataset.test
    exact_logits: dict[str, Tensor] = {}
    for arm, network in networks.items():
        fitting = fit_to(dataset, network, "compare a run that was trained on the dataset as it is now")
        exact_logits[arm] = fitting.logits(split.images)
    # Choose before rounding to fp16, which can make ties.
    chosen = {arm: logits.argmax(-1) for arm, logits in exact_logits.items()}
    shown = {
        index
        for group in PICTURE_GROUPS
        for index in _rank(group, exact_logits, chosen, split.hard_labels)[:MOST_PICTURES].tolist()
    }
    return PictureAnswers(
        dataset.class_names,
        dataset.superclasses,
        split.hard_labels,
        chosen,
        {arm: compact(logits) for arm, logits in exact_logits.items()},
        {index: split.images[index].clone() for index in sorted(shown)},
        dataset.sha256,
    )


def pictures_of_group(answers: PictureAnswers, group: str) -> Tensor:
    """Indices into the test split of the pictures of one group, those with the largest gap first: int64 [M].

    The gap compares the probabilities of the true class at T = 1. Equal gaps keep the order of the split.

    Args:
        group: "distilled" or "baseline" for the pictures on which only this student is right; their gap is this
            student's probability minus the other's. "dissent" for the pictures on which neither student answers as the
            teacher does; their gap is the distance between the teacher's probability and the students' mean.
    """
    return _rank(group, answers.logits, answers.chosen, answers.hard_labels)


def _rank(group: str, logits: Mapping[str, Tensor], chosen: Mapping[str, Tensor], hard_labels: Tensor) -> Tensor:
    if group == "dissent":
        in_group = torch.stack([chosen[arm] != chosen["teacher"] for arm in STUDENT_ARMS]).all(0)
    else:
        other = next(arm for arm in STUDENT_ARMS if arm != group)
        in_group = (chosen[group] == hard_labels) & (chosen[other] != hard_labels)
    index = in_group.nonzero()[:, 0]
    labels = hard_labels[index][:, None]
    # Round to fp16 first: the order must be the same for exact logits and for those that `PictureAnswers` keeps.
    kept = {arm: compact(value)[index].float() for arm, value in logits.items()}
    truth = {arm: value.softmax(-1).gather(1, labels)[:, 0] for arm, value in kept.items()}
    if group == "dissent":
        gap = (truth["teacher"] - (truth["distilled"] + truth["baseline"]) / 2).abs()
    else:
        gap = truth[group] - truth[other]
    return index[gap.argsort(descending=True, stable=True)]
