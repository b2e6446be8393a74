"""The queue of runs: they wait in the store and train one at a time, each in a process of its own.

This module holds what a visitor can do with the queue: submit a run, follow it, cancel it, and resume a run that ended
early. The order of the queue (`fair_order`), the expected wait and the start of workers are defined elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import sqlalchemy as sa

from kdcore.errors import KdError
from kdcore.events import Event, RunFailed
from kdcore.jobs.checks import check_can_run
from kdcore.jobs.dispatcher import advance, end_without_worker
from kdcore.jobs.space import check_space
from kdcore.store import UNFINISHED, RunRow, Store, new_id, to_text
from kdcore.store.rows import locked_row, unless_deleted
from kdcore.store.schema import events, runs

if TYPE_CHECKING:
    # Importing the configuration loads torch, which takes seconds and is not needed by most of this module.
    from kdcore.settings.config import RunConfig

MAX_QUEUED = 50  # waiting runs of all visitors together
MAX_UNFINISHED = 5  # runs of one visitor that may wait or train at the same time
LOCAL_VISITOR = "local"  # the visitor of the command line, limited by MAX_QUEUED only
ADVANCE_SECONDS = 2.0  # how often `follow` calls `advance`


class QueueFull(KdError):
    """The queue is full: `MAX_QUEUED` runs wait already."""


class TooManyRuns(KdError):
    """This visitor has as many waiting and training runs as a visitor may have."""


class CannotResume(KdError):
    """The run cannot be resumed, because it is finished or still training."""


def submit(
    store: Store, config: RunConfig, visitor: str, parent: str | None = None, *, limit: int | None = None
) -> str:
    """Put a run into the queue and return its id; `advance` starts it later.

    Args:
        parent: id of the run that this one repeats with a change.
        limit: how many runs of this visitor may wait or train at the same time; unless given, `MAX_UNFINISHED`, or
            `MAX_QUEUED` for the command line.

    Raises:
        ConfigError: the configuration is not legal, or names a teacher that does not fit its dataset.
        UnknownName: the configuration names a teacher that does not exist.
        DatasetUnavailable: the dataset is not on this machine.
        NoSpace: the disk has no room for the run.
        QueueFull: too many runs wait already.
        TooManyRuns: too many runs of this visitor wait or train already.
    """
    check_can_run(config)
    check_space(config, store.home)
    run_id = new_id()
    with store.write() as connection:
        _check_room(connection, visitor, limit)
        values = {"id": run_id, "visitor": visitor, "kind": "run", "status": "queued", "created": time.time()}
        connection.execute(sa.insert(runs).values(**values, config=to_text(config.to_json()), parent=parent))
    return run_id


def unfinished(store: Store, config: RunConfig, visitor: str) -> str | None:
    """Return the id of this visitor's newest run that has exactly this configuration and no result; else None."""
    same = sa.and_(runs.c.visitor == visitor, runs.c.config == to_text(config.to_json()), runs.c.deleted.is_(None))
    newest = sa.select(runs.c.id).where(same, runs.c.status != "finished").order_by(runs.c.created.desc()).limit(1)
    with store.read() as connection:
        run_id: str | None = connection.execute(newest).scalar()
    return run_id


def _check_room(connection: sa.Connection, visitor: str, limit: int | None) -> None:
    """Refuse one more run of this visitor if the queue or the visitor's share of it is full.

    Call it inside the `Store.write()` that adds the run.

    Raises:
        QueueFull, TooManyRuns: as `submit`.
    """
    count = sa.select(sa.func.count()).where(runs.c.kind == "run")
    if connection.execute(count.where(runs.c.status == "queued")).scalar_one() >= MAX_QUEUED:
        raise QueueFull(f"{MAX_QUEUED} runs are waiting already; try again when some have ended.")
    if limit is None:
        limit = MAX_QUEUED if visitor == LOCAL_VISITOR else MAX_UNFINISHED
    of_visitor = count.where(runs.c.status.in_(UNFINISHED), runs.c.visitor == visitor)
    unfinished_runs = connection.execute(of_visitor).scalar_one()
    if unfinished_runs >= limit:
        have = f"{unfinished_runs} of your runs are" if unfinished_runs > 1 else "One of your runs is"
        raise TooManyRuns(
            f"{have} waiting or training already, and a visitor may have {limit} at a time; "
            "stop one, or try again when one has ended."
        )


