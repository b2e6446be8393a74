"""What keeps the queue moving: find what died, claim what is next, start its worker.

Nobody has to stay for it. The app calls `advance` while a page is open, the command line while it follows a run, and
every worker when it ends.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Literal

import psutil
import sqlalchemy as sa

from kdcore import paths
from kdcore.database import runs
from kdcore.events import RunFailed
from kdcore.fair_queue import queue, record_turn, waiting
from kdcore.lease import as_starting, is_alive, put_down
from kdcore.spawn import LOG, spawn_worker
from kdcore.store import RunRow, Store, add_event, to_run

SLOTS = 1  # trainings at a time: two on the same cores are slower than one after the other, and spoil latencies
MAX_SETBACKS = 3  # attempts without a finished epoch, after which a run is not tried again

Ending = Literal["error", "cancelled", "interrupted"]
_STATUS: dict[Ending, str] = {"error": "failed", "cancelled": "cancelled", "interrupted": "interrupted"}


def runs_dir(run_id: str, home: Path | None = None) -> Path:
    """The folder of a run's checkpoints, models and log; it may not exist yet."""
    return (home or paths.home()) / "runs" / run_id


def advance(store: Store, slots: int = SLOTS) -> None:
    """Let go of what died, then start the next runs while a slot is free; cheap when there is nothing to do.

    Raises:
        StoreError: the store cannot be read or written.
    """
    with store.read() as connection:
        rows = waiting(connection)
    held = [row for row in rows if row.status == "running" or row.kind == "latency"]
    dead = [row for row in held if not is_alive(row)]
    for row in dead:
        _let_go(store, row)
    for row in held:
        if row.cancel_requested and row not in dead:
            put_down(row)
    running = sum(row.status == "running" for row in rows)
    queued = any(row.status == "queued" for row in rows)
    if dead or (queued and running < slots):
        while (claimed := claim(store, slots)) is not None:
            _start(store, claimed)


def next_row(connection: sa.Connection, slots: int = SLOTS) -> RunRow | None:
    """Whose turn it is, if a slot is free. For a writing transaction, which is alone."""
    rows = waiting(connection)
    if sum(row.status == "running" for row in rows) >= slots:
        return None
    return next(iter(queue(connection, rows)), None)


def claim(store: Store, slots: int = SLOTS, only: str | None = None) -> RunRow | None:
    """Take the next run for this process, which has to train it or to start its worker.

    Returns None when there is none to take, or when the next is not the run `only`.
    """
    with store.write() as connection:
        row = next_row(connection, slots)
        if row is None or row.kind != "run" or only not in (None, row.id):  # a measurement takes its turn itself
            return None
        values = {"status": "running", "attempts": row.attempts + 1, "setbacks": row.setbacks + 1, **as_starting()}
        values["started"] = row.started or time.time()
        taken = sa.update(runs).where(runs.c.id == row.id, runs.c.status == "queued").values(**values)
        if connection.execute(taken).rowcount != 1:
            return None
        if row.started is None:  # otherwise it goes on with the turn that it has
            record_turn(connection, row.visitor)
        return to_run(connection.execute(sa.select(runs).where(runs.c.id == row.id)).one())


def end_unheld(connection: sa.Connection, row: RunRow, kind: Ending, sentence: str) -> None:
    """Mark a run that no worker holds any more as over, if it still is as it was seen."""
    as_seen = (runs.c.id == row.id, runs.c.attempts == row.attempts, runs.c.status == row.status)
    values = {"status": _STATUS[kind], "finished": time.time(), "error": sentence}
    if connection.execute(sa.update(runs).where(*as_seen).values(**values)).rowcount == 1:
        add_event(connection, row.id, RunFailed(sentence, kind))


def _start(store: Store, row: RunRow) -> None:
    """Start the worker of a claimed run, and put its process in this one's place until it does so itself.

    Whatever ends this half-way (a full disk, a killed app) leaves a run that is being started, and such a run is
    taken for dead after a while.
    """
    try:
        pid = spawn_worker(store, row.id, row.attempts, runs_dir(row.id, store.home))
    except OSError as error:
        why = error.strerror or type(error).__name__
        sentence = f"The run's process could not be started ({why}); free some disk space or memory, then resume it."
        with store.write() as connection:
            end_unheld(connection, row, "error", sentence)
        return
    born = time.time()  # unless it is gone already, and will be found so
    with contextlib.suppress(psutil.Error):
        born = psutil.Process(pid).create_time()
    unclaimed = (runs.c.id == row.id, runs.c.attempts == row.attempts, runs.c.worker_started.is_(None))
    with store.write() as connection:
        connection.execute(sa.update(runs).where(*unclaimed).values(worker_pid=pid, worker_started=born))


def _let_go(store: Store, seen: RunRow) -> None:
    """What becomes of a row whose process died: a run goes back into the queue, to be continued before others."""
    with store.write() as connection:
        mine = sa.and_(runs.c.id == seen.id, runs.c.attempts == seen.attempts, runs.c.status == seen.status)
        found = connection.execute(sa.select(runs).where(mine)).first()
        if found is None:
            return
        row = to_run(found)
        if row.kind == "latency":
            connection.execute(sa.delete(runs).where(mine))
        elif row.cancel_requested:
            end_unheld(connection, row, "cancelled", "The run was stopped before it ended.")
        elif row.setbacks < MAX_SETBACKS:
            connection.execute(sa.update(runs).where(mine).values(status="queued", worker_pid=None, heartbeat=None))
        else:
            sentence = (
                f"The run's process died {MAX_SETBACKS} times before it finished another epoch, so it was given up; "
                f"the end of {LOG} in its folder may say why, and the run can be resumed."
            )
            end_unheld(connection, row, "interrupted", sentence)
