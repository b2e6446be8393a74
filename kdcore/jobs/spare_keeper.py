"""Keep one spare worker ready for the runs of a home, while somebody uses the app and the machine has memory for it."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable

from filelock import FileLock, Timeout

from kdcore.jobs.fair_order import waiting_or_running
from kdcore.jobs.fingerprint import worker_fingerprint
from kdcore.jobs.spare import offers_folder
from kdcore.jobs.spawn import spawn_spare, wait_for_end
from kdcore.machine.memory import available_memory
from kdcore.store import Store

NEEDED_BYTES = 3 * 2**29  # memory that must be available for a spare worker to be started
SHORT_BYTES = 3 * 2**28  # with less available, a waiting spare worker is given up
BRIEF_SECONDS = 10.0  # a spare worker that ends by itself before this age is started again only after a pause
FIRST_PAUSE, LONGEST_PAUSE = 4.0, 600.0  # seconds; the pause doubles each time
RIVAL_PAUSE = 10.0  # seconds until it is asked again whether another process still keeps the home's spare worker


class SpareKeeper:
    """Starts, replaces and gives up the spare worker of one home; `keep` is to be called every few seconds.

    Of several keepers of one home only the one that holds the lock of the home has a spare worker. A spare worker that
    was taken stays the keeper's process until its run has ended, and then it is replaced.

    Args:
        clock: returns seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._lock = FileLock(offers_folder(store.home) / "keeper.lock", timeout=0, thread_local=False)
        self._process: subprocess.Popen[bytes] | None = None
        self._fingerprint = ""
        self._started = self._not_before = self._pause = 0.0

    def keep(self, wanted: bool) -> None:
        """Start a spare worker if there is none and the queue is empty, or give it up.

        It is given up when it is not `wanted`, when memory is short, and when a new worker would be another one because
        the code or an environment variable has changed.

        Raises:
            StoreError: the store cannot be read.
            OSError: the home cannot be written, or the process cannot be started.
        """
        if self._process is not None and self._process.poll() is not None:
            self._note_end(self._process)
        if self._process is not None:
            outdated = self._fingerprint != worker_fingerprint(self._store)
            if not wanted or outdated or available_memory() < SHORT_BYTES:
                self.give_up()
        elif wanted and self._clock() >= self._not_before and available_memory() >= NEEDED_BYTES and self._is_free():
            self._start()

    def give_up(self) -> None:
        """Let the spare worker end, if there is one; one that was taken trains its run to the end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            wait_for_end(self._process)
            self._forget()

    def _start(self) -> None:
        self._not_before = self._clock() + RIVAL_PAUSE
        offers_folder(self._store.home).mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            return
        try:
            self._fingerprint = worker_fingerprint(self._store)
            self._process = spawn_spare(self._store)
        except OSError:
            self._lock.release()
            raise
        self._started = self._clock()

    def _note_end(self, process: subprocess.Popen[bytes]) -> None:
        """Note that the process has ended, and for how long none is started if it ended without a reason."""
        brief = process.returncode != 0 and self._clock() - self._started < BRIEF_SECONDS
        self._pause = min(max(FIRST_PAUSE, 2 * self._pause), LONGEST_PAUSE) if brief else 0.0
        self._not_before = self._clock() + self._pause
        if process.stdin is not None:
            process.stdin.close()
        self._forget()

    def _forget(self) -> None:
        self._process = None
        with contextlib.suppress(OSError):
            self._lock.release()

    def _is_free(self) -> bool:
        """Whether no run waits or trains and nothing is measured: starting a spare worker would slow it down."""
        with self._store.read() as connection:
            return not waiting_or_running(connection)
