"""The arms of a run: which students there are, what each is told, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from kdcore.config import RunConfig
from kdcore.controls import control_teacher
from kdcore.datasets import Dataset
from kdcore.defaults import defaults_for
from kdcore.ensemble_names import members_of
from kdcore.methods import METHODS, check_parameters, find_method
from kdcore.models import build_model
from kdcore.students import PEER, Objective, Student
from kdcore.sweeps import Point, points
from kdcore.teachers import FrozenNetwork, Teacher
from kdcore.transfer_sets import (
    TransferSet,
    labelled_subset,
    logits_of_views,
    noise_pictures,
    other_subset,
    permute_wrong_classes,
    shuffle_within_classes,
)

# How far from a student's seed those of other first weights are: its peer's, and the random teacher's, which would
# otherwise be the student itself where both are of one architecture.
PEER_WEIGHTS, UNTRAINED_WEIGHTS = 500_000_003, 900_000_011
UNLABELLED = ("unlabelled", "noise")  # controls whose pictures have no hard labels


@dataclass(frozen=True, eq=False)
class Answers:
    """What the teachers of a run say.

    Attributes:
        images: the training pictures on the device that trains, uint8 [M, C, H, W].
        teachers: by name.
        logits: float16 [V, M, K] by the teacher's name, valid for the rows that take part.
        chained: float16 [V, N, K] of the teacher that a method's stages made for a seed, by the point's label and seed.
    """

    images: Tensor
    teachers: Mapping[str, Teacher]
    logits: Mapping[str, Tensor]
    chained: Mapping[tuple[str, int], Tensor]


def arm_names(config: RunConfig, dataset: Dataset) -> tuple[str, ...]:
    """The arms that are trained and measured at the run's own point; the true posterior teaches one where it is
    known."""
    posterior = ("posterior",) if dataset.train.posterior is not None else ()
    return ("baseline", "distilled", *posterior, *config.controls)


def rows_of(config: RunConfig, dataset: Dataset) -> Tensor:
    """Every row of the training pictures that a teacher is asked about, int64, sorted."""
    found = []
    for labels in {point.config.labels for point in points(config)}:
        for seed in config.seeds:
            labelled = labelled_subset(dataset.train.hard_labels, labels, seed)
            found.append(labelled)
            if "unlabelled" in config.controls:
                found.append(other_subset(labelled, len(dataset.train), seed))
    rows: Tensor = torch.cat(found).unique()
    return rows


def build_students(group: Sequence[Point], dataset: Dataset, answers: Answers) -> list[Student]:
    """Every student of points that learn together, seed by seed; those of a seed start from the same weights."""
    students = []
    for seed in group[0].config.seeds:
        config = group[0].config
        baseline = baseline_student(config, dataset, answers.images, seed)
        labelled = baseline.transfer_set
        taught = _by_teacher(labelled, answers)
        students.append(replace(baseline, arm=group[0].arm("baseline")))
        for point in group:
            arm = point.arm("distilled")
            students += _distilled(arm, seed, point, labelled, answers, taught)
            if point.main:
                for name in arm_names(config, dataset)[2:]:
                    told, objective = _told(name, seed, point, labelled, dataset, answers)
                    students.append(_student(name, seed, config, told, objective))
    return students


def baseline_student(config: RunConfig, dataset: Dataset, images: Tensor, seed: int) -> Student:
    """A seed's student without a teacher.

    Args:
        images: the training pictures, on the device that trains.
    """
    rows = labelled_subset(dataset.train.hard_labels, config.labels, seed)
    told = TransferSet("labelled", images, rows, dataset.train.hard_labels[rows])
    return _student("baseline", seed, config, told, _plain(config))


def _student(arm: str, seed: int, config: RunConfig, told: TransferSet, objective: Objective) -> Student:
    return Student(arm, seed, config.student, seed, told, objective, config.teacher)


def _distilled(
    arm: str,
    seed: int,
    point: Point,
    labelled: TransferSet,
    answers: Answers,
    taught: Callable[[str, bool], TransferSet],
) -> list[Student]:
    """The distilled student of a point, with its peer if its method has one."""
    config = point.config
    uses, objective = find_method(config.method).uses, objective_of(config)
    if uses in ("peer", "nothing"):
        told = labelled
    elif uses == "stages":
        told = labelled.taught(answers.chained[point.label, seed])
    else:
        told = taught(config.teacher, uses == "members")
    student = _student(arm, seed, config, told, objective)
    return [student, replace(student, arm=PEER, weights=seed + PEER_WEIGHTS)] if uses == "peer" else [student]


def _by_teacher(labelled: TransferSet, answers: Answers) -> Callable[[str, bool], TransferSet]:
    """What a seed's students are told by a teacher, or by each member of an ensemble apart. All points of a sweep share
    it: their copies of the logits would be many."""

    @cache
    def told(teacher: str, apart: bool) -> TransferSet:
        each = [answers.logits[name][:, labelled.rows] for name in (members_of(teacher) if apart else (teacher,))]
        logits = torch.stack(each, 2) if apart else each[0]
        return labelled.taught(logits.to(answers.images.device))

    return told


def _told(
    name: str, seed: int, point: Point, labelled: TransferSet, dataset: Dataset, answers: Answers
) -> tuple[TransferSet, Objective]:
    """What the posterior's arm or a control is told, and what it minimises."""
    config, train = point.config, dataset.train
    views = defaults_for(config.dataset).views
    objective = objective_of(config)
    assert labelled.hard_labels is not None
    if name == "posterior":  # a teacher like any other: its log-probabilities are its logits
        assert train.posterior is not None
        logits = train.posterior[labelled.rows].clamp(min=1e-12).log().half()
        return labelled.taught(logits.expand(len(views), -1, -1)), _by_posterior(config)
    if name == "label-smoothing":
        return labelled, _plain(config, float(METHODS[name].parameters[0].default))
    teacher = answers.teachers[config.teacher]
    if name == "random-teacher":
        unlearned = untrained(teacher, seed)
        return labelled.taught(logits_of_views(unlearned.logits, train.images[labelled.rows], views)), objective
    if name == "noise":
        images = noise_pictures(config.labels, dataset.image_shape, seed)
        logits = logits_of_views(teacher.logits, images, views)
        rows = torch.arange(config.labels)
        return TransferSet(name, images.to(answers.images.device), rows, None, logits), _soft_only(objective)
    if name == "unlabelled":
        rows = other_subset(labelled.rows, len(train), seed)
        told = TransferSet(name, answers.images, rows, None, answers.logits[config.teacher][:, rows])
        return told, _soft_only(objective)
    logits = answers.logits[control_teacher(config.teacher, name)][:, labelled.rows]
    if name == "shuffled":
        logits = shuffle_within_classes(logits, labelled.hard_labels, seed)
    elif name == "permuted":
        logits = permute_wrong_classes(logits, labelled.hard_labels, seed)
    return labelled.taught(logits), objective


