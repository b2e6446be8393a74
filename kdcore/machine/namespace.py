"""What a process id means: the namespace that this process lives in, and whether it is still the same process."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil

SAME_START_SECONDS = 2.0  # starts that differ by less count as the same
_BOOT_ID, _OWN_NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


def process_namespace() -> str:
    """Return a text that is the same for two processes only if a process id means the same process to both of them.

    A host name does not say this: two containers, or two machines, may have the same one, and each has its own process
    17. On Linux the text names the start of the running system and the namespace of process ids in it, which every
    container has for itself. Systems without such namespaces have only their host name.
    """
    try:
        return f"{_BOOT_ID.read_text(encoding='ascii').strip()} {_OWN_NAMESPACE.readlink()}"
    except (OSError, ValueError):
        return platform.node()


def started_at(process: psutil.Process, seconds: float) -> bool:
    """Whether a process started at a time, in seconds since 1970; another one may have its process id since then.

    Raises:
        psutil.Error: there is no such process, or it may not be looked at.
    """
    return abs(process.create_time() - seconds) < SAME_START_SECONDS
