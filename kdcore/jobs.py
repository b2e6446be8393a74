"""The queue: runs wait in the store and train one at a time, each in a process of its own.

Nobody has to stay for it. `advance` finds what died and starts what is next; the app calls it while a page is open,
the command line while it follows a run, and every worker when it ends.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil
import sqlalchemy as sa

from kdcore import paths
from kdcore.database import runs
from kdcore.errors import ConfigError, DatasetUnavailable, KdError, StoreError, UnknownName
from kdcore.events import Event, RunFailed
from kdcore.lease import Lease, is_alive, this_process
from kdcore.spawn import LOG, spawn_worker
from kdcore.store import WAITING, RunRow, Store, add_event, new_id, to_run, to_text

if (
    TYPE_CHECKING
):  # its validation needs torch, which takes seconds to import and which most of this module does without
    from kdcore.config import RunConfig

SLOTS = 1  # trainings at a time: two on the same cores are slower than one after the other, and spoil latencies
MAX_QUEUED = 50
MAX_SETBACKS = 3  # attempts without a finished epoch, after which a run is not tried again
ADVANCE_SECONDS = 2.0
TURN_SECONDS = 0.1

Ending = Literal["error", "cancelled", "interrupted"]
_STATUS: dict[Ending, str] = {"error": "failed", "cancelled": "cancelled", "interrupted": "interrupted"}


class QueueFull(KdError):
    """Too many runs wait already."""


class Busy(KdError):
    """The machine's turn is taken; `run_id` says by which run."""

    def __init__(self, message: str, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id


def submit(store: Store, config: RunConfig, visitor: str) -> str:
    """Put a run at the end of the queue and return its id; `advance` starts it.

    Raises:
        ConfigError: the configuration is not legal, or names a teacher that does not fit its dataset.
        DatasetUnavailable: the dataset is not on this machine.
        QueueFull: too many runs wait already.
    """
    check(config)
    run_id = new_id()
    with store.write() as connection:
        waiting = sa.select(sa.func.count()).where(runs.c.status == "queued", runs.c.kind == "run")
        if connection.execute(waiting).scalar_one() >= MAX_QUEUED:
            raise QueueFull(f"{MAX_QUEUED} runs are waiting already; try again when some have ended.")
        values = {"id": run_id, "visitor": visitor, "kind": "run", "status": "queued", "created": time.time()}
        connection.execute(sa.insert(runs).values(**values, config=to_text(config.to_json())))
    return run_id


def check(config: RunConfig) -> None:
    """Refuse what a worker would refuse, before anything is stored.

    Raises:
        ConfigError, DatasetUnavailable: as `submit`.
    """
    from kdcore.datasets import dataset_status
    from kdcore.device import pick_device
    from kdcore.teachers import list_teachers

    config.validate()
    if config.device == "cuda":
        pick_device(config.device)
    status = dataset_status(config.dataset)
    if not status.ready:
        raise DatasetUnavailable(status.needs)
    learned = {card.name: card.dataset for card in list_teachers()}
    if config.teacher not in learned:
        raise UnknownName("teacher", config.teacher, learned)
    if learned[config.teacher] != config.dataset:
        fitting = ", ".join(name for name, dataset in learned.items() if dataset == config.dataset)
        raise ConfigError(
            f'The teacher "{config.teacher}" learned {learned[config.teacher]} and cannot teach {config.dataset}; '
            f"choose one of: {fitting or 'none is on this machine yet'}."
        )


def advance(store: Store, slots: int = SLOTS) -> None:
    """Let go of what died, then start the next runs while a slot is free; cheap when there is nothing to do.

    Raises:
        StoreError: the store cannot be read or written.
    """
    waiting = _waiting(store)
    dead = [row for row in waiting if (row.status == "running" or row.kind == "latency") and not is_alive(row)]
    for row in dead:
        _let_go(store, row)
    running = sum(row.status == "running" for row in waiting)
    queued = any(row.status == "queued" for row in waiting)
    if dead or (queued and running < slots):
        while (claimed := claim(store, slots)) is not None:
            _start(store, claimed)


def position(store: Store, run_id: str) -> int:
    """Place in the queue, 1 for the next; 0 for a run that does not wait.

    Raises:
        RunNotFound: no run has this id.
    """
    row = store.run(run_id)
    if row.status != "queued":
        return 0
    return sum(other.status == "queued" and other.number <= row.number for other in _waiting(store))


def cancel(store: Store, run_id: str) -> None:
    """End a run: at once while it waits, after its current batch while it trains; nothing if it is over.

    Raises:
        RunNotFound: no run has this id.
    """
    row = store.run(run_id)
    with store.write() as connection:
        asked = sa.update(runs).where(runs.c.id == row.id, runs.c.status == "running").values(cancel_requested=True)
        if connection.execute(asked).rowcount == 0:
            _end(connection, row, "cancelled", "The run was cancelled before it began.")


def runs_dir(run_id: str, home: Path | None = None) -> Path:
    """The folder of a run's checkpoints, models and log; it may not exist yet."""
    return (home or paths.home()) / "runs" / run_id


def follow(
    store: Store, run_id: str, poll: float = 0.25, on_wait: Callable[[RunRow], None] = lambda row: None
) -> Iterator[Event]:
    """A run's events from its beginning, as they arrive, until it is over; keeps the queue moving meanwhile.

    Args:
        on_wait: called with the run before each pause, for a line about progress.

    Raises:
        RunNotFound: no run has this id.
    """
    seq, due = 0, 0.0
    while True:
        row = store.run(run_id)  # before its events: a run that is over here has all of them there
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


@contextlib.contextmanager
def turn(store: Store, what: str, visitor: str = "", wait: float = 0.0) -> Iterator[None]:
    """Hold the machine for a measurement in this process: no training runs beside it, and none starts.

    Args:
        what: what is measured, kept with the row.
        wait: seconds to wait for the turn, in the queue like a run; 0 asks once.

    Raises:
        Busy: the turn did not come in this time.
    """
    run_id, end = new_id(), time.monotonic() + wait
    with store.write() as connection:
        values = {"id": run_id, "visitor": visitor, "kind": "latency", "status": "queued", "created": time.time()}
        values |= {"attempts": 1, "config": to_text({"what": what}), **this_process()}
        connection.execute(sa.insert(runs).values(**values))
    try:
        with Lease(store, run_id, 1).beating():
            while not _take_turn(store, run_id):
                if time.monotonic() >= end:
                    raise _busy(store, run_id)
                time.sleep(TURN_SECONDS)
            yield
    finally:
        with contextlib.suppress(StoreError):  # if this fails, the row is found dead when this process has ended
            with store.write() as connection:
                connection.execute(sa.delete(runs).where(runs.c.id == run_id))
            advance(store)


def _waiting(store: Store) -> list[RunRow]:
    """What waits or runs, in the order of arrival."""
    with store.read() as connection:
        rows = connection.execute(sa.select(runs).where(runs.c.status.in_(WAITING)).order_by(runs.c.number))
        return [to_run(row) for row in rows]


def _take_turn(store: Store, run_id: str) -> bool:
    advance(store)  # what died must not keep the turn; a run that came later does not start before this row
    with store.write() as connection:
        row = _next(connection, SLOTS)
        if row is None or row.id != run_id:
            return False
        connection.execute(sa.update(runs).where(runs.c.id == run_id).values(status="running", started=time.time()))
        return True


def _busy(store: Store, run_id: str) -> Busy:
    others = [row for row in _waiting(store) if row.id != run_id]
    first = next((row for row in others if row.status == "running"), others[0] if others else None)
    who = "Another measurement" if first is not None and first.kind == "latency" else "A run"
    message = f"{who} has the machine now, and what is measured beside it would be wrong; try again when it has ended."
    return Busy(message, first.id if first is not None else "")


def _next(connection: sa.Connection, slots: int) -> RunRow | None:
    """Whose turn it is: the one that waits longest, if a slot is free. For a writing transaction, which is alone."""
    running = sa.select(sa.func.count()).where(runs.c.status == "running")
    if connection.execute(running).scalar_one() >= slots:
        return None
    row = connection.execute(sa.select(runs).where(runs.c.status == "queued").order_by(runs.c.number).limit(1)).first()
    return to_run(row) if row is not None else None


def claim(store: Store, slots: int = SLOTS, only: str | None = None) -> RunRow | None:
    """Take the next run for this process, which has to train it or to start its worker.

    Returns None when there is none to take, or when the next is not the run `only`.
    """
    with store.write() as connection:
        row = _next(connection, slots)
        if row is None or row.kind != "run" or only not in (None, row.id):  # a measurement takes its turn itself
            return None
        values = {"status": "running", "attempts": row.attempts + 1, "setbacks": row.setbacks + 1, **this_process()}
        values["started"] = row.started or time.time()
        taken = sa.update(runs).where(runs.c.id == row.id, runs.c.status == "queued").values(**values)
        if connection.execute(taken).rowcount != 1:
            return None
        return to_run(connection.execute(sa.select(runs).where(runs.c.id == row.id)).one())


def _start(store: Store, row: RunRow) -> None:
    """Start the worker of a claimed run, and put its process in this one's place until it does so itself."""
    try:
        pid = spawn_worker(store, row.id, row.attempts, runs_dir(row.id, store.home))
    except OSError as error:
        with store.write() as connection:
            why = error.strerror or type(error).__name__
            _end(
                connection,
                row,
                "error",
                f"The run's process could not be started ({why}); free some disk space or memory.",
            )
        return
    try:
        started = psutil.Process(pid).create_time()
    except psutil.Error:
        started = time.time()  # it is gone already, and will be found so
    unclaimed = (runs.c.id == row.id, runs.c.attempts == row.attempts, runs.c.worker_pid == row.worker_pid)
    with store.write() as connection:
        connection.execute(sa.update(runs).where(*unclaimed).values(worker_pid=pid, worker_started=started))


def _let_go(store: Store, seen: RunRow) -> None:
    """What becomes of a row whose process died: a run goes back to its place in the queue, to be continued."""
    with store.write() as connection:
        mine = sa.and_(runs.c.id == seen.id, runs.c.attempts == seen.attempts, runs.c.status == seen.status)
        found = connection.execute(sa.select(runs).where(mine)).first()
        if found is None:
            return
        row = to_run(found)
        if row.kind == "latency":
            connection.execute(sa.delete(runs).where(mine))
        elif row.cancel_requested:
            _end(connection, row, "cancelled", "The run was stopped before it ended.")
        elif row.setbacks < MAX_SETBACKS:
            connection.execute(sa.update(runs).where(mine).values(status="queued", worker_pid=None, heartbeat=None))
        else:
            sentence = (
                f"The run's process died {MAX_SETBACKS} times before it finished another epoch, so it was given up; "
                f"the end of {LOG} in its folder may say why."
            )
            _end(connection, row, "interrupted", sentence)


def _end(connection: sa.Connection, row: RunRow, kind: Ending, sentence: str) -> None:
    """Mark a run that no worker holds any more as over, if it still is as it was seen."""
    as_seen = (runs.c.id == row.id, runs.c.attempts == row.attempts, runs.c.status == row.status)
    values = {"status": _STATUS[kind], "finished": time.time(), "error": sentence}
    if connection.execute(sa.update(runs).where(*as_seen).values(**values)).rowcount == 1:
        add_event(connection, row.id, RunFailed(sentence, kind))
