"""A run: the same student with and without its teacher, several seeds, side by side.

All seeds advance together, epoch by epoch, so that their spread can be watched while they learn.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from kdcore import paths
from kdcore.arms import Answers, arm_names, build_students, rows_of
from kdcore.config import RunConfig
from kdcore.datasets import Dataset, load_dataset
from kdcore.default_teachers import ready_teacher
from kdcore.defaults import defaults_for
from kdcore.device import Device, pick_device
from kdcore.errors import ConfigError
from kdcore.events import EpochEnded, Event, RunFailed, RunFinished, RunStarted, TeacherCached
from kdcore.feature_lessons import FeatureLesson
from kdcore.fitting import Clock, Stopped, fit
from kdcore.models import build_model
from kdcore.results import build_result, save_students
from kdcore.run_checkpoint import RunCheckpoint
from kdcore.stages import stages_of, told_names, train_stages
from kdcore.students import PEER, Schedule, Student
from kdcore.sweep_table import Row, Values, rows_of_points, sweep_table
from kdcore.sweeps import Point, groups, points, teachers_of
from kdcore.teacher_logits import cached_teacher_logits
from kdcore.teachers import Teacher, load_teacher
from kdcore.team import Team
from kdcore.teams import build_teams, threads_for

# Students here are small: a second thread gains a fifth on a quiet machine, and beside a busy page both threads spend
# most of their time waiting for each other.
THREADS = 1


def train(
    config: RunConfig,
    *,
    run_dir: Path | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    home: Path | None = None,
) -> Iterator[Event]:
    """Train every arm and seed of `config`, then measure them once on test.

    Args:
        run_dir: where checkpoints and the arms' final models go; a checkpoint found there is continued, and the
            folder's name is the run's id.
        should_stop: asked all along; True ends the run with `RunFailed(kind="cancelled")`.
        home: holds the teacher-logit cache; `paths.home()` unless given.

    Yields:
        TeacherEpochEnded while the teacher itself is trained, if it is not on this machine; RunStarted, TeacherCached
        for each teacher, then EpochEnded and CheckpointSaved for each epoch, at last RunFinished. Points of a sweep
        that cannot learn together follow each other, and so do the stages of a method, which are told as a teacher's
        epochs. A continued run repeats the EpochEnded of its last finished epoch, which may not have been heard.

    Raises:
        KdError: a dataset, teacher or value that cannot be used, or a disk that cannot be written.
    """
    try:
        yield from _train(config.validate(), run_dir, should_stop, home or paths.home())
    except Stopped:
        yield RunFailed("The run was stopped before it ended.", "cancelled")


@dataclass(frozen=True, eq=False)
class _Run:
    """What stays the same throughout a run."""

    config: RunConfig
    every: tuple[Point, ...]
    dataset: Dataset
    device: Device
    teachers: Mapping[str, Teacher]
    run_dir: Path | None
    clock: Clock
    should_stop: Callable[[], bool]

    def checkpoint(self, group: int, *stage: int) -> RunCheckpoint:
        """That of points that learn together, or of a stage: its point's place in the group, and its own."""
        part = ".".join(map(str, (group, *stage))) if group or stage else ""  # that of a plain run has no name
        hashes = [teacher.card.sha256 for teacher in self.teachers.values()]
        return RunCheckpoint(self.run_dir, self.config, self.dataset.sha256, hashes, part)


def _train(config: RunConfig, run_dir: Path | None, should_stop: Callable[[], bool], home: Path) -> Iterator[Event]:
    clock = Clock()
    dataset = load_dataset(config.dataset)
    for name in teachers_of(config):
        for step in ready_teacher(name, config.device, should_stop):
            clock.teacher += step.seconds
            yield step
    if should_stop():
        raise Stopped
    device = pick_device(config.device, THREADS)  # a teacher's training takes all cores
    teachers = {name: _teacher(name, dataset, device) for name in teachers_of(config)}
    run = _Run(config, points(config), dataset, device, teachers, run_dir, clock, should_stop)
    together = groups(run.every)
    epochs = sum(group[0].config.epochs for group in together)
    yield RunStarted(
        config=config.to_json(),
        arms=("teacher", *arm_names(config, dataset)),
        epochs=epochs,
        device=device.name,
        precision=device.precision,
        train_size=config.labels,
        num_seeds=len(config.seeds),
        epochs_done=_epochs_done(run, together),
        stages=_stages_done(run, together),
    )
    logits = {}
    views, asked = defaults_for(dataset.name).views, rows_of(config, dataset)
    for name, teacher in teachers.items():
        began = time.perf_counter()
        logits[name], reused = cached_teacher_logits(teacher, dataset, views, asked, home / "teacher_logits")
        yield TeacherCached(name, len(views), time.perf_counter() - began, reused)
    answers = Answers(dataset.train.images.to(device.torch), teachers, logits, {})
    before = 0
    own: dict[str, Tensor] = {}
    networks: dict[str, nn.Module] = {}
    rows: dict[Values, Row] = {}
    for number, group in enumerate(together):
        students = yield from _students(run, group, number, answers)
        schedule = Schedule.of(group[0].config)
        teams = build_teams(students, dataset.image_shape, dataset.num_classes, schedule, device, partial(_lesson, run))
        for epoch in fit(teams, dataset, run.checkpoint(number), clock, should_stop):
            yield EpochEnded(before + epoch.epoch, epochs, epoch.seconds, epoch.curves)
            if epoch.saved is not None:
                yield replace(epoch.saved, epoch=before + epoch.epoch)
        before += schedule.epochs
        measured = _measure(teams, dataset)
        if config.vary:
            rows |= rows_of_points(group, measured, dataset.test.hard_labels)
        if number == 0:  # the run's own point is here; of the others their rows are enough
            networks = _networks(teams, run)
            own = {arm: measured[arm] for arm in networks if arm in measured}
    yield _finish(run, networks, own, rows)


