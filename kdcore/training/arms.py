"""The arms of a run: which students it trains, what each learns from, and which loss it minimises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from kdcore.datasets import Dataset
from kdcore.methods.method import DEFAULT_METHOD
from kdcore.methods.registry import METHODS, check_parameters, find_method
from kdcore.networks.frozen import FrozenNetwork
from kdcore.settings.config import RunConfig
from kdcore.settings.controls import control_teacher
from kdcore.settings.defaults import defaults_for
from kdcore.settings.sweeps import Point, points
from kdcore.teachers.ensemble_names import members_of
from kdcore.teachers.teacher import Teacher, build_network
from kdcore.training.extra_pictures import ExtraPictures, repeat_to
from kdcore.training.students import PEER, Objective, Student
from kdcore.training.transfer_sets import (
    TransferSet,
    labelled_subset,
    logits_of_views,
    noise_pictures,
    other_subset,
    permute_wrong_classes,
    shuffle_within_classes,
)

# Added to a student's seed for the first weights of its peer, and for those of the random teacher, which would
# otherwise equal the student itself if both have the same architecture.
PEER_SEED_OFFSET, RANDOM_TEACHER_SEED_OFFSET = 500_000_003, 900_000_011


@dataclass(frozen=True, eq=False)
class TeacherAnswers:
    """The teachers of a run and their logits for the training pictures.

    Attributes:
        images: the training pictures on the device that trains, uint8 [M, C, H, W].
        teachers: every teacher of the run, by name.
        logits: each teacher's logits for all V views, float16 or float32 [V, M, K], by the teacher's name. Only the
            rows that `rows_to_ask` returns are valid; the others may be NaN.
        stage_logits: for methods with stages, the logits of the last stage's students for all views of their N labelled
            pictures, float16 or float32 [V, N, K], by (label of the point, seed).
        extra: the run's extra pictures, if it has any.
    """

    images: Tensor
    teachers: Mapping[str, Teacher]
    logits: Mapping[str, Tensor]
    stage_logits: Mapping[tuple[str, int], Tensor]
    extra: ExtraPictures | None = None


def arm_names(config: RunConfig, dataset: Dataset) -> tuple[str, ...]:
    """Return the arms that are trained at the run's own point. If the dataset's true posterior is known, one of them
    ("posterior") learns from it as its teacher."""
    return ("baseline", "distilled", *_extra_arms(config, dataset))


def _extra_arms(config: RunConfig, dataset: Dataset) -> tuple[str, ...]:
    """Return the arms that are trained at the run's own point only."""
    posterior = ("posterior",) if dataset.train.posterior is not None else ()
    return (*posterior, *config.controls)


def rows_to_ask(config: RunConfig, dataset: Dataset) -> Tensor:
    """Return the indices of all training pictures whose teacher logits the run needs, int64, sorted."""
    subsets = []
    for labels in {point.config.labels for point in points(config)}:
        for seed in config.seeds:
            labelled = labelled_subset(dataset.train.hard_labels, labels, seed)
            subsets.append(labelled)
            if "unlabelled" in config.controls:
                subsets.append(other_subset(labelled, len(dataset.train), seed))
    rows: Tensor = torch.cat(subsets).unique()
    return rows


def build_students(group: Sequence[Point], dataset: Dataset, answers: TeacherAnswers) -> list[Student]:
    """Return all students of `group`, points that are trained together, seed by seed.

    The points share one baseline per seed. All students of a seed start from the same weights, except for the peers of
    mutual learning. The run's own point, if it is in this group, also has the arm "posterior" and the controls.
    """
    students = []
    for seed in group[0].config.seeds:
        config = group[0].config
        baseline = baseline_student(config, dataset, answers.images, seed)
        labelled = baseline.transfer_set
        with_logits_of = _logits_lookup(labelled, answers)
        students.append(replace(baseline, arm=group[0].arm("baseline")))
        for point in group:
            arm = point.arm("distilled")
            students += _distilled(arm, seed, point, labelled, answers, with_logits_of)
            if point.main:
                for name in _extra_arms(config, dataset):
                    pair = _transfer_set_and_objective(name, seed, point, labelled, dataset, answers)
                    students.append(_student(name, seed, config, *pair))
    if answers.extra is None:
        return students
    repeated = repeat_to([one.transfer_set for one in students], group[0].config.labels + answers.extra.count)
    return [replace(one, transfer_set=longer) for one, longer in zip(students, repeated, strict=True)]


def baseline_student(config: RunConfig, dataset: Dataset, images: Tensor, seed: int) -> Student:
    """Return the baseline student of a seed.

    Args:
        images: all training pictures, on the device that trains, uint8 [M, C, H, W].
    """
    rows = labelled_subset(dataset.train.hard_labels, config.labels, seed)
    labelled = TransferSet("labelled", images, rows, dataset.train.hard_labels[rows])
    return _student("baseline", seed, config, labelled, _hard_only(config))


def _student(arm: str, seed: int, config: RunConfig, transfer_set: TransferSet, objective: Objective) -> Student:
    return Student(arm, seed, config.student, seed, transfer_set, objective, config.teacher)


