"""Fitting: train students epoch by epoch, measure them on validation, and save a checkpoint after each epoch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from kdcore.datasets import Dataset, Split
from kdcore.events import CheckpointSaved, Curves
from kdcore.machine.parallel import ParallelThreads
from kdcore.metrics.divergence import Divergence
from kdcore.training.checkpoint import RunCheckpoint
from kdcore.training.diverged import Key, accuracy_unless_diverged, diverged_students, epoch_curves
from kdcore.training.states import StateMissing
from kdcore.training.students import PEER
from kdcore.training.team import Team
from kdcore.training.teams import threads_for, train_epoch

# Students are measured on validation after the first epoch, so that a curve begins soon, and after at most so many
# others, the last included.
VALIDATION_POINTS = 15
VALIDATION_PICTURES = 400  # enough for a curve; the result is measured on the whole test split


class TrainingStopped(Exception):
    """Raised when `should_stop` asks a training to end."""


@dataclass(eq=False)
class Clock:
    """How a run spends its time, in seconds."""

    started: float = field(default_factory=time.perf_counter)
    earlier_seconds: float = 0.0  # duration of earlier attempts at the same run
    teacher_seconds: float = 0.0  # time spent in this attempt on training the run's teachers
    # For each stage or group, the times of its epochs in this attempt.
    epoch_seconds: list[list[float]] = field(default_factory=list)

    def total(self) -> float:
        """Return the seconds that all attempts have taken so far."""
        return self.earlier_seconds + time.perf_counter() - self.started


@dataclass(frozen=True)
class EpochDone:
    """One finished epoch.

    Attributes:
        epoch: counted from 1.
        curves: of every arm, with None for students that diverged.
        saved: the checkpoint that was written after it, None if none was written.
        diverged: the students that diverged so far.
    """

    epoch: int
    seconds: float
    curves: Curves
    saved: CheckpointSaved | None
    diverged: tuple[Divergence, ...] = ()


def fit(
    teams: Sequence[Team], dataset: Dataset, checkpoint: RunCheckpoint, clock: Clock, should_stop: Callable[[], bool]
) -> Iterator[EpochDone]:
    """Train all students to the end of their schedule, continuing from the checkpoint if there is one.

    A student whose loss, weights or validation logits are no longer finite numbers has diverged and is measured no
    more. When all have, the training ends.

    Args:
        should_stop: asked again and again during every epoch; True ends the training.

    Yields:
        the last epoch of the checkpoint, which may not have been reported yet, then every further one.

    Raises:
        TrainingStopped: `should_stop` returned True.
        StoreError: a checkpoint could not be written.
    """
    epochs, threads = teams[0].schedule.epochs, threads_for(teams)
    history = _restore(teams, checkpoint, clock)
    validation = dataset.validation.sample(VALIDATION_PICTURES)
    trained = [student for team in teams for student in team.students if student.arm != PEER]
    diverged = diverged_students(trained, history)
    timed: list[float] = []
    clock.epoch_seconds.append(timed)
    if history:
        yield EpochDone(len(history), 0.0, history[-1], None, tuple(diverged.values()))
    for epoch in range(len(history), epochs):
        if len(diverged) == len(trained):
            return
        start = time.perf_counter()
        losses = train_epoch(teams, epoch, threads, should_stop, diverged)
        if losses is None:
            raise TrainingStopped
        measured = {"train_loss": losses}
        if is_validated(epoch, epochs):
            measured["validation_accuracy"] = _validate(teams, threads, validation)
        curves = epoch_curves(trained, measured, diverged)
        history.append(curves)
        diverged = diverged_students(trained, history)
        seconds = time.perf_counter() - start
        timed.append(seconds)
        saved = None
        if checkpoint.enabled:  # save before yielding, so that a reported epoch is never lost
            tensors = {name: value for team in teams for name, value in team.state_tensors().items()}
            saved = checkpoint.save(epoch + 1, tensors, history, clock.total())
        yield EpochDone(epoch + 1, seconds, curves, saved, tuple(diverged.values()))


def is_validated(epoch: int, epochs: int) -> bool:
    """Whether the students are measured on validation after this epoch (0-based)."""
    every = -(-epochs // VALIDATION_POINTS)
    return epoch == 0 or (epoch + 1) % every == 0 or epoch + 1 == epochs


def _validate(teams: Sequence[Team], threads: ParallelThreads, validation: Split) -> dict[Key, float]:
    """Return each student's accuracy on validation by (arm, seed); NaN if its logits are not all finite."""
    hard_labels = validation.hard_labels
    logits_by_team = threads.run_each(lambda team, _: team.logits(validation.images), teams)
    return {
        (student.arm, student.seed): accuracy_unless_diverged(logits, hard_labels)
        for team, team_logits in zip(teams, logits_by_team, strict=True)
        for student, logits in zip(team.students, team_logits, strict=True)
    }


def _restore(teams: Sequence[Team], checkpoint: RunCheckpoint, clock: Clock) -> list[Curves]:
    """Restore the teams from the last checkpoint, if there is one, and return the curves of its epochs. Sets
    `clock.earlier_seconds` to the duration of the attempts until then."""
    saved = checkpoint.load()
    if saved is None:
        return []
    tensors, metadata = saved
    try:
        found = [team.read_state(tensors) for team in teams]
    except StateMissing:
        return []
    for team, state in zip(teams, found, strict=True):
        team.restore_state(state)
    clock.earlier_seconds = max(clock.earlier_seconds, float(metadata["seconds"]))
    history: list[Curves] = json.loads(metadata["history"])
    return history
