"""How much memory this process may still use."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")  # of this process, in a container; version 2


def available_memory(cgroup: Path = CGROUP) -> int:
    """Return the bytes of memory that can be used without swapping, in a container no more than its limit leaves.

    Args:
        cgroup: the folder in which Linux shows the limits of the container.
    """
    available = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):  # another system, or no limit
        limit, used = (int((cgroup / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        lines = (cgroup / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
        available = min(available, limit - used + cached)
    return max(0, available)
