"""Start a worker: a process that trains one run and outlives the process that started it, on every system."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from kdcore.machine import child_python
from kdcore.machine.threads import default_to_one_thread
from kdcore.store import Store

LOG = "worker.log"


def spawn_worker(store: Store, run_id: str, attempt: int, folder: Path) -> int:
    """Start a worker for this attempt at a run and return its process id.

    Everything that the worker prints goes to the file `LOG` in `folder`, and nothing to this process's terminal.

    Args:
        attempt: number of the attempt, which the worker needs to write to the run.
        folder: the run's folder; created if it does not exist.

    Raises:
        OSError: the folder cannot be written, or the process cannot be started.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kdcore.worker", run_id, "--attempt", str(attempt)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(store),
            # In a session or process group of its own, so that Ctrl-C in this terminal or closing it spares it.
            start_new_session=sys.platform != "win32",
            creationflags=_windows_flags(),
        )
    # A child that nobody waits for stays as a zombie when it ends. The thread is a daemon, so it delays no exit.
    threading.Thread(target=process.wait, name=f"worker of {run_id}", daemon=True).start()
    return process.pid


def _environment(store: Store) -> dict[str, str]:
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
