"""How much memory something takes at most: this process and the processes that it starts."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType

import psutil

INTERVAL = 0.5  # seconds; looking costs a few milliseconds, and what is measured meanwhile shall not notice


class PeakMemory:
    """The most memory, in MB (10^6 bytes), while a block runs, looked at every half second.

    This process counts with all that is resident, its children only with what nobody shares with them (USS): a forked
    child shows its parent's pages as its own.
    """

    def __init__(self) -> None:
        self.mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        process = psutil.Process()
        total = process.memory_info().rss
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it may have ended meanwhile
                total += child.memory_full_info().uss
        self.mb = max(self.mb, total / 1e6)
