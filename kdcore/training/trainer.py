"""A run: trains the same student with and without its teacher, for several seeds.

All seeds advance together, epoch by epoch, so that the spread between them can be watched during training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from kdcore.datasets import Dataset, load_dataset
from kdcore.errors import ConfigError, TrainingDiverged
from kdcore.events import EpochEnded, Event, RunFailed, RunFinished, RunStarted, TeacherCached
from kdcore.machine import paths
from kdcore.machine.device import Device, pick_device, torch_threads, with_torch_threads
from kdcore.machine.parallel import cores
from kdcore.metrics.divergence import Divergence, divergences_in_words
from kdcore.networks.registry import build_model
from kdcore.settings.config import RunConfig
from kdcore.settings.defaults import defaults_for, instead_of
from kdcore.settings.stages import stages_of
from kdcore.settings.sweeps import Point, groups, points, teachers_of
from kdcore.teachers.building.on_demand import train_missing_teacher
from kdcore.teachers.by_kind import SummedByKind
from kdcore.teachers.card import teachers_by_name
from kdcore.teachers.fit import fit_to
from kdcore.teachers.load import load_teacher
from kdcore.teachers.logit_cache import cached_teacher_logits
from kdcore.teachers.teacher import Teacher
from kdcore.training.arms import TeacherAnswers, arm_names, build_students, rows_to_ask
from kdcore.training.diverged import leave_out_diverged
from kdcore.training.extra_pictures import ExtraPictures, find_extra_pictures
from kdcore.training.feature_lessons import FeatureLoss
from kdcore.training.fitting import Clock, TrainingStopped, fit
from kdcore.training.notes import teacher_notes
from kdcore.training.results import build_result, logits_on_test, save_students
from kdcore.training.run import Run
from kdcore.training.stages import train_stages
from kdcore.training.students import PEER, Schedule, Student
from kdcore.training.sweep_table import Row, Values, sweep_rows, sweep_table
from kdcore.training.team import Team
from kdcore.training.teams import build_teams

# Threads of a PyTorch operation. Students here are small: a second thread gains a fifth on an idle machine, but while a
# page is busy on the same machine both threads spend most of their time waiting for each other.
THREADS = 1
OUTDATED_CHECKPOINT = (
    "A checkpoint that this run left earlier does not fit any more (it is damaged, or from another version, other "
    "pictures or another teacher), so what it covered is trained anew."
)


def train(
    config: RunConfig,
    *,
    run_dir: Path | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    home: Path | None = None,
) -> Iterator[Event]:
    """Train every arm and seed of `config`, then measure them once on the test split.

    The caller's number of PyTorch threads, random state, gradient mode and autocast do not affect the run, and are as
    they were whenever an event is yielded.

    Args:
        run_dir: folder for checkpoints and the arms' final models, whose name is the run_id. If it holds a checkpoint
            of this run, training continues from there. None saves nothing.
        should_stop: asked throughout; True ends the run with `RunFailed(kind="cancelled")`.
        home: folder that holds the cache of teacher logits; `paths.home()` by default.

    Yields:
        TeacherEpochEnded for each epoch of a teacher that is not on this machine and is trained first; RunStarted;
        TeacherCached for each teacher; EpochEnded and CheckpointSaved for each epoch; at last RunFinished. Points of a
        sweep that cannot be trained together follow each other, and their epochs are counted on. The epochs of a
        method's stages are reported as TeacherEpochEnded too. A continued run repeats the EpochEnded of its last
        finished epoch, which may not have been received.

    Raises:
        KdError: a dataset, teacher or value that cannot be used, or a disk that cannot be written.
    """
    try:
        yield from with_torch_threads(THREADS, _train(config.validate(), run_dir, should_stop, home or paths.home()))
    except TrainingStopped:
        yield RunFailed("The run was stopped before it ended.", "cancelled")


def _train(
    config: RunConfig, run_dir: Path | None, should_stop: Callable[[], bool], home: Path
) -> Generator[Event, None, None]:
    clock = Clock()
    dataset = load_dataset(config.dataset)
    cards_before = teachers_by_name()
    for name in teachers_of(config):
        for step in train_missing_teacher(name, config.device, should_stop, dataset):
            clock.teacher_seconds += step.seconds
            yield step
    if should_stop():
        raise TrainingStopped
    device = pick_device(config.device)
    teachers = {name: _checked_teacher(name, dataset, device) for name in teachers_of(config)}
    notes, extra = teacher_notes(teachers, dataset, cards_before), find_extra_pictures(config, dataset)
    run = Run(config, points(config), dataset, device, teachers, run_dir, clock, should_stop, notes, extra)
    together = groups(run.points)
    if run.has_outdated_checkpoint(together):
        run = replace(run, notes=(*run.notes, OUTDATED_CHECKPOINT))
    yield RunStarted(
        config=config.to_json(),
        arms=("teacher", *arm_names(config, dataset)),
        epochs=(epochs := sum(group[0].config.epochs for group in together)),
        device=device.name,
        precision=device.precision,
        train_size=config.labels,
        num_seeds=len(config.seeds),
        epochs_done=run.epochs_done(together),
        stages=run.stages_done(together),
        notes=run.notes,
    )
    answers = yield from _teacher_answers(run, home)
    epochs_before = 0  # of the groups that are already trained
    main_logits: dict[str, Tensor] = {}
    networks: dict[str, nn.Module] = {}
    rows: dict[Values, Row] = {}
    diverged: list[Divergence] = []
    survivors = 0  # students that did not diverge
    for number, group in enumerate(together):
        students, of_stages = yield from _students(run, group, number, answers)
        schedule = Schedule.of(group[0].config, run.extra_count)
        teams = build_teams(
            students, dataset.image_shape, dataset.num_classes, schedule, device, partial(_feature_loss, run)
        )
        lost = yield from _fit(run, teams, number, epochs_before, epochs)
        epochs_before += schedule.epochs
        measured, lost = leave_out_diverged(logits_on_test(teams, dataset), config.seeds, lost, schedule.epochs)
        diverged += [*of_stages, *lost]
        survivors += sum(student.arm != PEER for student in students) - len(lost)
        if config.vary:
            rows |= sweep_rows(group, measured, dataset.test.hard_labels)
        if number == 0:  # this group has the run's own point; for all others their rows in the table suffice
            networks = _networks(teams, run)
            main_logits = {arm: measured[arm] for arm in networks if arm in measured}
    if not survivors:
        raise TrainingDiverged(
            f"All students diverged: {divergences_in_words(diverged)}; choose a lower learning rate or weight decay, "
            "and start again."
        )
    yield _finish(run, networks, main_logits, rows, diverged)


def _teacher_answers(run: Run, home: Path) -> Generator[Event, None, TeacherAnswers]:
    """Ask every teacher for its logits, or take them from the cache in `home`; yields a `TeacherCached` for each.

    Those for extra pictures are computed on every core, because nothing is trained meanwhile.
    """
    dataset, extra = run.dataset, run.extra
    views, rows, folder = defaults_for(dataset.name).views, rows_to_ask(run.config, dataset), home / "teacher_logits"
    logits, of_extra = {}, {}
    for name, teacher in run.teachers.items():
        start = time.perf_counter()
        logits[name], reused = cached_teacher_logits(teacher, dataset, views, rows, folder)
        if extra is not None:
            every = torch.arange(len(extra.train))
            with torch_threads(cores()):
                of_extra[name], reused_too = cached_teacher_logits(teacher, extra, views, every, folder)
            reused = reused and reused_too
        yield TeacherCached(name, len(views), time.perf_counter() - start, reused)
    answers = TeacherAnswers(dataset.train.images.to(run.device.torch), run.teachers, logits, {})
    if extra is None:
        return answers
    images = torch.cat([dataset.train.images, extra.train.images]).to(run.device.torch)
    return replace(answers, extra=ExtraPictures(images, len(extra.train), of_extra))


def _fit(
    run: Run, teams: Sequence[Team], group: int, epochs_before: int, epochs: int
) -> Generator[Event, None, tuple[Divergence, ...]]:
    """Train the students of group number `group` to their end.

    Args:
        epochs_before: the epochs of the groups before this one.
        epochs: the epochs of all groups.

    Returns:
        the students that diverged.
    """
    diverged: tuple[Divergence, ...] = ()
    for epoch in fit(teams, run.dataset, run.checkpoint(group), run.clock, run.should_stop):
        diverged = epoch.diverged
        yield EpochEnded(epochs_before + epoch.epoch, epochs, epoch.seconds, epoch.curves)
        if epoch.saved is not None:
            yield replace(epoch.saved, epoch=epochs_before + epoch.epoch)
    return diverged


def _students(
    run: Run, group: Sequence[Point], number: int, answers: TeacherAnswers
) -> Generator[Event, None, tuple[list[Student], list[Divergence]]]:
    """Train the stages that methods in this group need.

    Yields:
        the events of the stages.

    Returns:
        the students of the group, and those of the stages that diverged.
    """
    stage_logits: dict[tuple[str, int], Tensor] = {}
    diverged: list[Divergence] = []
    for place, point in enumerate(group):
        if stages_of(point.config):
            checkpoints = partial(run.checkpoint, number, place)
            logits_by_seed, lost = yield from train_stages(
                point, run.dataset, answers, run.device, checkpoints, run.clock, run.should_stop
            )
            diverged += lost
            stage_logits |= {(point.label, seed): logits for seed, logits in logits_by_seed.items()}
    return build_students(group, run.dataset, replace(answers, stage_logits=stage_logits)), diverged


def _checked_teacher(name: str, dataset: Dataset, device: Device) -> Teacher:
    return fit_to(dataset, load_teacher(name, device.torch.type), instead_of(name, dataset.name))


def _feature_loss(run: Run, student: Student, network: nn.Module) -> FeatureLoss | None:
    if student.objective.method.features is None:
        return None
    teacher = run.teachers[student.teacher]
    if isinstance(teacher.network.network, SummedByKind):
        raise ConfigError(
            f"{student.objective.method.name} compares inner layers, and {teacher.name} sees the pictures of "
            f"{run.dataset.name} in another size; choose a method such as kd."
        )
    return FeatureLoss(student.objective, network, teacher, run.dataset.image_shape, student.weights_seed)


def _networks(teams: Sequence[Team], run: Run) -> dict[str, nn.Module]:
    """Return the trained network of every arm at the run's own point, for the run's first seed."""
    names, dataset, networks = arm_names(run.config, run.dataset), run.dataset, {}
    for team in teams:
        for student, state in zip(team.students, team.states(), strict=True):
            if student.seed == run.config.seeds[0] and student.arm in names:
                network = build_model(
                    student.model, dataset.image_shape, dataset.num_classes, seed=student.weights_seed
                )
                network.load_state_dict(state)
                networks[student.arm] = run.device.place(network)
    return {name: networks[name] for name in names}


def _finish(
    run: Run,
    networks: dict[str, nn.Module],
    logits: dict[str, Tensor],
    rows: Mapping[Values, Row],
    diverged: Sequence[Divergence],
) -> RunFinished:
    """Build the result of the run from the arms of its own point and the row of every point, and save the networks if
    the run has a folder.

    Args:
        networks: by arm, the network of the first seed.
        logits: by arm, the logits on the test split, [S, N, K].
        rows: the rows of the sweep's table by the values of their points; empty for a plain run.
        diverged: all students that diverged, those of stages among them.
    """
    dataset, clock = run.dataset, run.clock
    config = next(point.config for point in run.points if point.main)
    result = build_result(config, dataset, run.teachers[config.teacher], networks, logits, run.device, diverged)
    result["config"] = run.config.to_json()
    if run.config.vary:
        result["sweep"] = sweep_table(run.points, rows)
    result["teacher_seconds"] = clock.teacher_seconds
    result["notes"] = list(run.notes)
    result["extra_pictures"] = 0 if run.extra is None else len(run.extra.train)
    if (
        all(clock.epoch_seconds) and not run.config.vary and run.extra is None
    ):  # estimated for all training pictures, stages included
        seconds = sum(map(median, clock.epoch_seconds)) * config.epochs * len(dataset.train) / config.labels
        result["whole"] = {"labels": len(dataset.train), "seconds": seconds}
    if run.run_dir is not None:
        save_students(run.run_dir / "models", config, dataset, networks, result)
    result["run_id"] = run.run_dir.name if run.run_dir is not None else ""
    result["seconds"] = clock.total()
    return RunFinished(result)
