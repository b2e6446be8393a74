"""Stages: students that are trained before the main ones, because a method's distilled students learn from them instead
of from the run's teacher."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcore.arms import Answers, baseline_student, objective_of
from kdcore.config import RunConfig
from kdcore.datasets import Dataset, dataset_info
from kdcore.errors import ConfigError
from kdcore.events import Event, TeacherEpochEnded
from kdcore.fitting import Clock, fit
from kdcore.machine.device import Device
from kdcore.methods.registry import METHODS
from kdcore.networks.registry import network_between, parse_model
from kdcore.run_checkpoint import RunCheckpoint
from kdcore.students import Objective, Schedule, Student
from kdcore.sweeps import Point
from kdcore.teachers.building.catalog import params_of
from kdcore.team import Team
from kdcore.teams import build_teams

STAGE_WEIGHTS = 100_000_007  # stage n, from 1, adds n times this to the seed for its first weights


@dataclass(frozen=True)
class Stage:
    """One stage: one student for each seed, trained before the main ones.

    Attributes:
        name: such as "generation 1" or "assistant convnet-16".
        model: name of the network.
        taught: whether the students learn soft labels: those of the previous stage, or, in the first stage, those of
            the run's teacher. Otherwise they learn hard labels only.
    """

    name: str
    model: str
    taught: bool


def stages_of(config: RunConfig) -> tuple[Stage, ...]:
    """Return the stages of a run's method in their order; most methods have none.

    Raises:
        UnknownName: an assistant is not the name of a network.
        ConfigError: no assistant is named, and no network of the student's family lies in size between student and
            teacher.
    """
    parameters = dict(config.parameters)
    if config.method == "born-again":
        generations = int(parameters["generations"])
        return tuple(Stage(f"generation {i + 1}", config.student, taught=i > 0) for i in range(generations))
    if config.method == "teacher-assistant":
        names = [name.strip() for name in str(parameters["assistants"]).split(",") if name.strip()]
        names = names or [_assistant(config)]
        for name in names:
            parse_model(name)
        return tuple(Stage(f"assistant {name}", name, taught=True) for name in names)
    return ()


def told_names(point: Point) -> tuple[str, ...]:
    """Return the names under which events report the stages of a point, in the order of the stages.

    No two stages of a run have the same name: equal names of one point are numbered, and at a point of a sweep the
    point's label follows.
    """
    names = [stage.name for stage in stages_of(point.config)]
    counts = [names[: place + 1].count(name) for place, name in enumerate(names)]
    where = f" ({point.label})" if point.label else ""
    return tuple(
        f"{name}{f' number {count}' if count > 1 else ''}{where}" for name, count in zip(names, counts, strict=True)
    )


def _assistant(config: RunConfig) -> str:
    """Return the name of a network of the student's family whose number of parameters is nearest to the geometric mean
    of the student's and the teacher's.

    Raises:
        ConfigError: no such network lies strictly between the two.
    """
    info, most = dataset_info(config.dataset), params_of(config.teacher)
    found = network_between(config.student, most, info.image_shape, info.num_classes) if most is not None else None
    if found is None:
        size = "whose size is not known" if most is None else f"of {most:,} parameters"
        raise ConfigError(
            f"No network of the family of {config.student} lies in size between it and the teacher {config.teacher} "
            f"{size}; name an assistant, such as assistants=convnet-16, or choose a smaller student."
        )
    return found


def train_stages(
    point: Point,
    dataset: Dataset,
    answers: Answers,
    device: Device,
    checkpoints: Callable[[int], RunCheckpoint],
    clock: Clock,
    should_stop: Callable[[], bool],
) -> Generator[Event, None, dict[int, Tensor]]:
    """Train every stage of a point's method, one network for each seed, with the point's own schedule.

    Args:
        checkpoints: returns the checkpoint of a stage, given its number from 0.

    Yields:
        a `TeacherEpochEnded` for each epoch, under the stage's name among `told_names`.

    Returns:
        by seed, the logits of the last stage's student for all views of its transfer set, float16 [V, N, K].

    Raises:
        Stopped, StoreError: as `fitting.fit`.
    """
    config = point.config
    schedule = Schedule.of(config)
    said: dict[int, Tensor] = {}
    for number, (stage, name) in enumerate(zip(stages_of(config), told_names(point), strict=True)):
        students = [_student(config, stage, number, seed, dataset, answers, said) for seed in config.seeds]
        teams = build_teams(students, dataset.image_shape, dataset.num_classes, schedule, device)
        for done in fit(teams, dataset, checkpoints(number), clock, should_stop):
            found = done.curves[stage.name].get("validation_accuracy", [])
            accuracy = sum(found) / len(found) if found else None
            yield TeacherEpochEnded(name, done.epoch, schedule.epochs, accuracy, done.seconds)
        said = _said(teams, answers.images, schedule)
    return said


def _student(
    config: RunConfig,
    stage: Stage,
    number: int,
    seed: int,
    dataset: Dataset,
    answers: Answers,
    before: Mapping[int, Tensor],
) -> Student:
    labelled = baseline_student(config, dataset, answers.images, seed).transfer_set
    teacher_logits = None
    if stage.taught:
        teacher_logits = before[seed] if number else answers.logits[config.teacher][:, labelled.rows]
    weight = config.distill_weight if stage.taught else 0.0
    settings = {**objective_of(config).settings, "distill_weight": weight}
    weights = seed + (number + 1) * STAGE_WEIGHTS
    told = labelled.taught(teacher_logits)
    return Student(stage.name, seed, stage.model, weights, told, Objective(METHODS["kd"], settings))


def _said(teams: Sequence[Team], images: Tensor, schedule: Schedule) -> dict[int, Tensor]:
    """Return by seed the logits of its student for all views of its transfer set, float16 [V, N, K]."""
    found = {}
    for team in teams:
        rows = torch.cat([student.transfer_set.rows for student in team.students]).unique()
        views = schedule.views
        each = torch.stack([team.logits(views.apply(images[rows], view)) for view in range(len(views))])  # [V, M, R, K]
        for place, student in enumerate(team.students):
            own = torch.searchsorted(rows, student.transfer_set.rows).cpu()  # the logits are on the CPU
            found[student.seed] = each[:, place, own].half()
    return found