def cancel(store: Store, run_id: str) -> None:
    """End a run: at once if it waits, after its current batch if it trains; a run that is over stays as it is.

    Raises:
        RunNotFound: no run has this id.
    """
    with store.write() as connection:  # so that nobody can start, end or release the run meanwhile
        row = locked_row(connection, run_id)
        if row.status == "running":
            connection.execute(sa.update(runs).where(runs.c.id == row.id).values(cancel_requested=True))
        elif row.status == "queued" and row.started is None:
            end_without_worker(connection, row, "cancelled", "The run was cancelled before it began.")
        elif row.status == "queued":
            end_without_worker(connection, row, "cancelled", "The run was stopped before it ended.")


def resume(store: Store, run_id: str, *, limit: int | None = None) -> None:
    """Put a run that was cancelled, interrupted or failed back into the queue, to continue from its last checkpoint.

    If the checkpoint was removed, the run starts again from its first epoch. A run that waits already stays as it is.

    Args:
        limit: as in `submit`, for the visitor whose run it is.

    Raises:
        CannotResume: the run is finished, or training now.
        RunNotFound: no run has this id, or it was deleted.
        ConfigError, UnknownName, DatasetUnavailable, NoSpace, QueueFull, TooManyRuns: as `submit`.
    """
    from kdcore.settings.config import RunConfig  # loads torch, which takes seconds

    row = store.run(run_id)
    if _may_resume(row):
        config = RunConfig.from_json(row.config)
        check_can_run(config)
        check_space(config, store.home)
    with store.write() as connection:
        row = unless_deleted(locked_row(connection, run_id))
        if not _may_resume(row):
            return
        _check_room(connection, row.visitor, limit)
        values: dict[str, object] = {"status": "queued", "cancel_requested": False, "setbacks": 0, "error": None}
        values |= dict.fromkeys(("started", "finished", "heartbeat", "host", "worker_pid", "worker_started"))
        connection.execute(sa.update(runs).where(runs.c.id == row.id).values(**values))
        # Remove the event that ended the run, so that its events read like those of a run that never ended early.
        ended = sa.and_(events.c.run_id == row.id, events.c.type == RunFailed.__name__)
        connection.execute(sa.delete(events).where(ended))


def _may_resume(row: RunRow) -> bool:
    """Whether the run ended early and can be resumed; False for a run that waits already.

    Raises:
        CannotResume: the run is finished, or training now.
    """
    if row.status == "finished":
        raise CannotResume(f"Run {row.id} is finished; to train it again, start a run with its settings.")
    if row.status == "running":
        state = "is being stopped; resume it when it has ended" if row.cancel_requested else "is training; let it go on"
        raise CannotResume(f"Run {row.id} {state}.")
    return row.status != "queued"


def follow(
    store: Store, run_id: str, poll: float = 0.25, on_wait: Callable[[RunRow], None] = lambda row: None
) -> Iterator[Event]:
    """Yield a run's events from its first one, as they arrive, until the run is over; keep the queue moving meanwhile.

    Args:
        poll: seconds between two looks at the store.
        on_wait: called with the run's row before each pause, for a caller that shows progress.

    Raises:
        RunNotFound: no run has this id.
    """
    seq, due = 0, 0.0
    while True:
        row = store.run(run_id)  # read before the events: if the run is over now, all its events are stored
        for stored in store.events(run_id, after=seq):
            seq = stored.seq
            yield stored.event
        if row.done:
            return
        if time.monotonic() >= due:
            advance(store)
            due = time.monotonic() + ADVANCE_SECONDS
        on_wait(row)
        time.sleep(poll)
