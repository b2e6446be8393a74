"""Collects garbage at moments when no page's script runs, so that no visitor waits for it.

A full collection looks at every object of the process: with PyTorch loaded, a quarter of a second in which no script
runs. Streamlit would do one after every script; `runner.postScriptGC` in `.streamlit/config.toml` turns that off.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

PERIOD = 300.0  # seconds between two full collections: all pages pause for one, so it must be rare
QUIET = 0.05  # seconds until a busy app is looked at again
_SCRIPT_THREAD = "ScriptRunner.scriptThread"  # the name of the thread in which Streamlit runs a page's script


def collect() -> None:
    """Free all garbage, and freeze what is left.

    Python's automatic collection stays on, but no longer looks at frozen objects (PyTorch, teachers, caches), so it
    takes milliseconds. What was frozen before is thawed first, because some of it may be garbage by now: the session of
    a visitor who has left, or a teacher that made room for another.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def script_runs() -> bool:
    """Whether the script of any page, or a fragment of one, is running in this process."""
    return any(thread.name == _SCRIPT_THREAD for thread in threading.enumerate())


class Collector:
    """A thread that does `tidy` once a period, each time in a moment when `busy` is false, however long that takes."""

    def __init__(self, tidy: Callable[[], None], *, busy: Callable[[], bool], period: float = PERIOD) -> None:
        """Start the thread; it ends with `stop`, or with the process."""
        self._tidy, self._busy, self._period = tidy, busy, period
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="kd-collector", daemon=True).start()

    def stop(self) -> None:
        """End the thread, for good."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._period):
            while self._busy() and not self._stopped.wait(QUIET):
                pass
            if not self._stopped.is_set():
                self._tidy()