def untrained(teacher: Teacher, seed: int) -> Teacher:
    """A network like the teacher's, or like its first member's, that has learned nothing.

    Args:
        seed: of the students that it teaches.
    """
    card = (teacher.members or (teacher,))[0].card
    network = build_model(card.model, card.image_shape, len(card.class_names), seed=seed + UNTRAINED_WEIGHTS)
    teacher.device.place(network)
    return Teacher(replace(card, calibration=1.0), FrozenNetwork(network, card.crop), teacher.device)


def objective_of(config: RunConfig) -> Objective:
    """What the distilled student of a run minimises."""
    method = find_method(config.method)
    parameters = dict(check_parameters(method, dict(config.parameters)))
    if method.name == "label-smoothing":
        return _plain(config, float(parameters["smoothing"]))
    return Objective(method, {**_common(config), **parameters})


def _common(config: RunConfig) -> dict[str, float]:
    return {
        "temperature": config.temperature,
        "distill_weight": config.distill_weight,
        "label_smoothing": config.recipe.label_smoothing,
    }


def _by_posterior(config: RunConfig) -> Objective:
    """Hinton's; where the run's own method has no use for soft labels, with the dataset's weight."""
    uses_none = find_method(config.method).uses == "nothing"
    weight = defaults_for(config.dataset).distill_weight if uses_none else config.distill_weight
    return Objective(METHODS["kd"], {**_common(config), "distill_weight": weight})


def _plain(config: RunConfig, label_smoothing: float | None = None) -> Objective:
    """The hard loss alone."""
    smoothing = config.recipe.label_smoothing if label_smoothing is None else label_smoothing
    return Objective(METHODS["kd"], {**_common(config), "distill_weight": 0.0, "label_smoothing": smoothing})


def _soft_only(objective: Objective) -> Objective:
    return replace(objective, settings={**objective.settings, "distill_weight": 1.0})
