"""Conversion between rows of the runs database and Python values, and the log of events of a run."""

from __future__ import annotations

import json
import math
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kdcore.errors import RunNotFound, StoreError
from kdcore.events import Event, RunStarted, TeacherEpochEnded
from kdcore.store.results import read_result
from kdcore.store.schema import events, runs

UNFINISHED = ("queued", "running")
ENDED = ("finished", "failed", "cancelled", "interrupted")
_ID_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without i, l, o, 0 and 1, which look alike; 14 of them hold 69 bits
_ID = re.compile(f"[{_ID_LETTERS}]{{14}}")


@dataclass(frozen=True)
class RunRow:
    """One run as the store has it now.

    Times are in seconds since 1970, and None for what has not happened yet. `host`, `worker_pid` and `worker_started`
    say which process trains the run; `host` names the namespace of process ids that `worker_pid` belongs to. `result`
    is the whole result, or the part that `outcome_of` returns if the row was read without it.
    """

    number: int
    id: str
    visitor: str
    kind: str  # "run", or "latency" for a measurement that waits for the machine, or uses it, like a run
    status: str  # queued, running, finished, failed, cancelled, interrupted
    config: dict[str, Any]
    result: dict[str, Any] | None
    error: str | None
    created: float
    started: float | None
    finished: float | None
    heartbeat: float | None
    host: str | None
    worker_pid: int | None
    worker_started: float | None
    attempts: int  # how many times a process has taken the run to train it
    setbacks: int  # attempts since an epoch was last finished
    cancel_requested: bool
    tags: tuple[str, ...] = ()
    deleted: float | None = None  # when the run was deleted, which hides it until it is restored or purged
    parent: str | None = None  # id of the run that this one repeats with a change; that run may be gone

    @property
    def done(self) -> bool:
        """Whether the run has ended; nothing more happens to it unless somebody resumes it."""
        return self.status in ENDED


class RunDeleted(RunNotFound):
    """The run was deleted, and can be restored until it is purged."""


class RunActive(StoreError):
    """The run still waits or trains, so it cannot be deleted."""


@dataclass(frozen=True)
class StoredEvent:
    """An event of a run as the store has it.

    Attributes:
        seq: its number; later events have larger ones.
        time: when it was stored, in seconds since 1970.
    """

    seq: int
    time: float
    event: Event