def _students(
    run: _Run, group: Sequence[Point], number: int, answers: Answers
) -> Generator[Event, None, list[Student]]:
    """The students of points that learn together, after the stages that some of their methods have."""
    chained: dict[tuple[str, int], Tensor] = {}
    for place, point in enumerate(group):
        if stages_of(point.config):
            checkpoints = partial(run.checkpoint, number, place)
            said = yield from train_stages(
                point, run.dataset, answers, run.device, checkpoints, run.clock, run.should_stop
            )
            chained |= {(point.label, seed): soft for seed, soft in said.items()}
    return build_students(group, run.dataset, replace(answers, chained=chained))


def _epochs_done(run: _Run, together: Sequence[Sequence[Point]]) -> int:
    """Epochs of the run's own students that earlier attempts finished."""
    each = (run.checkpoint(number).epochs_done() for number in range(len(together)))
    return sum(itertools.takewhile(bool, each))


def _stages_done(run: _Run, together: Sequence[Sequence[Point]]) -> dict[str, int]:
    """Epochs of every stage that earlier attempts finished."""
    return {
        name: run.checkpoint(number, place, stage).epochs_done()
        for number, group in enumerate(together)
        for place, point in enumerate(group)
        for stage, name in enumerate(told_names(point))
    }


def _teacher(name: str, dataset: Dataset, device: Device) -> Teacher:
    teacher = load_teacher(name, device.torch.type)
    if teacher.card.class_names != dataset.class_names:
        raise ConfigError(
            f'The teacher "{teacher.name}" knows other classes than the dataset "{dataset.name}"; '
            f'choose "{defaults_for(dataset.name).teacher}".'
        )
    return teacher


def _lesson(run: _Run, student: Student, network: nn.Module) -> FeatureLesson | None:
    if student.objective.method.uses != "features":
        return None
    teacher = run.teachers[student.teacher]
    return FeatureLesson(student.objective, network, teacher, run.dataset.image_shape, student.weights)


def _measure(teams: Sequence[Team], dataset: Dataset) -> dict[str, Tensor]:
    """Logits on test, read once, of every arm: [S, N, K]."""
    found: dict[str, list[tuple[int, Tensor]]] = {}
    answers = threads_for(teams).each(lambda team, _: team.logits(dataset.test.images), teams)
    for team, said in zip(teams, answers, strict=True):
        for student, logits in zip(team.students, said, strict=True):
            found.setdefault(student.arm, []).append((student.seed, logits))
    seeds = {arm: dict(each) for arm, each in found.items() if arm != PEER}
    return {arm: torch.stack(list(by_seed.values())) for arm, by_seed in seeds.items()}


def _networks(teams: Sequence[Team], run: _Run) -> dict[str, nn.Module]:
    """The network of the run's first seed, of every arm at its own point."""
    names, dataset, found = arm_names(run.config, run.dataset), run.dataset, {}
    for team in teams:
        for student, state in zip(team.students, team.states(), strict=True):
            if student.seed == run.config.seeds[0] and student.arm in names:
                network = build_model(student.model, dataset.image_shape, dataset.num_classes)
                network.load_state_dict(state)
                found[student.arm] = run.device.place(network)
    return {name: found[name] for name in names}


def _finish(
    run: _Run, networks: dict[str, nn.Module], logits: dict[str, Tensor], rows: Mapping[Values, Row]
) -> RunFinished:
    """Put everything that was measured together: the arms of the run's own point, and the row of every point."""
    dataset, clock = run.dataset, run.clock
    config = next(point.config for point in run.every if point.main)
    result = build_result(config, dataset, run.teachers[config.teacher], networks, logits, run.device)
    result["config"] = run.config.to_json()
    if run.config.vary:
        result["sweep"] = sweep_table(run.every, rows)
    result["teacher_seconds"] = clock.teacher
    if all(clock.parts) and not run.config.vary:  # what the same run, stages and all, would take on every picture
        seconds = sum(map(median, clock.parts)) * config.epochs * len(dataset.train) / config.labels
        result["whole"] = {"labels": len(dataset.train), "seconds": seconds}
    if run.run_dir is not None:
        save_students(run.run_dir / "models", config, dataset, networks, result)
    result["run_id"] = run.run_dir.name if run.run_dir is not None else ""
    result["seconds"] = clock.total()
    return RunFinished(result)
