"""What a run says while it trains: typed, frozen, JSON-able; the app, the command line and the log read the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from kdcore.errors import StoreError

Curves = dict[str, dict[str, list[float]]]


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
    """First event of a run, or of its continuation after a checkpoint.

    `epochs_done` and, for every stage of the run's methods, `stages` are the epochs that checkpoints cover.
    """

    config: dict[str, Any]
    arms: tuple[str, ...]
    epochs: int
    device: str
    precision: str
    train_size: int
    num_seeds: int
    epochs_done: int = 0
    stages: dict[str, int] = field(default_factory=dict)  # by the name under which its epochs are told


@dataclass(frozen=True)
class TeacherEpochEnded(Event):
    """One epoch of a teacher that is not on this machine yet and is trained first, once; or of a stage: students that a
    method trains before, for each point of a sweep anew."""

    teacher: str  # its name; no two stages of a run have the same, such as "generation 1 (labels=50)"
    epoch: int  # 1-based; 0 says that it begins
    epochs: int
    validation_accuracy: float | None  # 0 to 1; None where it was not measured, for which older versions wrote 0
    seconds: float  # of this epoch


@dataclass(frozen=True)
class TeacherCached(Event):
    """The teacher's logits for all views are at hand; `reused` if they came from the cache on disk."""

    teacher: str
    views: int
    seconds: float
    reused: bool


@dataclass(frozen=True)
class EpochEnded(Event):
    """One epoch of every arm and seed.

    `curves[arm]` holds `train_loss` (nats) and `validation_accuracy` (0 to 1), one value a seed.
    """

    epoch: int  # 1-based
    epochs: int
    seconds: float
    curves: Curves


@dataclass(frozen=True)
class CheckpointSaved(Event):
    """Everything up to `epoch` is on disk; `path` is relative to the run's folder."""

    epoch: int
    sha256: str
    path: str


@dataclass(frozen=True)
class RunFinished(Event):
    """The result, in the shape that `kdcore run --json` prints."""

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
    """The event that `to_json` wrote.

    Raises:
        StoreError: an event type that this version does not know.
    """
    cls = EVENTS.get(str(data.get("type")))
    if cls is None:
        raise StoreError(f"This version does not know the event type {data.get('type')!r}; update the app.")
    known = {f.name for f in fields(cls)}
    values = {k: tuple(v) if k == "arms" else v for k, v in data.items() if k in known}
    return cls(**values)
