"""How PyTorch's threads wait for each other; to be decided before PyTorch is imported, and needs nothing of it."""

from __future__ import annotations

import os
from collections.abc import MutableMapping


def wait_asleep(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let the threads of a team sleep while they wait, unless the environment says otherwise.

    By default they spin. On a machine that also draws a page, or trains in another process, a spinning thread takes the
    core that the one it waits for needs, and small networks then spend most of their time waiting.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
