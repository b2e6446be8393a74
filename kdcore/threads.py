"""How many threads PyTorch begins with in a process that shares the machine; to be decided before it is imported."""

from __future__ import annotations

import os
from collections.abc import MutableMapping


def one_thread(environment: MutableMapping[str, str] = os.environ) -> None:
    """Compute with one thread, and let threads that are asked for later sleep while they wait; the environment's own
    word counts more.

    Networks and pictures here are small, and a team of threads waits in every layer for its slowest member. Drawing
    `creatures` takes two threads 2.2 s on two idle cores and 28 s beside two busy processes; it takes one thread 3 s.
    """
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
