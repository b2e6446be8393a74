"""The default number of PyTorch threads in a process that shares the machine; set it before PyTorch is imported."""

from __future__ import annotations

import os
from collections.abc import MutableMapping


def default_to_one_thread(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make PyTorch start with one thread, and make threads that it starts later sleep, not spin, while they wait.

    Variables that are already set in `environment` are kept. Networks and pictures here are small, and several threads
    wait for the slowest of them in every layer: generating the dataset `creatures` takes two threads 2.2 s on two
    idle cores but 28 s beside two busy processes; one thread takes 3 s.
    """
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
