"""Who holds a run: one process at a time, which shows that it lives and may write to the run until it is let go.

The number of the attempt is what a holder must show for every write. A run that was taken away (its holder looked
dead, because a laptop slept or a network broke) has a higher one, so that the former holder's writes do nothing and
it learns to stop.
"""

from __future__ import annotations

import contextlib
import platform
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import sqlalchemy as sa

from kdcore.database import runs
from kdcore.errors import StoreError
from kdcore.events import EpochEnded, Event, TeacherEpochEnded
from kdcore.store import RunRow, Store, add_event, to_text

BEAT_SECONDS = 2.0
LOOK_SECONDS = 0.5  # how soon a cancelled run hears of it
SILENT_SECONDS = 30.0  # a holder that cannot be looked at is taken for dead after this long without a beat
AHEAD_SECONDS = 300.0  # how far the clocks of machines that share a store may be apart in this direction


class LeaseLost(StoreError):
    """Another process has this run now, or it is over."""


def this_process() -> dict[str, Any]:
    """The columns that say which process holds a run."""
    me = psutil.Process()
    return {"host": platform.node(), "worker_pid": me.pid, "worker_started": me.create_time(), "heartbeat": time.time()}


def as_starting() -> dict[str, Any]:
    """The columns of a run whose worker this process is about to start: it is held for a while, not for ever."""
    return {**this_process(), "worker_started": None}


def is_alive(row: RunRow) -> bool:
    """Whether the process that holds a run lives; on another machine, whether it was heard of lately."""
    recent = _heard_lately(row)
    if row.host != platform.node() or row.worker_pid is None:
        return recent
    try:
        process = psutil.Process(row.worker_pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False
        if row.worker_started is None:  # this one only starts the worker, and may have failed to
            return recent
        # Another process may have got the number since. Clocks that are set make the same process look younger
        # or older, so a difference only counts once the heart has stopped too.
        return abs(process.create_time() - row.worker_started) < 2.0 or recent
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return recent


def _heard_lately(row: RunRow) -> bool:
    """Whether the heart beats; a clock that was set back leaves the last beat in the future, which says nothing."""
    return row.heartbeat is not None and -AHEAD_SECONDS < time.time() - row.heartbeat < SILENT_SECONDS


def put_down(row: RunRow) -> None:
    """Kill the worker of a run that was asked to stop, if its heart has stopped: it hangs, or was suspended."""
    if _heard_lately(row) or row.host != platform.node() or row.worker_pid is None or row.worker_started is None:
        return
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(row.worker_pid)
        # Beyond doubt this very worker: the number may have been given again, and the holder may be an app.
        if abs(process.create_time() - row.worker_started) < 2.0 and {"kdcore.worker", row.id} <= set(
            process.cmdline()
        ):
            process.kill()


class Lease:
    """The right to write to one run, for one attempt at it."""

    def __init__(self, store: Store, run_id: str, attempt: int) -> None:
        self.store, self.run_id, self.attempt = store, run_id, attempt
        self._stop = threading.Event()

    def take(self) -> None:
        """Put this process's name on the run.

        Raises:
            LeaseLost: it is no longer this attempt's.
        """
        self._update(this_process())

    def record(self, event: Event) -> None:
        """Store an event.

        Raises:
            LeaseLost, StoreError: it was not stored.
        """
        with self.store.write() as connection:
            self._touch(connection, {"heartbeat": time.time()})
            if add_event(connection, self.run_id, event) and isinstance(event, EpochEnded | TeacherEpochEnded):
                self._touch(connection, {"setbacks": 0})

    def end(self, status: str, event: Event, *, error: str | None = None, result: dict[str, Any] | None = None) -> None:
        """Store the last event and what became of the run, both or neither.

        Raises:
            LeaseLost, StoreError: it was not stored.
        """
        text = to_text(result) if result is not None else None
        with self.store.write() as connection:
            add_event(connection, self.run_id, event)
            self._touch(connection, {"status": status, "finished": time.time(), "error": error, "result": text})

    def stopping(self) -> bool:
        """True once the run was cancelled or taken away; costs nothing."""
        return self._stop.is_set()

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Beat the heart, and listen for a cancellation, from a thread while the block runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._beat, args=(over.wait,), name=f"heart of {self.run_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, over: Callable[[float], bool]) -> None:
        due = 0.0
        while not over(LOOK_SECONDS):
            try:
                if self.cancelled():
                    self._stop.set()
                if time.monotonic() >= due:
                    due = time.monotonic() + BEAT_SECONDS
                    self._update({"heartbeat": time.time()})
            except LeaseLost:
                self._stop.set()
                return
            except StoreError:
                continue  # a full disk or a busy store may pass; nobody takes the run while this process lives

    def cancelled(self) -> bool:
        """Whether somebody asked for the end of this run.

        Raises:
            LeaseLost: it is no longer this attempt's.
        """
        with self.store.read() as connection:
            query = sa.select(runs.c.cancel_requested).where(self._mine())
            asked = connection.execute(query).scalar()
        if asked is None:
            raise self._lost()
        return bool(asked)

    def _update(self, values: dict[str, Any]) -> None:
        with self.store.write() as connection:
            self._touch(connection, values)

    def _touch(self, connection: sa.Connection, values: dict[str, Any]) -> None:
        """Change this run's row; if it is no longer this lease's, end the transaction with nothing done."""
        if connection.execute(sa.update(runs).where(self._mine()).values(**values)).rowcount != 1:
            raise self._lost()

    def _mine(self) -> sa.ColumnElement[bool]:
        # A run that went back into the queue is nobody's; a measurement holds its row while it waits, too.
        held = sa.or_(runs.c.status == "running", sa.and_(runs.c.status == "queued", runs.c.kind == "latency"))
        return sa.and_(runs.c.id == self.run_id, runs.c.attempts == self.attempt, held)

    def _lost(self) -> LeaseLost:
        return LeaseLost(f"Run {self.run_id} is over or another process trains it now; nothing was written to it.")
