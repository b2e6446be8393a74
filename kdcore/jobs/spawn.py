"""Start a worker: a process that trains one run and outlives the process that started it, on every system.

A spare worker, which waits for its run, outlives the process that started it only once it has one.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from kdcore.machine import child_python
from kdcore.machine.threads import default_to_one_thread
from kdcore.store import Store

LOG = "worker.log"
SPARE_FLAG = "--spare"  # of `python -m kdcore.worker`, instead of a run


def spawn_worker(store: Store, run_id: str, attempt: int, folder: Path) -> int:
    """Start a worker for this attempt at a run and return its process id.

    Everything that the worker prints goes to the file `LOG` in `folder`, and nothing to this process's terminal.

    Args:
        attempt: number of the attempt, which the worker needs to write to the run.
        folder: the run's folder; it exists.

    Raises:
        OSError: the log cannot be written, or the process cannot be started.
    """
    with (folder / LOG).open("ab") as log:
        process = _spawn(store, [run_id, "--attempt", str(attempt)], subprocess.DEVNULL, log)
    wait_for_end(process)
    return process.pid


def spawn_spare(store: Store) -> subprocess.Popen[bytes]:
    """Start a spare worker and return its process; the spare worker ends when the process's `stdin` is closed, also by
    the end of this process, unless it has a run by then.

    Raises:
        OSError: the process cannot be started.
    """
    return _spawn(store, [SPARE_FLAG], subprocess.PIPE, subprocess.DEVNULL)


def wait_for_end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process in a thread: a child that nobody waits for stays as a zombie when it ends."""
    # The thread is a daemon, so it delays no exit.
    threading.Thread(target=process.wait, name=f"end of worker {process.pid}", daemon=True).start()


def _spawn(store: Store, arguments: list[str], stdin: int, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "kdcore.worker", *arguments],
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=worker_environment(store),
        # In a session or process group of its own, so that Ctrl-C in this terminal or closing it spares it.
        start_new_session=sys.platform != "win32",
        creationflags=_windows_flags(),
    )


def worker_environment(store: Store) -> dict[str, str]:
    """Return this process's environment, so changed that the worker uses the same store and the same copy of kdcore."""
    environment = {**child_python.environment(), "KDCORE_HOME": str(store.home)}
    environment.pop("KDCORE_DATABASE", None)
    default_to_one_thread(environment)
    if store.url:
        environment["KDCORE_DATABASE"] = store.url
    return environment


def _windows_flags() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    return 0
