"""The events that a run emits while it trains.

They are frozen dataclasses that convert to JSON. The app, the command line and the database all read the same events.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from kdcore.errors import StoreError

# For each arm and each quantity, one value per seed; None for a seed whose student diverged.
Curves = dict[str, dict[str, list[float | None]]]


@dataclass(frozen=True)
class Event:
    """The base of all events."""

    @property
    def type(self) -> str:
        return type(self).__name__

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type, **asdict(self)}


@dataclass(frozen=True)
class RunStarted(Event):
    """A run begins, or continues from a checkpoint; only the training of a missing teacher comes before this event.

    Attributes:
        arms: the names of the arms, "teacher" first.
        epochs: the epochs of the whole run: points of a sweep that cannot train together follow each other.
        precision: the number format of the computation, "bf16" or "fp32".
        train_size: the number of labelled training pictures (`RunConfig.labels`).
        epochs_done: how many of `epochs` checkpoints cover already.
        stages: for each stage of the run's method, by the name in its `TeacherEpochEnded` events, the epochs that
            checkpoints cover already.
        notes: whole sentences about the run that its reader must know, such as that a teacher learned other pictures.
    """

    config: dict[str, Any]
    arms: tuple[str, ...]
    epochs: int
    device: str
    precision: str
    train_size: int
    num_seeds: int
    epochs_done: int = 0
    stages: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TeacherEpochEnded(Event):
    """One epoch ended in the training of a network that the run needs first.

    This is a teacher that is not on this machine yet, which is trained once and kept; or a stage, that is, students
    that a method trains before the main ones, again for each point of a sweep.

    Attributes:
        teacher: the name of the teacher, or of the stage, such as "generation 1 (labels=50)"; no two stages of a run
            have the same name.
        epoch: counted from 1; 0 when the training begins.
        validation_accuracy: 0 to 1; None where it was not measured (older versions wrote 0 then).
        seconds: how long this epoch took.
    """

    teacher: str
    epoch: int
    epochs: int
    validation_accuracy: float | None
    seconds: float


@dataclass(frozen=True)
class TeacherCached(Event):
    """The teacher's logits for all views are computed or loaded.

    Attributes:
        views: the number of views of each picture.
        seconds: how long it took.
        reused: whether all of them came from the cache on disk.
    """

    teacher: str
    views: int
    seconds: float
    reused: bool


@dataclass(frozen=True)
class EpochEnded(Event):
    """All arms and seeds that train together finished one epoch.

    Attributes:
        epoch: counted from 1, over the whole run.
        epochs: the epochs of the whole run.
        seconds: how long this epoch took.
        curves: `curves[arm]` holds `train_loss` (nats) and, where it was measured after this epoch,
            `validation_accuracy` (0 to 1), with one value per seed; None once its student has diverged.
    """

    epoch: int
    epochs: int
    seconds: float
    curves: Curves


@dataclass(frozen=True)
class CheckpointSaved(Event):
    """A checkpoint with everything up to `epoch` is on disk; `path` is relative to the run's folder."""

    epoch: int
    sha256: str
    path: str


@dataclass(frozen=True)
class RunFinished(Event):
    """The run ended with a result, which has the form that `kdcore run --json` prints."""

    result: dict[str, Any]


@dataclass(frozen=True)
class RunFailed(Event):
    """The run ended without a result; `error` is one sentence."""

    error: str
    kind: Literal["error", "cancelled", "interrupted"]


EVENTS: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (RunStarted, TeacherEpochEnded, TeacherCached, EpochEnded, CheckpointSaved, RunFinished, RunFailed)
}


def event_from_json(data: dict[str, Any]) -> Event:
    """Restore the event from which `to_json` made `data`.

    Raises:
        StoreError: this version does not know the event type.
    """
    cls = EVENTS.get(str(data.get("type")))
    if cls is None:
        raise StoreError(f"This version does not know the event type {data.get('type')!r}; update the app.")
    known = {f.name for f in fields(cls)}
    values = {k: tuple(v) if k in ("arms", "notes") else v for k, v in data.items() if k in known}
    return cls(**values)
