"""Peak memory of this process and of the processes that it starts."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType

import psutil

SAMPLE_SECONDS = 0.5  # a sample costs a few milliseconds, so sampling more often would disturb the timing


class PeakMemory:
    """Context manager that records the peak memory while its block runs, sampled every half second, in `mb`.

    It sums the resident memory of this process and the unshared memory (USS) of its children. Shared pages of children
    are not counted, because a forked child reports its parent's pages as its own.

    Attributes:
        mb: the peak so far, in MB (10^6 bytes).
    """

    def __init__(self) -> None:
        self.mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._sample()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        process = psutil.Process()
        total = process.memory_info().rss
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # the child may have ended by now
                total += child.memory_full_info().uss
        self.mb = max(self.mb, total / 1e6)
