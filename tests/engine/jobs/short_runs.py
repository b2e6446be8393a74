"""Short runs on digits in a store: queued, claimed, finished, or ended early, and the processes that hold them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import sqlalchemy as sa

from kdcore import jobs
from kdcore.events import EpochEnded, RunFailed, RunFinished, RunStarted
from kdcore.jobs.lease import Lease, is_alive
from kdcore.machine.namespace import process_namespace
from kdcore.settings.config import make_run_config
from kdcore.store import RunRow, Store
from kdcore.store.schema import runs as run_table

ROOT = Path(__file__).resolve().parents[3]

SHORT = {"labels": 40, "epochs": 2, "seeds": 1, "student": "mlp-8", "device": "cpu"}


def submit(store: Store, visitor: str = "someone", **settings: object) -> str:
    config = make_run_config("digits", **{**SHORT, **settings})
    return jobs.submit(store, config, visitor, limit=jobs.MAX_QUEUED)


def set_row(store: Store, run_id: str, **values: object) -> None:
    with store.write() as connection:
        connection.execute(sa.update(run_table).where(run_table.c.id == run_id).values(**values))


def claim(store: Store) -> RunRow:
    row = jobs.claim(store)
    assert row is not None
    return row


def finish(store: Store, row: RunRow) -> None:
    Lease(store, row.id, row.attempts).end("finished", RunFinished({}), result={"x": 1})


def stopped(store: Store, kind: str = "cancelled", epochs: int = 1) -> str:
    """Add a run that ended early after some epochs; return its id."""
    run_id = submit(store)
    row = claim(store)
    worker_lease = Lease(store, run_id, row.attempts)
    worker_lease.take()
    worker_lease.record(RunStarted({}, ("teacher", "baseline", "distilled"), 2, "cpu", "fp32", 40, 1))
    for epoch in range(1, epochs + 1):
        worker_lease.record(EpochEnded(epoch, 2, 0.1, {}))
    status = "failed" if kind == "error" else kind
    worker_lease.end(status, RunFailed("It ended early.", kind), error="It ended early.")  # type: ignore[arg-type]
    return run_id


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    """Wait until the condition holds; fail after `seconds`, which leave time enough for a slow machine."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def trains_elsewhere(row: RunRow) -> bool:
    return not row.done and row.worker_pid != os.getpid() and row.host == process_namespace() and is_alive(row)


def epochs(store: Store, run_id: str) -> list[EpochEnded]:
    return [one.event for one in store.events(run_id) if isinstance(one.event, EpochEnded)]


def worker(store: Store, run_id: str) -> psutil.Process:
    """Wait until a worker has recorded itself as the holder of a run; return its process."""
    wait_for(lambda: len(store.events(run_id)) > 0)
    pid = store.run(run_id).worker_pid
    assert pid is not None and pid != os.getpid()
    return psutil.Process(pid)


def a_dead_process() -> tuple[int, float]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        born = psutil.Process(process.pid).create_time()
    return process.pid, born
