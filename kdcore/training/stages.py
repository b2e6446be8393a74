"""Stages: students that are trained before the main ones, because a method's distilled students learn from them instead
of from the run's teacher."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from kdcore.datasets import Dataset
from kdcore.events import Event, TeacherEpochEnded
from kdcore.machine.device import Device
from kdcore.methods.method import DEFAULT_METHOD
from kdcore.methods.registry import METHODS
from kdcore.methods.stages import Stage
from kdcore.metrics.divergence import Divergence
from kdcore.networks.inference import compact
from kdcore.settings.config import RunConfig
from kdcore.settings.stages import event_names, stages_of
from kdcore.settings.sweeps import Point
from kdcore.training.arms import TeacherAnswers, baseline_student, objective_of
from kdcore.training.checkpoint import RunCheckpoint
from kdcore.training.fitting import Clock, fit
from kdcore.training.students import Objective, Schedule, Student
from kdcore.training.team import Team
from kdcore.training.teams import build_teams

STAGE_SEED_OFFSET = 100_000_007  # stage n, from 1, adds n times this to the seed for its first weights


def train_stages(
    point: Point,
    dataset: Dataset,
    answers: TeacherAnswers,
    device: Device,
    checkpoints: Callable[[int], RunCheckpoint],
    clock: Clock,
    should_stop: Callable[[], bool],
) -> Generator[Event, None, tuple[dict[int, Tensor], list[Divergence]]]:
    """Train every stage of a point's method, one network for each seed, with the point's own schedule.

    Args:
        checkpoints: returns the checkpoint of a stage, given its number from 0.

    Yields:
        a `TeacherEpochEnded` for each epoch, under the stage's name among `event_names`.

    Returns:
        by seed, the logits of the last stage's student for all views of its transfer set, float16 or float32 [V, N, K],
        which are NaN for a student that diverged; and the students that diverged, each in the first stage that did.

    Raises:
        TrainingStopped, StoreError: as `fitting.fit`.
    """
    config = point.config
    schedule = Schedule.of(config)
    stage_logits: dict[int, Tensor] = {}
    diverged: dict[int, Divergence] = {}
    for number, (stage, name) in enumerate(zip(stages_of(config), event_names(point), strict=True)):
        students = [_student(config, stage, number, seed, dataset, answers, stage_logits) for seed in config.seeds]
        teams = build_teams(students, dataset.image_shape, dataset.num_classes, schedule, device)
        for done in fit(teams, dataset, checkpoints(number), clock, should_stop):
            measured = done.curves[stage.name].get("validation_accuracy", [])
            per_seed = [value for value in measured if value is not None]
            accuracy = sum(per_seed) / len(per_seed) if per_seed else None
            for one in done.diverged:
                diverged.setdefault(one.seed, replace(one, arm=name))
            yield TeacherEpochEnded(name, done.epoch, schedule.epochs, accuracy, done.seconds)
        stage_logits = _stage_logits(teams, answers.images, schedule)
        for seed in diverged:
            stage_logits[seed] = torch.full_like(stage_logits[seed], torch.nan)
    return stage_logits, list(diverged.values())


def _student(
    config: RunConfig,
    stage: Stage,
    number: int,
    seed: int,
    dataset: Dataset,
    answers: TeacherAnswers,
    logits_before: Mapping[int, Tensor],
) -> Student:
    labelled = baseline_student(config, dataset, answers.images, seed).transfer_set
    teacher_logits = None
    if stage.uses_soft_labels:
        teacher_logits = logits_before[seed] if number else answers.logits[config.teacher][:, labelled.rows]
    weight = config.distill_weight if stage.uses_soft_labels else 0.0
    settings = {**objective_of(config).settings, "distill_weight": weight}
    weights_seed = seed + (number + 1) * STAGE_SEED_OFFSET
    transfer_set = labelled.with_teacher_logits(teacher_logits)
    objective = Objective(METHODS[DEFAULT_METHOD], settings)
    return Student(stage.name, seed, stage.model, weights_seed, transfer_set, objective)


def _stage_logits(teams: Sequence[Team], images: Tensor, schedule: Schedule) -> dict[int, Tensor]:
    """Return by seed the logits of that seed's student for all views of its transfer set, [V, N, K] (see `compact`)."""
    logits = {}
    for team in teams:
        rows = torch.cat([student.transfer_set.rows for student in team.students]).unique()
        views = schedule.views
        each = torch.stack([team.logits(views.apply(images[rows], view)) for view in range(len(views))])  # [V, M, R, K]
        for place, student in enumerate(team.students):
            own = torch.searchsorted(rows, student.transfer_set.rows).cpu()  # the logits are on the CPU
            logits[student.seed] = compact(each[:, place, own])
    return logits
