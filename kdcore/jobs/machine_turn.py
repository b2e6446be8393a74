"""Reserve the machine for a measurement: a run that trains at the same time would make the measurement wrong."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import sqlalchemy as sa

from kdcore.errors import KdError, StoreError
from kdcore.jobs.dispatcher import advance, next_row
from kdcore.jobs.fair_order import waiting_or_running
from kdcore.jobs.lease import Lease, holder_columns
from kdcore.jobs.spare import wait_until_ready
from kdcore.store import Store, new_id, to_text
from kdcore.store.schema import runs

POLL_SECONDS = 0.1


class MachineBusy(KdError):
    """The machine is not free for a measurement.

    Attributes:
        run_id: id of the run or measurement that uses the machine or comes first; "" if there is none any more.
    """

    def __init__(self, message: str, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id


@contextlib.contextmanager
def reserve_machine(store: Store, what: str, visitor: str = "", wait: float = 0.0) -> Iterator[None]:
    """Reserve the machine for a measurement in this process: no run trains while the block runs, and none starts.

    Args:
        what: a name for what is measured, stored with the measurement's row.
        visitor: whoever measures, as for a run.
        wait: seconds to wait in the queue, like a run; 0 tries once.

    Raises:
        MachineBusy: the machine did not become free within this time.
        StoreError: the store cannot be read or written.
    """
    run_id, end = new_id(), time.monotonic() + wait
    with store.write() as connection:
        values = {"id": run_id, "visitor": visitor, "kind": "latency", "status": "queued", "created": time.time()}
        values |= {"attempts": 1, "config": to_text({"what": what}), **holder_columns()}
        connection.execute(sa.insert(runs).values(**values))
    try:
        with Lease(store, run_id, 1).heartbeats():
            while not _take_turn(store, run_id):
                if time.monotonic() >= end:
                    raise _busy(store, run_id)
                time.sleep(POLL_SECONDS)
            wait_until_ready(store.home)
            yield
    finally:
        with contextlib.suppress(StoreError):  # if this fails, `advance` deletes the row once this process has ended
            with store.write() as connection:
                connection.execute(sa.delete(runs).where(runs.c.id == run_id))
            advance(store)


def _take_turn(store: Store, run_id: str) -> bool:
    advance(store)  # releases what died; starts only runs that come before this measurement
    with store.write() as connection:
        row = next_row(connection)
        if row is None or row.id != run_id:
            return False
        connection.execute(sa.update(runs).where(runs.c.id == run_id).values(status="running", started=time.time()))
        return True


def _busy(store: Store, run_id: str) -> MachineBusy:
    with store.read() as connection:
        others = [row for row in waiting_or_running(connection) if row.id != run_id]
    running = [row for row in others if row.status == "running"]
    first = next(iter([*running, *others]), None)
    who = "Another measurement" if first is not None and first.kind == "latency" else "A run"
    message = (
        f"{who} is using the machine, and a measurement at the same time would be wrong; try again when it has ended."
    )
    return MachineBusy(message, first.id if first is not None else "")
