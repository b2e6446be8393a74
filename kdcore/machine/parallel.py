"""Run independent pieces of work in parallel, each in one thread; the threads synchronise only at the end.

When PyTorch splits every operation over several threads, each operation waits for the slowest thread; with another busy
process on the machine that costs more than it gains. Here each thread computes its piece alone. PyTorch's operations
release Python's global interpreter lock, so the threads do run at the same time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

STOP_CHECK_SECONDS = 0.05  # interval at which the caller's `should_stop` is asked

StopCheck = Callable[[], bool]
Part = TypeVar("Part")
Result = TypeVar("Result")


def cores() -> int:
    """Number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # missing on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ParallelThreads:
    """A pool of threads for parallel work.

    The threads live as long as the pool, because PyTorch caches data for each thread, which a new thread would lack.

    Args:
        num_threads: number of threads; with 1, everything runs in the caller's thread.
        prepare: called first in each thread of the pool.
    """

    def __init__(self, num_threads: int, prepare: Callable[[], None] = lambda: None) -> None:
        self._pool = ThreadPoolExecutor(num_threads, "parallel", prepare) if num_threads > 1 else None

    def run_each(
        self, work: Callable[[Part, StopCheck], Result], parts: Sequence[Part], should_stop: StopCheck = lambda: False
    ) -> list[Result]:
        """Call `work` for every part in parallel and return the results in the order of `parts`.

        Args:
            work: called with a part and a function that returns whether to stop early; it should ask it regularly.
            should_stop: called only in the caller's thread, before the start and then every `STOP_CHECK_SECONDS`.

        Raises:
            Any exception of `work`, once all other parts have stopped.
        """
        if self._pool is None or len(parts) <= 1:
            return [work(part, should_stop) for part in parts]
        stop = threading.Event()
        if should_stop():
            stop.set()
        futures = [self._pool.submit(work, part, stop.is_set) for part in parts]
        try:
            while not stop.is_set():
                done, unfinished = wait(futures, STOP_CHECK_SECONDS, FIRST_EXCEPTION)
                if not unfinished or any(future.exception() for future in done) or should_stop():
                    stop.set()
        finally:
            stop.set()  # also stops the threads when the caller's thread is interrupted
            wait(futures)
        return [future.result() for future in futures]
