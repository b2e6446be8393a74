"""The lease on a run: one process at a time holds a run, shows by a heartbeat that it lives, and may write to the run.

Every write of the holder is conditional on the number of its attempt. If the holder seemed dead (a laptop slept, a
network broke) and the run was given to another process, that number has grown: the former holder's writes then change
nothing, and it is told to stop.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import sqlalchemy as sa

from kdcore.errors import StoreError
from kdcore.events import EpochEnded, Event, TeacherEpochEnded
from kdcore.jobs.spawn import SPARE_FLAG
from kdcore.machine.namespace import process_namespace, started_at
from kdcore.store import RunRow, Store, add_event, to_text
from kdcore.store.results import outcome_of
from kdcore.store.schema import runs

HEARTBEAT_SECONDS = 2.0
CANCEL_CHECK_SECONDS = 0.5  # how often a worker checks whether its run was cancelled
# A holder whose process cannot be inspected counts as dead this long after its last heartbeat.
HEARTBEAT_STALE_SECONDS = 30.0
# A heartbeat may lie this far in the future and still count: machines that share a store may have different clocks.
CLOCK_SKEW_SECONDS = 300.0


class LeaseLost(StoreError):
    """Another process holds this run now, or the run is over."""


def holder_columns() -> dict[str, Any]:
    """Return the columns of `runs` that say that this process holds a run, with a heartbeat of now."""
    me = psutil.Process()
    own = {"host": process_namespace(), "worker_pid": me.pid, "worker_started": me.create_time()}
    return {**own, "heartbeat": time.time()}


def starting_columns() -> dict[str, Any]:
    """Return the values of the columns of `runs` by which this process holds a run while it starts the run's worker.

    The column `worker_started` is None until the worker takes the run. Until then the run counts as held only as long
    as the heartbeat is recent: if starting the worker fails, the run is released although this process lives on.
    """
    return {**holder_columns(), "worker_started": None}


def is_alive(row: RunRow) -> bool:
    """Whether the process that holds a run lives.

    A process on another machine or in another container cannot be seen from here; it lives if its heartbeat is recent.
    """
    recent = _heartbeat_is_recent(row)
    if row.host != process_namespace() or row.worker_pid is None:
        return recent
    try:
        process = psutil.Process(row.worker_pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False
        if row.worker_started is None:  # this process was only starting the worker, and may have failed to
            return recent
        # The system may have given the process id to another process since, which its start time reveals. But setting
        # the clock changes the start time too, so a difference counts only once the heartbeat is old as well.
        return started_at(process, row.worker_started) or recent
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return recent


def _heartbeat_is_recent(row: RunRow) -> bool:
    """Whether the last heartbeat is recent; one far in the future (the clock was set back) does not count."""
    return row.heartbeat is not None and -CLOCK_SKEW_SECONDS < time.time() - row.heartbeat < HEARTBEAT_STALE_SECONDS


def kill_hung_worker(row: RunRow) -> None:
    """Kill the worker of a cancelled run if its heartbeat is old, which means that it hangs or was suspended."""
    if _heartbeat_is_recent(row) or row.worker_pid is None or row.worker_started is None:
        return
    if row.host != process_namespace():  # here the process id belongs to another process
        return
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(row.worker_pid)
        # Make sure that it is this worker: the process id may belong to another process by now, and a run or a
        # measurement may be held by the app itself.
        command = set(process.cmdline())
        if started_at(process, row.worker_started) and "kdcore.worker" in command and command & {row.id, SPARE_FLAG}:
            process.kill()


class Lease:
    """The right of one process to write to one run during one attempt at it.

    Args:
        attempt: number of the attempt; must equal the `attempts` of the run's row for every write.
    """

    def __init__(self, store: Store, run_id: str, attempt: int) -> None:
        self.store, self.run_id, self.attempt = store, run_id, attempt
        self._stop = threading.Event()

    def take(self) -> None:
        """Record this process as the holder of the run.

        Raises:
            LeaseLost: the run is over, or another attempt has begun.
        """
        self._update(holder_columns())

    def record(self, event: Event) -> None:
        """Store an event with a new heartbeat; a finished epoch also sets the run's setbacks to 0.

        Raises:
            LeaseLost: the run is over, or another attempt has begun; the event was not stored.
            StoreError: the event could not be stored.
        """
        with self.store.write() as connection:
            self._change_row(connection, {"heartbeat": time.time()})
            if add_event(connection, self.run_id, event) and isinstance(event, EpochEnded | TeacherEpochEnded):
                self._change_row(connection, {"setbacks": 0})

    def end(self, status: str, event: Event, *, error: str | None = None, result: dict[str, Any] | None = None) -> None:
        """Store the last event and the final state of the run in one transaction.

        Args:
            status: the final status, such as "finished" or "failed".
            error: one sentence for a run without a result.
            result: the result of a finished run.

        Raises:
            LeaseLost: the run is over, or another attempt has begun; nothing was stored.
            StoreError: the store could not be written; nothing was stored.
        """
        values: dict[str, Any] = {"status": status, "finished": time.time(), "error": error}
        if result is not None:
            values |= {"result": to_text(result), "outcome": to_text(outcome_of(result))}
        with self.store.write() as connection:
            add_event(connection, self.run_id, event)
            self._change_row(connection, values)

    def should_stop(self) -> bool:
        """Whether the run was cancelled or given to another process; reads no database, so it may be called often."""
        return self._stop.is_set()

    @contextlib.contextmanager
    def heartbeats(self) -> Iterator[None]:
        """While the block runs, write heartbeats and watch for a cancellation from a background thread."""
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(ended.wait,), name=f"heart of {self.run_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _beat(self, wait_for_end: Callable[[float], bool]) -> None:
        due = 0.0
        while not wait_for_end(CANCEL_CHECK_SECONDS):
            try:
                if self.cancelled():
                    self._stop.set()
                if time.monotonic() >= due:
                    due = time.monotonic() + HEARTBEAT_SECONDS
                    self._update({"heartbeat": time.time()})
            except LeaseLost:
                self._stop.set()
                return
            except StoreError:
                continue  # a full disk or a busy store may pass, and the run stays held while this process lives

    def cancelled(self) -> bool:
        """Read from the store whether the run was cancelled.

        Raises:
            LeaseLost: the run is over, or another attempt has begun.
            StoreError: the store could not be read.
        """
        with self.store.read() as connection:
            query = sa.select(runs.c.cancel_requested).where(self._held_row())
            cancel_requested = connection.execute(query).scalar()
        if cancel_requested is None:
            raise self._lost()
        return bool(cancel_requested)

    def _update(self, values: dict[str, Any]) -> None:
        with self.store.write() as connection:
            self._change_row(connection, values)

    def _change_row(self, connection: sa.Connection, values: dict[str, Any]) -> None:
        """Change this run's row; if the lease is lost, raise `LeaseLost`, which rolls the transaction back."""
        if connection.execute(sa.update(runs).where(self._held_row()).values(**values)).rowcount != 1:
            raise self._lost()

    def _held_row(self) -> sa.ColumnElement[bool]:
        """Return the condition that selects this run's row as long as the lease on it is valid."""
        # No process holds a queued run, but a queued measurement is held by the process that waits to measure.
        is_held = sa.or_(runs.c.status == "running", sa.and_(runs.c.status == "queued", runs.c.kind == "latency"))
        return sa.and_(runs.c.id == self.run_id, runs.c.attempts == self.attempt, is_held)

    def _lost(self) -> LeaseLost:
        return LeaseLost(f"Run {self.run_id} is over or another process trains it now; nothing was written to it.")
