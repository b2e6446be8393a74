"""The worker: a process that trains one run of the store, started with `python -m kdcore.worker RUN_ID`.

It trains the run's configuration, writes every event to the store, and starts the next run of the queue at its end. It
may be killed at any moment: the next process that calls `advance` finds it dead, and another worker continues from the
last checkpoint.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial

from kdcore.errors import KdError, StoreError
from kdcore.events import Event, RunFailed, RunFinished
from kdcore.jobs import housekeeping
from kdcore.jobs.dispatcher import advance, claim, runs_dir
from kdcore.jobs.lease import Lease, LeaseLost
from kdcore.jobs.space import check_space
from kdcore.jobs.spawn import LOG
from kdcore.machine.allocator import keep_freed_memory
from kdcore.machine.disk import DISK_FULL_ERRORS, retry
from kdcore.store import RunRow, Store

STORE_RETRY_SECONDS = 60.0  # how long writing to the store is retried while the disk is full or the store is busy


def main(arguments: list[str] | None = None) -> int:
    """Train one run; return 0 if it was trained to its end, 1 otherwise. Errors are recorded in the run's row.

    Args:
        arguments: of the command line; those of this process unless given.
    """
    parser = argparse.ArgumentParser(prog="python -m kdcore.worker", description="Train one run of the queue.")
    parser.add_argument("run_id")
    parser.add_argument("--attempt", type=int, help="set by the queue; without it, the run is taken from the queue")
    options = parser.parse_args(arguments)
    try:
        with Store() as store:
            row = store.run(options.run_id)
            if options.attempt is None:
                return _claim_and_train(store, row)
            lease = Lease(store, row.id, options.attempt)
            lease.take()
            try:
                return _train_and_record(lease, row)
            finally:
                advance(store)
                housekeeping.clean(store)
    except KdError as error:  # the store itself cannot be used, so the error cannot be recorded there
        print(f"kdcore.worker: {error}", file=sys.stderr)
        return 1


def _claim_and_train(store: Store, row: RunRow) -> int:
    """Train a run that a person started without the queue (no `--attempt`), if it is this run's turn."""
    claimed = claim(store, only=row.id)
    if claimed is None:
        why = "it does not wait in the queue, or it is not its turn"
        print(f"kdcore.worker: run {row.id} ({row.status}) cannot start now: {why}.", file=sys.stderr)
        return 1
    return main([row.id, "--attempt", str(claimed.attempts)])


def _train_and_record(lease: Lease, row: RunRow) -> int:
    with lease.heartbeats():
        last: Event | None = None
        try:
            for event in _train(lease, row):
                last = event
                if isinstance(event, RunFinished | RunFailed):
                    break
                _retry_write(partial(lease.record, event))
        except LeaseLost as error:
            print(f"kdcore.worker: {error}", file=sys.stderr)
            return 1
        except Exception as error:  # after any error, a sentence for the visitor must be recorded
            last = RunFailed(error_sentence(error), "error")
        if not isinstance(last, RunFinished | RunFailed):
            last = RunFailed("The training ended without a result; start the run again.", "error")
        _record_end(lease, last)
    return 0 if isinstance(last, RunFinished) else 1


def _train(lease: Lease, row: RunRow) -> Iterator[Event]:
    # These imports load torch, which takes seconds; they happen here because the heartbeat has started by now.
    from kdcore.settings.config import RunConfig
    from kdcore.training.trainer import train

    keep_freed_memory()
    config = RunConfig.from_json(row.config)
    check_space(config, lease.store.home)
    if lease.cancelled():  # the run may have been cancelled while this process started
        yield RunFailed("The run was stopped before it ended.", "cancelled")
        return
    folder = runs_dir(row.id, lease.store.home)
    yield from train(config, run_dir=folder, should_stop=lease.should_stop, home=lease.store.home)


def _record_end(lease: Lease, last: RunFinished | RunFailed) -> None:
    """Record how the run ended.

    Raises:
        StoreError: that could not be written in time. The run then counts as dead once this process has ended, and is
            continued from its last checkpoint.
    """
    try:
        if isinstance(last, RunFinished):
            _retry_write(partial(lease.end, "finished", last, result=last.result))
        else:
            status = "failed" if last.kind == "error" else last.kind
            _retry_write(partial(lease.end, status, last, error=last.error))
    except LeaseLost as error:
        print(f"kdcore.worker: {error}", file=sys.stderr)


def _retry_write(write: Callable[[], None]) -> None:
    """Call `write`, and repeat it for up to `STORE_RETRY_SECONDS` while the disk is full or the store is busy.

    Raises:
        LeaseLost: this process no longer holds the run.
        StoreError: the store could not be written in time.
    """
    retry(
        write,
        STORE_RETRY_SECONDS,
        is_temporary=lambda error: isinstance(error, StoreError) and not isinstance(error, LeaseLost),
    )


def error_sentence(error: Exception) -> str:
    """Return the sentence that tells a visitor of an error; the traceback of an unexpected one goes to the log."""
    if isinstance(error, KdError):
        return str(error)
    traceback.print_exception(error)
    if isinstance(error, OSError) and error.errno in DISK_FULL_ERRORS:
        return "The disk is full; free some space and resume the run."
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "There is not enough memory for this run; choose a smaller student, fewer seeds or fewer pictures."
    if isinstance(error, OSError) and error.strerror:
        return f"The run's files could not be read or written ({error.strerror}); check the disk and start it again."
    return f"The run stopped on an unexpected error ({type(error).__name__}); {LOG} in its folder says more."
