"""Work that is independent of other work, on several cores: one thread each, which wait for one another at the end.

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


def side_by_side(
    work: Callable[[Part, Asks], Result],
    parts: Sequence[Part],
    at_once: int,
    should_stop: Asks = lambda: False,
) -> list[Result]:
    """What `work` makes of every part, in their order.

    Args:
        work: takes a part and what says, whenever it is asked, whether to leave the work; runs in a thread of its own
            if there are several.
        at_once: how many threads, at most; with one, all is done in the caller's.
        should_stop: asked in the caller's thread only, before the start and now and then.

    Raises:
        whatever `work` raises, after the others have left theirs.
    """
    if min(at_once, len(parts)) <= 1:
        return [work(part, should_stop) for part in parts]
    ended = threading.Event()
    if should_stop():
        ended.set()
    with ThreadPoolExecutor(min(at_once, len(parts)), "side by side") as pool:
        futures = [pool.submit(work, part, ended.is_set) for part in parts]
        try:
            while not ended.is_set():
                done, left = wait(futures, LOOK_SECONDS, FIRST_EXCEPTION)
                if not left or any(future.exception() for future in done) or should_stop():
                    ended.set()
        finally:
            ended.set()  # also when the caller's thread is interrupted: nobody works on for nothing
    return [future.result() for future in futures]