def _distilled(
    arm: str,
    seed: int,
    point: Point,
    labelled: TransferSet,
    answers: TeacherAnswers,
    with_logits_of: Callable[[str, bool], TransferSet],
) -> list[Student]:
    """Return the distilled student of a point, followed by its peer if the method has one.

    Args:
        with_logits_of: the function that `_logits_lookup` made for this seed.
    """
    config = point.config
    method = find_method(config.method)
    if method.stages is not None:
        transfer_set = labelled.with_teacher_logits(answers.stage_logits[point.label, seed])
    elif method.has_teacher:
        transfer_set = with_logits_of(config.teacher, method.needs_ensemble)
    else:
        transfer_set = labelled
    if answers.extra is not None:
        transfer_set = answers.extra.added_to(transfer_set, config.teacher)
    student = _student(arm, seed, config, transfer_set, objective_of(config))
    if not method.has_peer:
        return [student]
    return [student, replace(student, arm=PEER, weights_seed=seed + PEER_SEED_OFFSET)]


def _logits_lookup(labelled: TransferSet, answers: TeacherAnswers) -> Callable[[str, bool], TransferSet]:
    """Return a function that gives a seed's labelled pictures with a teacher's logits.

    Its arguments are the teacher's name, and whether the logits of an ensemble's members stay separate. It caches its
    results, so that all points of a sweep share one copy of the logits.
    """

    @cache
    def with_logits_of(teacher: str, separate_members: bool) -> TransferSet:
        if separate_members:
            each = [answers.logits[name][:, labelled.rows] for name in members_of(teacher)]
            logits = torch.stack(each, 2)
        else:
            logits = answers.logits[teacher][:, labelled.rows]
        return labelled.with_teacher_logits(logits.to(answers.images.device))

    return with_logits_of


def _transfer_set_and_objective(
    name: str, seed: int, point: Point, labelled: TransferSet, dataset: Dataset, answers: TeacherAnswers
) -> tuple[TransferSet, Objective]:
    """Return the transfer set and the objective of the arm `name`: "posterior" or a control."""
    config, train = point.config, dataset.train
    views = defaults_for(config.dataset).views
    objective = objective_of(config)
    assert labelled.hard_labels is not None
    if name == "posterior":  # the logarithms of its probabilities serve as teacher logits, the same for every view
        assert train.posterior is not None
        logits = train.posterior[labelled.rows].clamp(min=1e-12).log().half()
        return labelled.with_teacher_logits(logits.expand(len(views), -1, -1)), _by_posterior(config)
    if name == "label-smoothing":
        method = METHODS[name]
        return labelled, _hard_only(config, float(dict(check_parameters(method, {}))[method.smoothing]))
    teacher = answers.teachers[config.teacher]
    if name == "random-teacher":
        logits = logits_of_views(random_teacher(teacher, seed).logits, train.images[labelled.rows], views)
        return labelled.with_teacher_logits(logits), objective
    if name == "noise":
        images = noise_pictures(config.labels, dataset.image_shape, seed)
        logits = logits_of_views(teacher.logits, images, views)
        rows = torch.arange(config.labels)
        return TransferSet(name, images.to(answers.images.device), rows, None, logits), _soft_only(objective)
    if name == "unlabelled":
        rows = other_subset(labelled.rows, len(train), seed)
        logits = answers.logits[config.teacher][:, rows]
        return TransferSet(name, answers.images, rows, None, logits), _soft_only(objective)
    logits = answers.logits[control_teacher(config.teacher, name)][:, labelled.rows]
    if name == "shuffled":
        logits = shuffle_within_classes(logits, labelled.hard_labels, seed)
    elif name == "permuted":
        logits = permute_wrong_classes(logits, labelled.hard_labels, seed)
    return labelled.with_teacher_logits(logits), objective


def random_teacher(teacher: Teacher, seed: int) -> Teacher:
    """Return a teacher of the same architecture (for an ensemble, its first member's architecture) with random weights.

    Args:
        seed: seed of the students that learn from it.
    """
    card = (teacher.members or (teacher,))[0].card
    network = build_network(card, seed + RANDOM_TEACHER_SEED_OFFSET)
    teacher.device.place(network)
    return Teacher(replace(card, calibration=1.0), FrozenNetwork(network, card.crop), teacher.device)


def objective_of(config: RunConfig) -> Objective:
    """What the distilled student of a run minimises."""
    method = find_method(config.method)
    parameters = dict(check_parameters(method, dict(config.parameters)))
    if method.smoothing:
        return _hard_only(config, float(parameters[method.smoothing]))
    return Objective(method, {**_common(config), **parameters})


def _common(config: RunConfig) -> dict[str, float]:
    return {
        "temperature": config.temperature,
        "distill_weight": config.distill_weight,
        "label_smoothing": config.recipe.label_smoothing,
    }


def _by_posterior(config: RunConfig) -> Objective:
    """The objective of the arm "posterior": Hinton's method with the run's distill weight, or with the dataset's
    default where the run's method uses no soft labels and its distill weight says nothing."""
    learns_alone = find_method(config.method).learns_alone
    weight = defaults_for(config.dataset).distill_weight if learns_alone else config.distill_weight
    return Objective(METHODS[DEFAULT_METHOD], {**_common(config), "distill_weight": weight})


def _hard_only(config: RunConfig, label_smoothing: float | None = None) -> Objective:
    """The objective of a student without soft labels: the hard loss alone."""
    smoothing = config.recipe.label_smoothing if label_smoothing is None else label_smoothing
    return Objective(METHODS[DEFAULT_METHOD], {**_common(config), "distill_weight": 0.0, "label_smoothing": smoothing})


def _soft_only(objective: Objective) -> Objective:
    return replace(objective, settings={**objective.settings, "distill_weight": 1.0})
