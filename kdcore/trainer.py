"""A run: the same student with and without its teacher, several seeds, side by side.

All seeds advance together, epoch by epoch, so that their spread can be watched while they learn.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from kdcore import paths
from kdcore.config import RunConfig, defaults_for
from kdcore.datasets import Dataset, load_dataset
from kdcore.default_teachers import ready_teacher
from kdcore.device import Device, pick_device
from kdcore.errors import ConfigError
from kdcore.events import (
    Curves,
    EpochEnded,
    Event,
    RunFailed,
    RunFinished,
    RunStarted,
    TeacherCached,
)
from kdcore.inference import hit_rate, predict_logits
from kdcore.results import build_result, save_students
from kdcore.run_checkpoint import RunCheckpoint
from kdcore.students import (
    Student,
    TrainingData,
    arms_of,
    build_students,
    labelled_subset,
    put_back,
    tensors_of,
    train_epoch,
)
from kdcore.teacher_logits import cached_teacher_logits
from kdcore.teachers import Teacher, load_teacher

# Students here are small: a second thread gains a fifth on a quiet machine, and beside a busy page both threads spend
# most of their time waiting for each other.
THREADS = 1
VALIDATION_POINTS = 15  # how often a run looks at validation, at most; the last epoch always does
VALIDATION_PICTURES = 400  # enough for a curve; the result is measured on the whole test split


@dataclass(eq=False)
class Clock:
    """Where a run's seconds went."""

    started: float = field(default_factory=time.perf_counter)
    before: float = 0.0  # of earlier attempts at the same run
    teacher: float = 0.0  # spent on training the teacher first, in this attempt
    epochs: list[float] = field(default_factory=list)  # the students' epochs in this attempt

    def total(self) -> float:
        """Seconds of all attempts so far."""
        return self.before + time.perf_counter() - self.started


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
        should_stop: asked after every batch; True ends the run with `RunFailed(kind="cancelled")`.
        home: holds the teacher-logit cache; `paths.home()` unless given.

    Yields:
        TeacherEpochEnded while the teacher itself is trained, if it is not on this machine; RunStarted, TeacherCached,
        then EpochEnded and CheckpointSaved for each epoch, at last RunFinished. A continued run repeats the EpochEnded
        of its last finished epoch, which may not have been heard.

    Raises:
        KdError: a dataset, teacher or value that cannot be used, or a disk that cannot be written.
    """
    config.validate()
    clock = Clock()
    device = pick_device(config.device, THREADS)
    dataset = load_dataset(config.dataset)
    for step in ready_teacher(config.teacher, config.device, should_stop):
        clock.teacher += step.seconds
        yield step
    if should_stop():
        yield RunFailed("The run was stopped before it ended.", "cancelled")
        return
    device = pick_device(config.device, THREADS)  # a teacher's training takes all cores
    teacher = load_teacher(config.teacher, device.torch.type)
    if teacher.card.class_names != dataset.class_names:
        raise ConfigError(
            f'The teacher "{teacher.name}" knows other classes than the dataset "{dataset.name}"; '
            f'choose "{defaults_for(dataset.name).teacher}".'
        )
    students = build_students(config, dataset, device, arms_of(dataset))
    checkpoint = RunCheckpoint(run_dir, config, dataset.sha256, teacher.card.sha256)
    history, clock.before = _restore(checkpoint, students)
    arms = ("teacher", *arms_of(dataset))
    yield RunStarted(
        config=config.to_json(),
        arms=arms,
        epochs=config.epochs,
        device=device.name,
        precision=device.precision,
        train_size=config.labels,
        num_seeds=len(config.seeds),
        epochs_done=len(history),
    )
    subsets = {seed: labelled_subset(dataset.train.hard_labels, config.labels, seed) for seed in config.seeds}
    views = defaults_for(dataset.name).views
    began = time.perf_counter()
    rows = torch.cat(list(subsets.values())).unique()
    cache = (home or paths.home()) / "teacher_logits"
    teacher_logits, reused = cached_teacher_logits(teacher, dataset, views, rows, cache)
    yield TeacherCached(teacher.name, len(views), time.perf_counter() - began, reused)
    if history:
        yield EpochEnded(len(history), config.epochs, 0.0, history[-1])
    data = TrainingData(dataset, subsets, teacher_logits, device)
    for epoch in range(len(history), config.epochs):
        began = time.perf_counter()
        curves = train_epoch(config, students, data, epoch, should_stop)
        if curves is None:
            yield RunFailed("The run was stopped before it ended.", "cancelled")
            return
        if is_validated(epoch, config.epochs):
            _validate(students, dataset, device, curves)
        history.append(curves)
        seconds = time.perf_counter() - began
        clock.epochs.append(seconds)
        saved = None
        if checkpoint.enabled:  # first the disk, then the word: an epoch that was told is never lost
            tensors = tensors_of(students)
            saved = checkpoint.save(epoch + 1, tensors, history, clock.total())
        yield EpochEnded(epoch + 1, config.epochs, seconds, curves)
        if saved is not None:
            yield saved
    yield _finish(config, run_dir, dataset, teacher, students, device, clock)


def is_validated(epoch: int, epochs: int) -> bool:
    """Whether the curves have a validation point after this epoch (0-based)."""
    every = -(-epochs // VALIDATION_POINTS)
    return (epoch + 1) % every == 0 or epoch + 1 == epochs


def _validate(students: list[Student], dataset: Dataset, device: Device, curves: Curves) -> None:
    images = dataset.validation.images[:VALIDATION_PICTURES]
    hard_labels = dataset.validation.hard_labels[:VALIDATION_PICTURES]
    for student in students:
        accuracy = hit_rate(predict_logits(student.network, images, device), hard_labels)
        curves[student.arm].setdefault("validation_accuracy", []).append(accuracy)


def _restore(checkpoint: RunCheckpoint, students: list[Student]) -> tuple[list[Curves], float]:
    """Puts the last checkpoint's weights back; the curves of the finished epochs and the seconds they took."""
    saved = checkpoint.load()
    if saved is None:
        return [], 0.0
    tensors, metadata = saved
    put_back(students, tensors)
    history: list[Curves] = json.loads(metadata["history"])
    return history, float(metadata["seconds"])


def _finish(
    config: RunConfig,
    run_dir: Path | None,
    dataset: Dataset,
    teacher: Teacher,
    students: list[Student],
    device: Device,
    clock: Clock,
) -> RunFinished:
    """Read test, once, and put everything that was measured together."""
    logits: dict[str, Tensor] = {}
    first: dict[str, nn.Module] = {}
    for arm in arms_of(dataset):
        team = [student for student in students if student.arm == arm]
        logits[arm] = torch.stack(
            [predict_logits(student.network, dataset.test.images, device) for student in team]
        )  # [S, N, K]
        first[arm] = team[0].network
    result = build_result(config, dataset, teacher, first, logits, device)
    result["teacher_seconds"] = clock.teacher
    if clock.epochs:  # what the same run would take on every labelled picture
        share = len(dataset.train) / config.labels
        result["whole"] = {"labels": len(dataset.train), "seconds": median(clock.epochs) * config.epochs * share}
    if run_dir is not None:
        save_students(run_dir / "models", config, dataset, first, result)
    result["run_id"] = run_dir.name if run_dir is not None else ""
    result["seconds"] = clock.total()
    return RunFinished(result)
