"""One run in one process: `python -m kdcore.worker RUN_ID`.

Trains what the store says, tells the store every event, and lets the queue move on at the end. It may be killed at
any moment: whoever looks at the queue next finds it dead, and another worker continues from its last checkpoint.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial

from kdcore import housekeeping, jobs
from kdcore.disk import FULL, check_space
from kdcore.errors import KdError, StoreError
from kdcore.events import Event, RunFailed, RunFinished
from kdcore.lease import Lease, LeaseLost
from kdcore.spawn import LOG
from kdcore.store import RunRow, Store

MARK_SECONDS = 60.0  # how long a full disk or a busy store is waited for before something goes unsaid
PAUSE_SECONDS = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Train one run; 0 when it was trained to its end, 1 otherwise. What goes wrong is said in the store."""
    parser = argparse.ArgumentParser(prog="python -m kdcore.worker", description="Train one run of the queue.")
    parser.add_argument("run_id")
    parser.add_argument("--attempt", type=int, help="set by the queue; without it, the run is taken from the queue")
    options = parser.parse_args(arguments)
    try:
        with Store() as store:
            row = store.run(options.run_id)
            if options.attempt is None:
                return _take_by_hand(store, row)
            lease = Lease(store, row.id, options.attempt)
            lease.take()
            try:
                return _work(lease, row)
            finally:
                jobs.advance(store)
                housekeeping.clean(store)
    except KdError as error:  # the store itself: there is nowhere else to say it
        print(f"kdcore.worker: {error}", file=sys.stderr)
        return 1


def _take_by_hand(store: Store, row: RunRow) -> int:
    """Started by a person: do what the queue would do, here and now, if it is this run's turn."""
    claimed = jobs.claim(store, only=row.id)
    if claimed is None:
        print(f"kdcore.worker: run {row.id} is {row.status}, or it is not its turn.", file=sys.stderr)
        return 1
    return main([row.id, "--attempt", str(claimed.attempts)])


def _work(lease: Lease, row: RunRow) -> int:
    with lease.beating():
        last: Event | None = None
        try:
            for event in _train(lease, row):
                last = event
                if isinstance(event, RunFinished | RunFailed):
                    break
                _patiently(partial(lease.record, event))
        except LeaseLost as error:
            print(f"kdcore.worker: {error}", file=sys.stderr)
            return 1
        except Exception as error:  # whatever it is, the run must end with a sentence
            last = RunFailed(error_sentence(error), "error")
        if not isinstance(last, RunFinished | RunFailed):
            last = RunFailed("The training ended without a result; start the run again.", "error")
        _end(lease, last)
    return 0 if isinstance(last, RunFinished) else 1


def _train(lease: Lease, row: RunRow) -> Iterator[Event]:
    # Seconds of imports, during which the heart beats already.
    from kdcore.allocator import keep_freed_memory
    from kdcore.config import RunConfig
    from kdcore.trainer import train

    keep_freed_memory()
    config = RunConfig.from_json(row.config)
    check_space(config, lease.store.home)
    if lease.cancelled():  # while this process started
        yield RunFailed("The run was stopped before it ended.", "cancelled")
        return
    folder = jobs.runs_dir(row.id, lease.store.home)
    yield from train(config, run_dir=folder, should_stop=lease.stopping, home=lease.store.home)


def _end(lease: Lease, last: RunFinished | RunFailed) -> None:
    """Write how the run ended. If that cannot be written in time, the run stays as it is, is found dead, and is
    continued from its last checkpoint."""
    try:
        if isinstance(last, RunFinished):
            _patiently(partial(lease.end, "finished", last, result=last.result))
        else:
            status = {"error": "failed"}.get(last.kind, last.kind)
            _patiently(partial(lease.end, status, last, error=last.error))
    except LeaseLost as error:
        print(f"kdcore.worker: {error}", file=sys.stderr)


def _patiently(write: Callable[[], None]) -> None:
    """Write to the store, and wait for a full disk or a busy store for a while.

    Raises:
        LeaseLost: the run is no longer this process's.
        StoreError: the store could not be written in time.
    """
    deadline = time.monotonic() + MARK_SECONDS
    while True:
        try:
            write()
            return
        except LeaseLost:
            raise
        except StoreError:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def error_sentence(error: Exception) -> str:
    """What to tell the visitor; the traceback of anything unexpected goes to the log only."""
    if isinstance(error, KdError):
        return str(error)
    traceback.print_exception(error)
    if isinstance(error, OSError) and error.errno in FULL:
        return "The disk is full; free some space and resume the run."
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "There is not enough memory for this run; choose a smaller student, fewer seeds or fewer pictures."
    if isinstance(error, OSError) and error.strerror:
        return f"The run's files could not be read or written ({error.strerror}); check the disk and start it again."
    return f"The run stopped on an unexpected error ({type(error).__name__}); {LOG} in its folder says more."


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(5)  # it computes on all cores, and pages come first
    sys.exit(main())