def new_id() -> str:
    """Return a new random run_id, which cannot be guessed and is safe as a file name, in a URL and in a shell."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(14))


def is_id(run_id: str) -> bool:
    """Whether this text has the form of a run_id."""
    return _ID.fullmatch(run_id) is not None


def not_found(run_id: str) -> RunNotFound:
    """Return the error for an id that no run has. Its message repeats the id only if it is harmless to show: short, and
    made of letters, digits, "_" and "-"."""
    shown = run_id if re.fullmatch(r"[\w-]{1,40}", run_id) else "given"
    return RunNotFound(f'There is no run "{shown}" in this store; its id may be mistyped, or it was deleted.')


def unless_deleted(row: RunRow, deleted: bool = False) -> RunRow:
    """Return `row`, unless the run was deleted.

    Args:
        deleted: whether to return a deleted run too.

    Raises:
        RunDeleted: the run was deleted, and `deleted` is False.
    """
    if row.deleted is not None and not deleted:
        raise RunDeleted(
            f"Run {row.id} was deleted; whoever started it can restore it for some days, on the Runs page or with "
            f"kdcore runs undelete {row.id}."
        )
    return row


def locked_row(connection: sa.Connection, run_id: str) -> RunRow:
    """Read a run, deleted or not, that the same transaction is going to change.

    Call inside `Store.write()`, so that nobody else can change the run in between.

    Raises:
        RunNotFound: no run has this id.
    """
    row = connection.execute(sa.select(runs).where(runs.c.id == run_id, runs.c.kind == "run")).one_or_none()
    if row is None:
        raise not_found(run_id)
    return to_run(row)


def to_run(row: sa.Row[Any], result: dict[str, Any] | None = None) -> RunRow:
    """Convert a row of the table `runs`. A row that was read without the column `result` gets the run's outcome.

    Args:
        result: the outcome, if the column `outcome` is empty.
    """
    columns = dict(row._mapping)
    columns["config"] = json.loads(columns["config"])
    columns["tags"] = tuple(json.loads(columns["tags"])) if columns["tags"] else ()
    outcome = columns.pop("outcome")
    if "result" in columns:
        result = read_result(columns["result"])
    elif outcome is not None:
        result = json.loads(outcome)
    return RunRow(**{**columns, "result": result})


def add_event(connection: sa.Connection, run_id: str, event: Event) -> bool:
    """Store an event of a run unless it is stored already; return whether it was added. Call inside `Store.write()`.

    A continued run repeats some events, and trains epochs again that were reported but not saved in a checkpoint; when
    it starts, the events of these epochs are removed. So the stored events are those of a run without interruption.
    """
    of_run = events.c.run_id == run_id
    if isinstance(event, RunStarted):
        _remove_uncovered(connection, of_run, event)
        _remove_start_with_other_notes(connection, of_run, event)
    epoch = int(getattr(event, "epoch", 0))
    same_type = sa.and_(of_run, events.c.type == event.type)
    if isinstance(event, TeacherEpochEnded):  # several teachers and stages have epochs of the same number
        rows = connection.execute(sa.select(events.c.epoch, events.c.payload).where(same_type)).all()
        payloads = [json.loads(row.payload) for row in rows]
        if (event.teacher, event.epoch) in {(stored["teacher"], stored["epoch"]) for stored in payloads}:
            return False
        epoch = max((row.epoch for row in rows), default=-1) + 1  # numbered: (run_id, type, epoch) is unique
    elif connection.execute(sa.select(events.c.seq).where(same_type, events.c.epoch == epoch)).first() is not None:
        return False
    values = {"run_id": run_id, "type": event.type, "epoch": epoch, "time": time.time()}
    connection.execute(sa.insert(events).values(**values, payload=to_text(event.to_json())))
    return True


def _remove_start_with_other_notes(
    connection: sa.Connection, of_run: sa.ColumnElement[bool], started: RunStarted
) -> None:
    """Remove the start of an earlier attempt if this one has something else to say; its event is stored instead."""
    of_starts = sa.and_(of_run, events.c.type == RunStarted.__name__)
    payload = connection.execute(sa.select(events.c.payload).where(of_starts)).scalar()
    if started.notes and payload is not None and json.loads(payload).get("notes") != list(started.notes):
        connection.execute(sa.delete(events).where(of_starts))


def _remove_uncovered(connection: sa.Connection, of_run: sa.ColumnElement[bool], started: RunStarted) -> None:
    """Remove the events of epochs that no checkpoint covers, because they will be trained and reported again."""
    of_teachers = events.c.type == TeacherEpochEnded.__name__
    connection.execute(sa.delete(events).where(of_run, ~of_teachers, events.c.epoch > started.epochs_done))
    rows = connection.execute(sa.select(events.c.seq, events.c.payload).where(of_run, of_teachers)).all()
    stored = [(row.seq, json.loads(row.payload)) for row in rows]
    # Epochs of teachers, which are not among the stages, stay: their training does not depend on the run's checkpoints.
    uncovered = [seq for seq, epoch in stored if epoch["epoch"] > started.stages.get(epoch["teacher"], math.inf)]
    if uncovered:
        remove = sa.delete(events).where(events.c.seq == sa.bindparam("uncovered"))
        connection.execute(remove, [{"uncovered": seq} for seq in uncovered])


def to_text(value: object) -> str:
    """Write a value as strict JSON; numbers that JSON cannot express (the NaN of a diverged loss) become null."""
    return json.dumps(finite(value), allow_nan=False, ensure_ascii=False)


def finite(value: object) -> object:
    """Return the same value with None in place of every number that JSON cannot express (NaN and infinity)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list | tuple) else value
