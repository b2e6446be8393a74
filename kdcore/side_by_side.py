"""Independent work on several cores: one thread for each part, which wait for one another at the end only.

A team of threads inside every operation waits for its slowest member in each of them; beside another busy process that
costs more than it brings (`threads`). Here each thread computes alone, and PyTorch's operations leave Python's lock to
the others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

LOOK_SECONDS = 0.05  # how often somebody is asked whether to stop

Asks = Callable[[], bool]
Part = TypeVar("Part")
Result = TypeVar("Result")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class SideBySide:
    """As many threads as work can be done in at once, which stay: what PyTorch keeps for a thread would be lost.

    Args:
        at_once: how many; with one, all is done in the caller's thread.
    """

    def __init__(self, at_once: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, "side by side") if at_once > 1 else None

    def each(
        self, work: Callable[[Part, Asks], Result], parts: Sequence[Part], should_stop: Asks = lambda: False
    ) -> list[Result]:
        """What `work` makes of every part, in their order.

        Args:
            work: takes a part and what says, whenever it is asked, whether to leave the work.
            should_stop: asked in the caller's thread only, before the start and now and then.

        Raises:
            whatever `work` raises, after the others have left theirs.
        """
        if self._pool is None or len(parts) <= 1:
            return [work(part, should_stop) for part in parts]
        ended = threading.Event()
        if should_stop():
            ended.set()
        futures = [self._pool.submit(work, part, ended.is_set) for part in parts]
        try:
            while not ended.is_set():
                done, left = wait(futures, LOOK_SECONDS, FIRST_EXCEPTION)
                if not left or any(future.exception() for future in done) or should_stop():
                    ended.set()
        finally:
            ended.set()  # also when the caller's thread is interrupted: nobody works on for nothing
            wait(futures)
        return [future.result() for future in futures]
