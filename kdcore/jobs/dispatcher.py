"""Keep the queue moving: find runs whose process died, claim the next run and start its worker.

No process has to stay alive for this. `advance` is called by the app while a page is open, by the command line while
it follows a run, and by every worker when it ends.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Literal

import psutil
import sqlalchemy as sa

from kdcore.events import RunFailed
from kdcore.jobs.fair_order import queued_in_order, record_turn, waiting_or_running
from kdcore.jobs.lease import is_alive, kill_hung_worker, starting_columns
from kdcore.jobs.spare import Order, take_spare
from kdcore.jobs.spawn import LOG, spawn_worker
from kdcore.machine import paths
from kdcore.store import RunRow, Store, add_event, to_run
from kdcore.store.schema import runs

# Runs that train at the same time: two on the same cores take longer than one after the other, and distort latencies.
SLOTS = 1
MAX_SETBACKS = 3  # after so many attempts in a row without a finished epoch, a run is not tried again

Ending = Literal["error", "cancelled", "interrupted"]
_STATUS: dict[Ending, str] = {"error": "failed", "cancelled": "cancelled", "interrupted": "interrupted"}


def runs_dir(run_id: str, home: Path | None = None) -> Path:
    """Return the folder of a run's checkpoints, models and log; it may not exist yet."""
    return (home or paths.home()) / "runs" / run_id


def advance(store: Store, slots: int = SLOTS) -> None:
    """Release the runs whose process died, then start the next runs while a slot is free.

    A hung worker of a cancelled run is killed, and its run released by the next call. When there is nothing to do, the
    call costs one read of the store.

    Args:
        slots: how many runs may train at the same time.

    Raises:
        StoreError: the store cannot be read or written.
    """
    with store.read() as connection:
        rows = waiting_or_running(connection)
    with_process = [row for row in rows if row.status == "running" or row.kind == "latency"]
    dead = [row for row in with_process if not is_alive(row)]
    for row in dead:
        release_dead(store, row)
    for row in with_process:
        if row.cancel_requested and row not in dead:
            kill_hung_worker(row)
    running = sum(row.status == "running" for row in rows)
    queued = any(row.status == "queued" for row in rows)
    if dead or (queued and running < slots):
        while (claimed := claim(store, slots)) is not None:
            _start(store, claimed)


def next_row(connection: sa.Connection, slots: int = SLOTS) -> RunRow | None:
    """Return the run or measurement that starts next; None if no slot is free or nothing waits.

    Call it inside `Store.write()`, so that no other process takes the same one.
    """
    rows = waiting_or_running(connection)
    if sum(row.status == "running" for row in rows) >= slots:
        return None
    return next(iter(queued_in_order(connection, rows)), None)


def claim(store: Store, slots: int = SLOTS, only: str | None = None) -> RunRow | None:
    """Mark the next run as running, held by this process, which must then train it or start its worker.

    Args:
        only: claim nothing unless the next run has this id.

    Returns:
        The claimed run; None when no run can start now, a measurement is next, or the next run is not `only`.
    """
    with store.write() as connection:
        row = next_row(connection, slots)
        if row is None or row.kind != "run" or only not in (None, row.id):  # a measurement starts itself
            return None
        values = {"status": "running", "attempts": row.attempts + 1, "setbacks": row.setbacks + 1, **starting_columns()}
        values["started"] = row.started or time.time()
        taken = sa.update(runs).where(runs.c.id == row.id, runs.c.status == "queued").values(**values)
        if connection.execute(taken).rowcount != 1:
            return None
        if row.started is None:  # a continued run keeps the turn that was counted when it first started
            record_turn(connection, row.visitor)
        return to_run(connection.execute(sa.select(runs).where(runs.c.id == row.id)).one())


def end_without_worker(connection: sa.Connection, row: RunRow, kind: Ending, sentence: str) -> None:
    """Mark a run that no worker holds as over, unless its row changed after `row` was read.

    Call it inside `Store.write()`.

    Args:
        kind: how the run ended; decides its final status.
        sentence: the reason, stored as the run's error and in a `RunFailed` event.
    """
    unchanged = (runs.c.id == row.id, runs.c.attempts == row.attempts, runs.c.status == row.status)
    values = {"status": _STATUS[kind], "finished": time.time(), "error": sentence}
    if connection.execute(sa.update(runs).where(*unchanged).values(**values)).rowcount == 1:
        add_event(connection, row.id, RunFailed(sentence, kind))


def _start(store: Store, row: RunRow) -> None:
    """Hand a claimed run to a spare worker, or start a worker for it, and record the worker as the run's process until
    the worker does so itself.

    If this is interrupted half-way (a full disk, a killed app), the row still says that the run is being started; such
    a run counts as dead once its heartbeat is too old.
    """
    try:
        folder = runs_dir(row.id, store.home)
        folder.mkdir(parents=True, exist_ok=True)
        pid = take_spare(store, Order(row.id, row.attempts))
        if pid is None:
            pid = spawn_worker(store, row.id, row.attempts, folder)
    except OSError as error:
        why = error.strerror or type(error).__name__
        sentence = f"The run's process could not be started ({why}); free some disk space or memory, then resume it."
        with store.write() as connection:
            end_without_worker(connection, row, "error", sentence)
        return
    process_started = time.time()  # stays if the worker has ended already; the next `advance` finds such a run dead
    with contextlib.suppress(psutil.Error):
        process_started = psutil.Process(pid).create_time()
    unclaimed = (runs.c.id == row.id, runs.c.attempts == row.attempts, runs.c.worker_started.is_(None))
    with store.write() as connection:
        connection.execute(sa.update(runs).where(*unclaimed).values(worker_pid=pid, worker_started=process_started))


def release_dead(store: Store, seen: RunRow) -> None:
    """Release a row whose process died.

    A run goes back into the queue, to be continued before runs that have not begun. It is cancelled instead if that was
    requested, and interrupted after `MAX_SETBACKS` attempts without a finished epoch. A measurement is deleted.
    """
    with store.write() as connection:
        unchanged = sa.and_(runs.c.id == seen.id, runs.c.attempts == seen.attempts, runs.c.status == seen.status)
        found = connection.execute(sa.select(runs).where(unchanged)).first()
        if found is None:
            return
        row = to_run(found)
        if row.kind == "latency":
            connection.execute(sa.delete(runs).where(unchanged))
        elif row.cancel_requested:
            end_without_worker(connection, row, "cancelled", "The run was stopped before it ended.")
        elif row.setbacks < MAX_SETBACKS:
            released = {"status": "queued", "worker_pid": None, "heartbeat": None}
            connection.execute(sa.update(runs).where(unchanged).values(**released))
        else:
            sentence = (
                f"The run's process died {MAX_SETBACKS} times before it finished another epoch, so it was given up; "
                f"the end of {LOG} in its folder may say why, and the run can be resumed."
            )
            end_without_worker(connection, row, "interrupted", sentence)
