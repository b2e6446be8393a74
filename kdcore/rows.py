"""What the rows of the runs database mean as values, and how values are written there."""

from __future__ import annotations

import json
import math
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kdcore.database import events, runs
from kdcore.errors import RunNotFound, StoreError
from kdcore.events import Event, RunStarted, TeacherEpochEnded

WAITING = ("queued", "running")
DONE = ("finished", "failed", "cancelled", "interrupted")
_ID_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # read aloud in class without doubt; 14 of them hold 69 bits
_ID = re.compile(f"[{_ID_LETTERS}]{{14}}")


@dataclass(frozen=True)
class RunRow:
    """One run as the store has it now; times are seconds since 1970, None where it has not come to that yet."""

    number: int
    id: str
    visitor: str
    kind: str  # "run", or "latency" for a turn that a measurement takes
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
    attempts: int
    setbacks: int
    cancel_requested: bool
    tags: tuple[str, ...] = ()
    deleted: float | None = None  # hidden since then, until it is restored or purged
    parent: str | None = None  # the run that this one repeats with a change; it may be gone

    @property
    def done(self) -> bool:
        """True once nothing more will happen to it."""
        return self.status in DONE


class RunDeleted(RunNotFound):
    """The run was deleted, and can be restored until it is purged."""


class RunActive(StoreError):
    """The run waits or trains, which must end first."""


@dataclass(frozen=True)
class StoredEvent:
    """An event with its place in the store: `seq` grows, `time` is in seconds since 1970."""

    seq: int
    time: float
    event: Event


def new_id() -> str:
    """An id that cannot be guessed and is safe as a file name, in a URL and on a command line."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(14))


def is_id(run_id: str) -> bool:
    """Whether this can be the id of a run."""
    return _ID.fullmatch(run_id) is not None


def not_found(run_id: str) -> RunNotFound:
    """The error for an id that no run has; what was typed is only repeated when that is harmless."""
    shown = run_id if re.fullmatch(r"[\w-]{1,40}", run_id) else "given"
    return RunNotFound(f'There is no run "{shown}" in this store; its id may be mistyped, or it was deleted.')


def visible(row: RunRow, deleted: bool = False) -> RunRow:
    """The run itself, unless it is hidden because it was deleted.

    Raises:
        RunDeleted: it was, and `deleted` does not allow that.
    """
    if row.deleted is not None and not deleted:
        raise RunDeleted(
            f"Run {row.id} was deleted; whoever started it can restore it for some days, on the Runs page or with "
            f"kdcore runs undelete {row.id}."
        )
    return row


def held(connection: sa.Connection, run_id: str) -> RunRow:
    """The run inside a writing transaction, where nobody else can change it, deleted or not.

    Raises:
        RunNotFound: no run has this id.
    """
    row = connection.execute(sa.select(runs).where(runs.c.id == run_id, runs.c.kind == "run")).one_or_none()
    if row is None:
        raise not_found(run_id)
    return to_run(row)


def to_run(row: sa.Row[Any], result: dict[str, Any] | None = None) -> RunRow:
    """The value of a row of `runs`; `result` is its result where the row was read without one."""
    values = dict(row._mapping)
    values["config"] = json.loads(values["config"])
    values["tags"] = tuple(json.loads(values["tags"])) if values["tags"] else ()
    if "result" in values:
        result = json.loads(values["result"]) if values["result"] else None
    return RunRow(**{**values, "result": result})


def short_result(result: dict[str, Any] | None) -> dict[str, Any] | None:
    """A result without what it says class by class."""
    if result is None or not isinstance(result.get("arms"), dict):
        return result
    long = ("confusion", "per_class")
    arms = {arm: {name: row[name] for name in row if name not in long} for arm, row in result["arms"].items()}
    return {**result, "arms": arms}


def add_event(connection: sa.Connection, run_id: str, event: Event) -> bool:
    """Append an event, once; False if it was told before.

    A continued run repeats some events, or goes back behind epochs that were told but not kept; after this the
    stored events read like those of a run that was never disturbed.
    """
    mine = events.c.run_id == run_id
    if isinstance(event, RunStarted):
        _take_back(connection, mine, event)
    epoch = int(getattr(event, "epoch", 0))
    alike = sa.and_(mine, events.c.type == event.type)
    if isinstance(event, TeacherEpochEnded):  # of several teachers and stages, which have epochs of the same number
        rows = connection.execute(sa.select(events.c.epoch, events.c.payload).where(alike)).all()
        told = {(one["teacher"], one["epoch"]) for one in (json.loads(row.payload) for row in rows)}
        if (event.teacher, event.epoch) in told:
            return False
        epoch = max((row.epoch for row in rows), default=-1) + 1  # their place among these events
    elif connection.execute(sa.select(events.c.seq).where(alike, events.c.epoch == epoch)).first() is not None:
        return False
    values = {"run_id": run_id, "type": event.type, "epoch": epoch, "time": time.time()}
    connection.execute(sa.insert(events).values(**values, payload=to_text(event.to_json())))
    return True


def _take_back(connection: sa.Connection, mine: sa.ColumnElement[bool], started: RunStarted) -> None:
    """Remove what was told of epochs that no checkpoint covers: they are trained again, and told again."""
    of_teachers = events.c.type == TeacherEpochEnded.__name__
    connection.execute(sa.delete(events).where(mine, ~of_teachers, events.c.epoch > started.epochs_done))
    rows = connection.execute(sa.select(events.c.seq, events.c.payload).where(mine, of_teachers)).all()
    told = [(row.seq, json.loads(row.payload)) for row in rows]
    # A teacher, which is in no stage, is kept when it is trained.
    gone = [{"gone": seq} for seq, one in told if one["epoch"] > started.stages.get(one["teacher"], math.inf)]
    if gone:
        connection.execute(sa.delete(events).where(events.c.seq == sa.bindparam("gone")), gone)


def to_text(value: object) -> str:
    """Strict JSON: numbers that JSON does not know (a diverged loss) become null."""
    return json.dumps(finite(value), allow_nan=False, ensure_ascii=False)


def finite(value: object) -> object:
    """The same value with null for every number that JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list | tuple) else value
